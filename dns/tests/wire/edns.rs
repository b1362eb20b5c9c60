//! What the OPT record of a reply says.

use grapeshot_dns::proto::{ExtendedError, MAX_EXTENDED_ERROR_TEXT, MAX_EXTENDED_ERRORS, RecordType, Reply};

use super::messages::Raw;

fn reply(options: &[(u16, &[u8])]) -> Reply {
    Raw::reply(2, "a.", RecordType::A).opt(1232, 0x0000_8000, options).parse()
}

#[test]
fn rfc_6891_section_6_1_3_its_fields_are_read() {
    let reply = Raw::reply(0, "a.", RecordType::A).opt(4096, 0x0005_8000, &[(3, b"ns1"), (65001, b"")]).parse();
    let edns = reply.edns().unwrap();
    assert_eq!((edns.udp_size, edns.version, edns.dnssec_ok), (4096, 5, true));
    assert_eq!(edns.option(3), Some(&b"ns1"[..]));
    assert_eq!(edns.option(65001), Some(&b""[..]));
    assert_eq!(edns.option(4), None);
}

#[test]
fn rfc_6891_section_6_2_3_a_size_below_512_counts_as_512() {
    let reply = Raw::reply(0, "a.", RecordType::A).opt(0, 0, &[]).parse();
    assert_eq!(reply.edns().unwrap().udp_size, 512);
    assert!(!reply.edns().unwrap().dnssec_ok);
}

#[test]
fn rfc_8914_section_2_every_extended_error_is_told() {
    let errors =
        reply(&[(15, b"\x00\x12not from there"), (3, b"x"), (15, b"\x00\x16"), (15, b"\x00")]).extended_errors();
    assert_eq!(
        errors,
        [
            ExtendedError { code: 18, text: "not from there".to_owned() },
            ExtendedError { code: 22, text: String::new() },
        ]
    );
    assert_eq!(errors[0].to_string(), "Prohibited (18): not from there");
    assert_eq!(errors[1].to_string(), "No Reachable Authority (22)");
}

#[test]
fn rfc_8914_section_4_codes_have_names() {
    let name = |code| ExtendedError { code, text: String::new() }.name();
    assert_eq!(name(0), Some("Other"));
    assert_eq!(name(6), Some("DNSSEC Bogus"));
    assert_eq!(name(9), Some("DNSKEY Missing"));
    assert_eq!(name(15), Some("Blocked"));
    assert_eq!(name(24), Some("Invalid Data"));
    assert_eq!(name(49152), None);
    assert_eq!(ExtendedError { code: 49152, text: String::new() }.to_string(), "extended error (49152)");
}

#[test]
fn rfc_8914_section_2_the_text_is_not_trusted() {
    let text = |text: &[u8]| {
        let data = [b"\x00\x00", text].concat();
        reply(&[(15, &data)]).extended_errors()[0].text.clone()
    };
    assert_eq!(text(b"with a zero\0"), "with a zero");
    assert_eq!(text(b"\x1b[31mred\n"), "\u{fffd}[31mred\u{fffd}");
    assert_eq!(text(b"\xff"), "\u{fffd}");
}

#[test]
fn extended_errors_are_bounded_in_number_and_length() {
    let long = [b"\x00\x00", "ü".repeat(1000).as_bytes()].concat();
    let options: Vec<(u16, &[u8])> = vec![(15, &long); MAX_EXTENDED_ERRORS + 1];
    let errors = reply(&options).extended_errors();
    assert_eq!(errors.len(), MAX_EXTENDED_ERRORS);
    assert_eq!(errors[0].text, "ü".repeat(MAX_EXTENDED_ERROR_TEXT / 2));
}

#[test]
fn without_an_opt_record_nothing_is_said() {
    let reply = Raw::reply(2, "a.", RecordType::A).parse();
    assert!(reply.edns().is_none());
    assert_eq!(reply.extended_errors(), []);
    assert_eq!(reply.cookie(), None);
}
