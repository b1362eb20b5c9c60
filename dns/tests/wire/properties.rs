//! Whatever the bytes, reading them ends, and with a named error or a reply.

use grapeshot_dns::proto::{
    Query, QueryOptions, RecordType, Reply, Style, parse_name, present_name, present_record, reverse_address,
    reverse_name,
};
use proptest::prelude::*;

use super::messages::{Raw, a, cname, name, ns, query, soa};

/// Uses all there is of a reply.
fn use_up(bytes: &[u8]) {
    let Ok(reply) = Reply::parse(bytes) else { return };
    for record_type in [RecordType::A, RecordType::ANY, RecordType::CNAME] {
        let query = query("www.example.", record_type);
        reply.belongs_to(&query, 1);
        reply.outcome(&query);
    }
    if let Some((name, record_type)) = reply.question() {
        reply.outcome(&Query::new(name.clone(), record_type, &QueryOptions::default()));
    }
    for error in reply.extended_errors() {
        error.to_string();
    }
    for record in reply.answers().iter().chain(reply.authorities()).chain(reply.additionals()) {
        for style in [Style::MASTER, Style::PLAIN] {
            present_record(record, style).to_string();
        }
    }
}

/// A reply with records of many types, compressed and not.
fn rich() -> Vec<u8> {
    let mut mx = vec![0, 10, 2, b'm', b'x'];
    mx.extend([0xC0, 12]);
    let mut https = vec![0, 1, 0];
    https.extend([0, 1, 0, 3, 2, b'h', b'2', 0, 3, 0, 2, 0, 80]);
    let raw = Raw::reply(0, "www.example.", RecordType::A)
        .answer("www.example.", 60, cname("b.example."))
        .answer_raw(&[0xC0, 12], 15, 60, &mx)
        .answer_raw(&[0xC0, 16], 65, 60, &https)
        .answer_raw(&[1, b'b', 0xC0, 16], 16, 60, b"\x03abc\x00")
        .answer_raw(&[0xC0, 12], 35, 60, b"\x00\x01\x00\x02\x01s\x03sip\x00\xc0\x0c")
        .answer_raw(&[0xC0, 12], 47, 60, b"\x01a\x00\x00\x02\x40\x01")
        .answer_raw(&[0xC0, 12], 257, 60, b"\x00\x05issueca")
        .answer_raw(&[0xC0, 12], 39, 60, b"\x01x\x00")
        .answer("b.example.", 60, a(1))
        .authority("example.", 60, ns("ns.example."))
        .authority("example.", 60, soa(60));
    raw.opt(1232, 0x8000, &[(15, b"\x00\x01text"), (10, b"12345678abcdefgh")]).bytes
}

#[test]
fn a_rich_reply_is_read() {
    let reply = Reply::parse(&rich()).unwrap();
    assert_eq!(reply.answers().len(), 9);
    assert_eq!(reply.authorities().len(), 2);
}

#[test]
fn every_prefix_of_a_message_ends_in_an_error() {
    let bytes = rich();
    for length in 0..bytes.len() {
        assert!(Reply::parse(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn every_byte_of_a_message_may_be_anything() {
    let bytes = rich();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            use_up(&changed);
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        use_up(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_plausible_header_are_read_or_refused(
        flags in any::<u16>(),
        counts in prop::array::uniform3(0_u16..4),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut raw = Raw::header(flags).question("www.example.", RecordType::A).bytes;
        for (at, count) in [6, 8, 10].into_iter().zip(counts) {
            raw[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        raw.extend(bytes);
        use_up(&raw);
    }

    #[test]
    fn data_of_any_type_is_read_or_refused(
        record_type in prop_oneof![0_u16..70, 240_u16..262, any::<u16>()],
        data in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        use_up(&Raw::reply(0, "www.example.", RecordType::A).answer_raw(&[0xC0, 12], record_type, 60, &data).bytes);
    }

    #[test]
    fn flipped_bits_are_read_or_refused(flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..12)) {
        let mut bytes = rich();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        use_up(&bytes);
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in "\\PC{0,80}") {
        if let Ok(name) = parse_name(&text) {
            let style = Style { last_dot: name.is_fqdn(), ..Style::MASTER };
            let again = parse_name(&present_name(&name, style).to_string()).unwrap();
            prop_assert!(again.eq_case(&name));
        }
    }

    #[test]
    fn any_label_is_written_so_that_it_is_read_again(label in prop::collection::vec(any::<u8>(), 1..64)) {
        let mut bytes = vec![label.len() as u8];
        bytes.extend(&label);
        bytes.push(0);
        let reply = Raw::header(0x8000).parse();
        prop_assert!(reply.question().is_none());
        let raw = Raw::reply(0, "a.", RecordType::A).answer_raw(&bytes, 731, 0, &[]).parse();
        let written = present_name(&raw.answers()[0].name, Style::MASTER).to_string();
        let again = parse_name(&written).unwrap();
        prop_assert_eq!(again.iter().next(), Some(label.as_slice()));
    }

    #[test]
    fn what_is_asked_is_what_a_server_reads(labels in prop::collection::vec("[a-zA-Z0-9-]{1,20}", 1..8), id in any::<u16>()) {
        let asked = name(&labels.join("."));
        let mut bytes = Vec::new();
        Query::new(asked.clone(), RecordType::TXT, &QueryOptions::default()).encode(id, &mut bytes);
        let read = hickory_proto::op::Message::from_vec(&bytes).unwrap();
        prop_assert_eq!(read.metadata.id, id);
        prop_assert!(read.queries[0].name().eq_ignore_root_case(&asked));
        prop_assert_eq!(read.edns.unwrap().max_payload(), 1232);
    }

    #[test]
    fn an_address_in_reverse_and_back_is_the_same(address in any::<std::net::IpAddr>()) {
        prop_assert_eq!(reverse_address(&reverse_name(address)), Some(address));
    }
}
