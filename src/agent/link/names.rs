//! /etc/hosts and /etc/resolv.conf as text, and the names to ask for. Source: hosts(5), resolv.conf(5).
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Source: resolv.conf(5): MAXNS, and the six search domains of old (newer glibc has no bound).
const MAX_SERVERS: usize = 3;
const MAX_SEARCH: usize = 16;
/// More addresses of one name are not tried.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolution {
    pub(super) servers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
    pub(super) ndots: usize,
    pub(super) timeout: Duration,
    pub(super) attempts: usize,
    pub(super) rotate: bool,
}

/// Lines that make no sense are passed over, as every resolver does.
pub(super) fn resolution(text: &str) -> Resolution {
    let mut it = Resolution {
        servers: vec![],
        search: vec![],
        ndots: 1,
        timeout: Duration::from_secs(5),
        attempts: 2,
        rotate: false,
    };
    for line in text.lines().filter(|line| !line.starts_with([';', '#'])) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                let server = words.next().and_then(without_zone);
                it.servers.extend(server.filter(|_| it.servers.len() < MAX_SERVERS));
            }
            Some("search" | "domain") => {
                it.search =
                    words.take(MAX_SEARCH).map(|it| it.trim_end_matches('.').into()).collect();
                it.search.retain(|domain: &String| !domain.is_empty());
            }
            Some("options") => words.for_each(|word| option(&mut it, word)),
            _ => {}
        }
    }
    if it.servers.is_empty() {
        it.servers.push(Ipv4Addr::LOCALHOST.into());
    }
    it
}

fn option(into: &mut Resolution, word: &str) {
    let (name, number) = match word.split_once(':') {
        Some((name, digits)) => (name, digits.parse::<u8>().ok()),
        None => (word, None),
    };
    match (name, number) {
        ("ndots", Some(number)) => into.ndots = number.min(15).into(),
        ("timeout", Some(number)) => into.timeout = Duration::from_secs(number.clamp(1, 30).into()),
        ("attempts", Some(number)) => into.attempts = number.clamp(1, 5).into(),
        ("rotate", None) => into.rotate = true,
        _ => {}
    }
}

/// A link-local server has its interface behind a `%`: without it, it cannot be reached.
fn without_zone(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// The addresses of `host` in a hosts file, IPv4 and IPv6 as they stand.
pub(super) fn hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    let mut found = vec![];
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(ip) = words.next().and_then(|it| it.parse().ok()) else { continue };
        let named = words.any(|it| it.trim_end_matches('.').eq_ignore_ascii_case(host));
        if named && !found.contains(&ip) && found.len() < MAX_ADDRESSES {
            found.push(ip);
        }
    }
    found
}

/// What needs neither file nor server: a number, or this machine. Source: RFC 6761 6.3.
pub(super) fn literal(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Some(vec![ip]);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// The names to ask for, in order: as it is first if it has enough dots, else last.
pub(super) fn candidates(host: &str, resolution: &Resolution) -> Vec<String> {
    if let Some(absolute) = host.strip_suffix('.') {
        return vec![absolute.into()];
    }
    let searched = resolution.search.iter().map(|domain| format!("{host}.{domain}"));
    let dots = host.bytes().filter(|&it| it == b'.').count();
    if dots >= resolution.ndots {
        std::iter::once(host.into()).chain(searched).collect()
    } else {
        searched.chain(std::iter::once(host.into())).collect()
    }
}

/// IPv4 and IPv6 in turn, each in the order given: if one kind leads nowhere, the second try is of
/// the other. IPv4 is first: where an image has both, it is the one that works in a container.
pub(super) fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut v4, mut v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    (v4, v6) = (v4.into_iter().rev().collect(), v6.into_iter().rev().collect());
    let mut sorted = vec![];
    while !v4.is_empty() || !v6.is_empty() {
        sorted.extend(v4.pop());
        sorted.extend(v6.pop());
    }
    sorted.truncate(MAX_ADDRESSES);
    sorted
}

#[cfg(test)]
mod tests;
