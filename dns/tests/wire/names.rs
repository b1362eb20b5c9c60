//! Names as people type them, and names in reverse.

use std::net::IpAddr;

use grapeshot_dns::proto::{
    MAX_NAME_TEXT, Name, NameError, Style, is_within, parse_name, present_name, reverse_address, reverse_name,
};

use super::messages::name;

fn labels(text: &str) -> Vec<Vec<u8>> {
    name(text).iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn rfc_1034_section_3_1_a_name_with_a_last_dot_is_absolute() {
    assert!(name("www.example.").is_fqdn());
    assert!(!name("www.example").is_fqdn());
    assert!(!name("www").is_fqdn());
    assert!(name(".").is_root());
    assert_eq!(labels("www.example."), labels("www.example"));
}

#[test]
fn rfc_1035_section_5_1_a_backslash_escapes() {
    assert_eq!(labels(r"a\.b.c"), [b"a.b".to_vec(), b"c".to_vec()]);
    assert_eq!(labels(r"\\\032\255"), [vec![b'\\', b' ', 255]], "decimal, not octal");
    assert_eq!(labels(r"\@"), [b"@".to_vec()]);
    assert!(!name(r"a\.").is_fqdn(), "an escaped dot ends no name");
    for (text, at) in [(r"a\", 1), (r"\25", 0), (r"\256", 0), (r"\2x5", 0), (r"ab\é", 2)] {
        assert_eq!(parse_name(text), Err(NameError::Escape { at }), "{text}");
    }
}

#[test]
fn rfc_1035_section_2_3_1_no_label_is_empty() {
    for (text, at) in [("", 0), (".a", 0), ("a..b", 2), ("a..", 2), ("..", 0)] {
        assert_eq!(parse_name(text), Err(NameError::EmptyLabel { at }), "{text}");
    }
}

#[test]
fn rfc_1035_section_2_3_4_a_label_takes_at_most_63_bytes() {
    let label = "x".repeat(63);
    assert_eq!(labels(&format!("a.{label}")).len(), 2);
    assert_eq!(parse_name(&format!("a.{label}x")), Err(NameError::LabelTooLong { at: 2 }));
}

#[test]
fn rfc_1035_section_2_3_4_a_name_takes_at_most_255_bytes() {
    let start = format!("{0}.{0}.{0}.", "x".repeat(63));
    assert_eq!(labels(&format!("{start}{}.", "y".repeat(61))).len(), 4);
    for end in ["y".repeat(62), format!("{}.z", "y".repeat(60))] {
        assert_eq!(parse_name(&format!("{start}{end}")), Err(NameError::TooLong));
    }
    let many = "a.".repeat(127);
    assert_eq!(labels(&many).len(), 127);
    assert_eq!(parse_name(&format!("{many}a.")), Err(NameError::TooLong));
    assert_eq!(parse_name(&"ü.".repeat(MAX_NAME_TEXT)), Err(NameError::TooLong));
}

#[test]
fn rfc_1123_section_2_1_a_label_may_begin_with_a_digit() {
    assert_eq!(labels("3com.example"), [b"3com".to_vec(), b"example".to_vec()]);
}

#[test]
fn rfc_2181_section_11_any_byte_may_be_in_a_label() {
    assert_eq!(labels("_sip._tcp.a/b"), [b"_sip".to_vec(), b"_tcp".to_vec(), b"a/b".to_vec()]);
    assert_eq!(labels("*.example")[0], b"*");
    assert_eq!(labels("-a-")[0], b"-a-");
}

#[test]
fn blanks_and_control_characters_need_an_escape() {
    for (text, at) in [("a b", 1), ("a\t", 1), ("\na", 0), ("a.b\u{a0}", 3), ("\u{7f}", 0)] {
        assert_eq!(parse_name(text), Err(NameError::Character { at }), "{text:?}");
    }
}

#[test]
fn rfc_4343_section_3_case_is_kept_and_does_not_matter() {
    assert_eq!(name("WWW.Example.").to_ascii(), "WWW.Example.");
    assert_eq!(name("WWW.Example."), name("www.example."));
}

#[test]
fn rfc_5891_section_4_other_scripts_become_ascii() {
    assert_eq!(labels("bücher.example")[0], b"xn--bcher-kva");
    assert_eq!(labels("BÜCHER.example")[0], b"xn--bcher-kva", "mapped to lower case");
    assert_eq!(labels("例え。テスト"), [b"xn--r8jz45g".to_vec(), b"xn--zckzah".to_vec()], "with its own full stop");
    assert_eq!(labels("xn--bcher-kva")[0], b"xn--bcher-kva");
    assert_eq!(labels("faß.de")[0], b"xn--fa-hia", "not the mapping of 2003");
    assert!(name("テスト。").is_fqdn());
}

#[test]
fn rfc_5891_section_4_what_no_script_allows_is_refused() {
    let long = "ü".repeat(63);
    for (text, at) in [("a.\u{200b}ü b".trim_end_matches(" b"), 2), (long.as_str(), 0), ("ü\u{fffd}", 0), ("a.ü_b", 2)]
    {
        // Zero-width space is dropped by the mapping, the others are not allowed.
        match parse_name(text) {
            Ok(name) => assert_eq!(name.iter().nth(1), Some(&b"xn--tda"[..]), "{text}"),
            Err(error) => assert_eq!(error, NameError::Script { at }, "{text}"),
        }
    }
    assert_eq!(parse_name(&long), Err(NameError::Script { at: 0 }));
}

#[test]
fn errors_say_where() {
    assert_eq!(NameError::EmptyLabel { at: 2 }.to_string(), "the name has an empty label at byte 2");
    assert_eq!(NameError::Character { at: 1 }.to_string(), "the name has a blank or control character at byte 1");
}

#[test]
fn what_is_written_is_read_again() {
    for text in ["www.example.", ".", r"a\.b.c\\d.\000\255\032x.", "_a.*.", "a.b"] {
        let name = name(text);
        let style = Style { last_dot: name.is_fqdn(), ..Style::MASTER };
        let written = present_name(&name, style).to_string();
        let again = parse_name(&written).unwrap();
        assert!(again.eq_case(&name), "{text} became {written}");
    }
}

#[test]
fn rfc_1035_section_3_5_ipv4_addresses_in_reverse() {
    let reversed = reverse_name("192.0.2.53".parse().unwrap());
    assert_eq!(reversed.to_ascii(), "53.2.0.192.in-addr.arpa.");
    assert_eq!(reverse_address(&reversed), Some("192.0.2.53".parse().unwrap()));
}

#[test]
fn rfc_3596_section_2_5_ipv6_addresses_in_reverse() {
    let address: IpAddr = "4321:0:1:2:3:4:567:89ab".parse().unwrap();
    let reversed = reverse_name(address);
    let expected = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.";
    assert_eq!(reversed.to_ascii(), expected);
    assert_eq!(reverse_address(&reversed), Some(address));
    assert_eq!(reverse_address(&name(&expected.to_uppercase())), Some(address));
}

#[test]
fn other_names_are_no_addresses_in_reverse() {
    for text in [
        "2.0.192.in-addr.arpa.",
        "1.2.3.4.5.in-addr.arpa.",
        "256.2.0.192.in-addr.arpa.",
        "01.2.0.192.in-addr.arpa.",
        "+1.2.0.192.in-addr.arpa.",
        "1.2.0.192.ip6.arpa.",
        "1.2.0.192.in-addr.example.",
        "a.example.",
        "in-addr.arpa.",
        ".",
    ] {
        assert_eq!(reverse_address(&name(text)), None, "{text}");
    }
    let nibble = format!("{}ip6.arpa.", "g.".repeat(32));
    assert_eq!(reverse_address(&name(&nibble)), None);
}

#[test]
fn rfc_1034_section_3_1_a_name_lies_within_its_zones() {
    let within = |inner, outer| is_within(&name(inner), &name(outer));
    assert!(within("a.b.c.", "b.c."));
    assert!(within("A.B.C.", "b.c."));
    assert!(within("b.c.", "b.c."));
    assert!(within("b.c.", "."));
    assert!(!within("c.", "b.c."));
    assert!(!within("xb.c.", "b.c."), "by whole labels");
    assert!(is_within(&Name::root(), &Name::root()));
}
