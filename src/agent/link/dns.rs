//! DNS messages: a question, and the addresses in an answer. Source: RFC 1035 section 4.
//!
//! The answer comes from the network, from anybody who can guess an id: everything is bounds-checked,
//! names are followed only backwards, and an answer to another question is none.
use std::net::IpAddr;

/// No answer by UDP is longer, since we offer no EDNS0; longer ones come by TCP.
pub(super) const MAX_UDP: usize = 512;
/// Source: RFC 1035 2.3.4; with the final zero.
const MAX_NAME: usize = 255;
const HEADER: usize = 12;
/// Records that are looked at; an honest answer has a few.
const MAX_RECORDS: usize = 128;
const MAX_ALIASES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// A question, and the bytes to send.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) id: u16,
    kind: Kind,
    name: Name,
    pub(super) bytes: Vec<u8>,
}

/// What a server says to a question of ours.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// None: the name exists, but has no address of the kind.
    Addresses(Vec<IpAddr>),
    /// The name has another name, whose addresses are not in the answer.
    Alias(String),
    NoSuchName,
    /// Ask again by TCP.
    Truncated,
    /// The server cannot or will not: its code (SERVFAIL is 2, REFUSED 5).
    Failed(u8),
}

/// A name on the wire, lower case, uncompressed, with its final zero.
type Name = Vec<u8>;

/// `None` if no such name can exist: an empty or too long label, or too long all in all.
pub(super) fn query(id: u16, name: &str, kind: Kind) -> Option<Query> {
    let name = encode_name(name)?;
    let mut bytes = Vec::with_capacity(HEADER + name.len() + 4);
    bytes.extend(id.to_be_bytes());
    bytes.extend([0x01, 0x00]); // recursion desired
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]); // one question and nothing else
    bytes.extend(&name);
    bytes.extend((kind as u16).to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    Some(Query { id, kind, name, bytes })
}

/// The answer to `query`; `None` for what is not one: damaged, or to another question.
pub(super) fn answer(query: &Query, packet: &[u8]) -> Option<Answer> {
    let mut it = Reader { packet, at: 0 };
    let (id, flags) = (it.u16()?, it.u16()?);
    let (questions, records) = (it.u16()?, it.u16()?);
    it.skip(4)?;
    let is_response = flags & 0x8000 != 0 && flags & 0x7800 == 0;
    if id != query.id || !is_response || questions != 1 {
        return None;
    }
    let asked = (it.name()?, it.u16()?, it.u16()?);
    if asked != (query.name.clone(), query.kind as u16, INTERNET) {
        return None;
    }
    match flags & 0x000f {
        _ if flags & 0x0200 != 0 => Some(Answer::Truncated),
        0 => it.records(query, usize::from(records).min(MAX_RECORDS)),
        3 => Some(Answer::NoSuchName),
        code => Some(Answer::Failed(code as u8)),
    }
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The addresses of the name, or of the name its chain of aliases ends at.
    fn records(&mut self, query: &Query, count: usize) -> Option<Answer> {
        let (mut aliases, mut addresses) = (vec![], vec![]);
        for _ in 0..count {
            let (owner, kind, class) = (self.name()?, self.u16()?, self.u16()?);
            self.skip(4)?; // the time to live: an address is used once, at once
            let length = usize::from(self.u16()?);
            let data = self.packet.get(self.at..self.at + length)?;
            let mut inside = Reader { packet: &self.packet[..self.at + length], at: self.at };
            self.at += length;
            match kind {
                _ if class != INTERNET => {}
                CNAME => aliases.push((owner, inside.name()?)),
                kind if kind == query.kind as u16 => addresses.push((owner, address(kind, data)?)),
                _ => {}
            }
        }
        let mut name = &query.name;
        for _ in 0..MAX_ALIASES {
            match aliases.iter().find(|(owner, _)| owner == name) {
                Some((_, next)) => name = next,
                None => break,
            }
        }
        let found: Vec<_> =
            addresses.iter().filter(|(owner, _)| owner == name).map(|&(_, ip)| ip).collect();
        if found.is_empty() && *name != query.name {
            return Some(Answer::Alias(decode_name(name)?));
        }
        Some(Answer::Addresses(found))
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.packet.get(self.at..self.at + 2)?;
        self.at += 2;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|&it| it <= self.packet.len())?;
        Some(())
    }

    /// A name, followed through its pointers. A pointer must lead to before the name's own start
    /// (RFC 1035 4.1.4: "a prior occurrence"), so there is no loop.
    fn name(&mut self) -> Option<Name> {
        let (mut name, mut at, mut start) = (vec![], self.at, self.at);
        let mut end = None;
        loop {
            match *self.packet.get(at)? {
                0 => {
                    name.push(0);
                    self.at = end.unwrap_or(at + 1);
                    return (name.len() <= MAX_NAME).then_some(name);
                }
                length @ 1..=63 => {
                    let label = self.packet.get(at..at + 1 + usize::from(length))?;
                    name.extend(label.to_ascii_lowercase()); // a length is below 64: no letter
                    at += label.len();
                }
                high @ 0xc0.. => {
                    let low = *self.packet.get(at + 1)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(u16::from_be_bytes([high & 0x3f, low]));
                    if at >= start {
                        return None;
                    }
                    start = at;
                }
                _ => return None,
            }
            if name.len() >= MAX_NAME {
                return None;
            }
        }
    }
}

fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    if kind == Kind::A as u16 {
        <[u8; 4]>::try_from(data).ok().map(IpAddr::from)
    } else {
        <[u8; 16]>::try_from(data).ok().map(IpAddr::from)
    }
}

fn encode_name(text: &str) -> Option<Name> {
    let mut name = vec![];
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        name.push(label.len() as u8);
        name.extend(label.to_ascii_lowercase().bytes());
    }
    name.push(0);
    (name.len() <= MAX_NAME).then_some(name)
}

/// `None` for labels that no text can show: they are no host's.
fn decode_name(name: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut rest = name;
    while let [length, tail @ ..] = rest
        && *length > 0
    {
        let (label, tail) = tail.split_at_checked(usize::from(*length))?;
        if !label.iter().all(|it| it.is_ascii_graphic() && *it != b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(str::from_utf8(label).ok()?);
        rest = tail;
    }
    Some(text)
}

#[cfg(test)]
mod tests;
