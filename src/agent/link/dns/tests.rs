use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// An answer to `query` with so many records, whose bytes follow.
fn packet(query: &Query, flags: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = query.id.to_be_bytes().to_vec();
    bytes.extend((0x8180 | flags).to_be_bytes());
    bytes.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    bytes.extend(&query.bytes[HEADER..]);
    records.iter().for_each(|it| bytes.extend(*it));
    bytes
}

/// A record whose owner is given as it is on the wire; `\xc0\x0c` is the question's name.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 60]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

const QUESTION: &[u8] = b"\xc0\x0c";

fn ask() -> Query {
    query(0x1234, "Server.Example", Kind::A).expect("a name")
}

#[test]
fn a_question_is_the_bytes_of_the_rfc() {
    let expected =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06server\x07example\x00\x00\x01\x00\x01";
    assert_eq!(ask().bytes, expected);
    assert_eq!(query(0x1234, "server.example.", Kind::A), Some(ask()));
}

#[test]
fn what_can_be_no_name_is_not_asked() {
    let long = vec!["a".repeat(49); 5].join(".");
    let names = [
        "".into(),
        ".".into(),
        "a..b".into(),
        ".a".into(),
        "a".repeat(64),
        format!("{long}.{long}"),
    ];
    for name in names {
        assert_eq!(query(1, &name, Kind::A), None, "{name:?}");
    }
    assert!(query(1, &"a".repeat(63), Kind::A).is_some());
    assert!(query(1, "_http._tcp.x-1", Kind::A).is_some());
}

#[test]
fn addresses_are_found_at_the_end_of_the_chain_and_nowhere_else() {
    let query = ask();
    let a = |last| record(QUESTION, 1, &[10, 0, 0, last]);
    let ips = |list: &[u8]| {
        Some(Answer::Addresses(list.iter().map(|&it| Ipv4Addr::new(10, 0, 0, it).into()).collect()))
    };
    let alias = record(QUESTION, 5, b"\x05alias\xc0\x13"); // alias.example
    let aliased = record(b"\x05ALIAS\xc0\x13", 1, &[10, 0, 0, 9]);
    let stranger = record(b"\x05other\xc0\x13", 1, &[10, 0, 0, 8]);
    let v6 = record(QUESTION, 28, &[0; 16]);
    for (records, expected) in [
        (vec![], ips(&[])),
        (vec![&a(1), &a(2)], ips(&[1, 2])),
        (vec![&v6, &stranger, &a(1)], ips(&[1])),
        (vec![&alias, &aliased], ips(&[9])),
        (vec![&aliased, &alias], ips(&[9])),
        (vec![&alias, &a(1)], Some(Answer::Alias("alias.example".into()))),
        (vec![&alias], Some(Answer::Alias("alias.example".into()))),
    ] {
        let records: Vec<&[u8]> = records.into_iter().map(Vec::as_slice).collect();
        assert_eq!(answer(&query, &packet(&query, 0, &records)), expected, "{records:x?}");
    }
}

#[test]
fn a_ring_of_aliases_ends() {
    let query = ask();
    let there = record(QUESTION, 5, b"\x05alias\xc0\x13");
    let back = record(b"\x05alias\xc0\x13", 5, QUESTION);
    let answered = answer(&query, &packet(&query, 0, &[&there, &back]));
    assert!(matches!(answered, Some(Answer::Addresses(it)) if it.is_empty()));
}

#[test]
fn codes_and_truncation_are_told() {
    let query = ask();
    for (flags, expected) in [
        (0, Answer::Addresses(vec![])),
        (2, Answer::Failed(2)),
        (3, Answer::NoSuchName),
        (5, Answer::Failed(5)),
        (0x0200, Answer::Truncated),
    ] {
        assert_eq!(answer(&query, &packet(&query, flags, &[])), Some(expected));
    }
}

#[test]
fn what_is_no_answer_to_the_question_is_none() {
    let asked = ask();
    let good = packet(&asked, 0, &[&record(QUESTION, 1, &[10, 0, 0, 1])]);
    assert!(answer(&asked, &good).is_some());
    let others = [
        query(0x1235, "server.example", Kind::A),
        query(0x1234, "server.example", Kind::Aaaa),
        query(0x1234, "server.exampl", Kind::A),
    ];
    for other in others.into_iter().flatten() {
        assert_eq!(answer(&other, &good), None);
    }
    // The question itself, sent back, is no response; and nothing that is cut off is one.
    assert_eq!(answer(&asked, &asked.bytes), None);
    for length in 0..good.len() {
        assert_eq!(answer(&asked, &good[..length]), None, "cut at {length}");
    }
}

#[test]
fn pointers_lead_backwards_or_nowhere() {
    let query = ask();
    let behind = |owner: &[u8]| answer(&query, &packet(&query, 0, &[&record(owner, 1, &[1; 4])]));
    let itself = (HEADER + query.name.len() + 4) as u8;
    assert_eq!(behind(&[0xc0, itself]), None);
    assert_eq!(behind(&[0xc0, itself + 2]), None);
    assert_eq!(behind(&[1, b'a', 0xc0, itself]), None);
    assert_eq!(behind(&[0xff, 0xff]), None);
    assert_eq!(behind(&[0x40, 0]), None, "a kind of label that is not in use");
    assert!(behind(&[0xc0, 12]).is_some());
}

proptest! {
    #[test] // nothing makes it panic or turn in circles, not even with the right head
    fn foreign_bytes_are_harmless(
        flags in 0..16_u16,
        counted in 0..40_u8,
        tail in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xc0), Just(12)], 0..512),
    ) {
        let query = ask();
        let mut bytes = packet(&query, flags, &[]);
        bytes[7] = counted;
        bytes.extend(&tail);
        answer(&query, &bytes);
        answer(&query, &tail);
    }

    #[test]
    fn one_flipped_bit_changes_no_more_than_the_addresses(at in 0..600_usize) {
        let query = ask();
        let mut bytes = packet(&query, 0, &[&record(QUESTION, 1, &[10, 0, 0, 1])]);
        let at = at % (bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        if let Some(Answer::Addresses(found)) = answer(&query, &bytes) {
            prop_assert!(found.len() <= 1);
        }
    }

    #[test]
    fn a_name_is_read_back_as_it_was_written(labels in proptest::collection::vec("[a-z0-9_-]{1,20}", 1..8)) {
        let name = labels.join(".");
        let encoded = encode_name(&name).expect("short enough");
        prop_assert_eq!(decode_name(&encoded[..encoded.len()]), Some(name));
    }
}
