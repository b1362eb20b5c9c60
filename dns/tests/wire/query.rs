//! The bytes that ask.

use grapeshot_dns::proto::{Cookie, Query, QueryOptions, RecordType};

use super::messages::{name, query};

fn encode(query: &Query) -> Vec<u8> {
    let mut bytes = Vec::new();
    query.encode(0xABCD, &mut bytes);
    bytes
}

fn with(change: impl FnOnce(&mut QueryOptions)) -> Vec<u8> {
    let mut options = QueryOptions::default();
    change(&mut options);
    encode(&Query::new(name("a.b."), RecordType::AAAA, &options))
}

#[test]
fn rfc_1035_section_4_1_a_query_without_edns_is_a_header_and_a_question() {
    let bytes = with(|options| options.edns_size = None);
    let expected = [0xAB, 0xCD, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 1, b'b', 0, 0, 28, 0, 1];
    assert_eq!(bytes, expected);
}

#[test]
fn rfc_6891_section_6_1_2_the_opt_record_tells_the_size_of_replies() {
    let bytes = with(|_| {});
    assert_eq!(bytes[10..12], [0, 1], "one additional record");
    assert_eq!(bytes[21..], [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn rfc_6891_section_6_2_3_a_size_below_512_is_sent_as_512() {
    let bytes = with(|options| options.edns_size = Some(100));
    assert_eq!(bytes[24..26], [0x02, 0x00]);
}

#[test]
fn each_flag_is_sent_when_asked_for() {
    let flags = |bytes: Vec<u8>| u16::from_be_bytes([bytes[2], bytes[3]]);
    assert_eq!(flags(with(|options| options.recursion_desired = false)), 0);
    assert_eq!(flags(with(|options| options.authentic_data = true)), 0x0120);
    assert_eq!(flags(with(|options| options.checking_disabled = true)), 0x0110);
    let bytes = with(|options| options.dnssec_ok = true);
    assert_eq!(bytes[28..30], [0x80, 0], "RFC 3225, section 3");
}

#[test]
fn rfc_7873_section_4_the_cookie_is_an_option() {
    let bytes = with(|options| options.cookie = Some(Cookie::client(*b"12345678")));
    assert_eq!(bytes[30..32], [0, 12]);
    assert_eq!(bytes[32..36], [0, 10, 0, 8]);
    assert_eq!(&bytes[36..], b"12345678");
}

#[test]
fn rfc_8467_section_4_1_a_padded_query_fills_its_block() {
    for cookie in [None, Some(Cookie::client([7; 8]))] {
        let options = QueryOptions { cookie, ..QueryOptions::default() };
        let mut lengths = Vec::new();
        for length in 1..60 {
            let mut bytes = vec![9; 2];
            let asked = name(&format!("{}.", "x".repeat(length)));
            Query::new(asked, RecordType::A, &options).encode_padded(1, 128, &mut bytes);
            lengths.push(bytes.len() - 2);
            // The lengths that the options give add up to that of the record.
            let opt = 2 + 12 + length + 2 + 4;
            let data = usize::from(u16::from_be_bytes([bytes[opt + 9], bytes[opt + 10]]));
            assert_eq!(opt + 11 + data, bytes.len());
        }
        assert!(lengths.iter().all(|length| *length == 128), "{lengths:?}");
    }
}

#[test]
fn without_edns_there_is_nothing_to_pad_with() {
    let options = QueryOptions { edns_size: None, ..QueryOptions::default() };
    let query = Query::new(name("a."), RecordType::A, &options);
    let mut bytes = Vec::new();
    query.encode_padded(0xABCD, 128, &mut bytes);
    assert_eq!(bytes, encode(&query));
}

#[test]
fn a_message_is_appended_to_what_is_there() {
    let mut bytes = vec![0, 17];
    query("a.", RecordType::A).encode(1, &mut bytes);
    assert_eq!(bytes[..4], [0, 17, 0, 1]);
}

#[test]
fn a_relative_name_is_asked_for_as_it_is() {
    assert_eq!(encode(&query("a.b", RecordType::A)), encode(&query("a.b.", RecordType::A)));
    assert!(query("a.b", RecordType::A).name().is_fqdn());
}

#[test]
fn the_root_is_a_single_zero() {
    let bytes = encode(&query(".", RecordType::NS));
    assert_eq!(bytes[12..17], [0, 0, 2, 0, 1]);
}

#[test]
fn random_case_changes_letters_only_and_follows_its_seed() {
    let asked = name("an-example.org.");
    let cased = |seed| {
        let options = QueryOptions { random_case: Some(seed), ..QueryOptions::default() };
        Query::new(asked.clone(), RecordType::A, &options).name().to_ascii()
    };
    assert_eq!(cased(1), cased(1));
    let variants: std::collections::HashSet<String> = (0..64).map(cased).collect();
    assert!(variants.len() > 50, "{} of 64 seeds differ", variants.len());
    assert!(variants.iter().all(|variant| variant.eq_ignore_ascii_case("an-example.org.")));
}

#[test]
fn random_case_flips_every_letter_about_half_the_time() {
    // 100 letters, more than one word of random bits.
    let letters = format!("{}.{}.", "x".repeat(50), "y".repeat(50));
    let mut upper = [0_u32; 102];
    for seed in 0..1000 {
        let options = QueryOptions { random_case: Some(seed), ..QueryOptions::default() };
        let query = Query::new(name(&letters), RecordType::A, &options);
        for (count, byte) in upper.iter_mut().zip(query.name().to_ascii().bytes()) {
            *count += u32::from(byte.is_ascii_uppercase());
        }
    }
    let letters = upper.iter().enumerate().filter(|(index, _)| ![50, 101].contains(index));
    // Within seven standard deviations of 500.
    assert!(letters.clone().all(|(_, count)| (390..610).contains(count)), "{upper:?}");
}
