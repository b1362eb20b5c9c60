//! Records as master files write them.

use grapeshot_dns::proto::{
    RData, Record, RecordType, Style, TextStyle, parse_type, present_data, present_name, present_record, rdata,
    type_name,
};

use super::messages::{Raw, a, cname, name};

/// What `dig` makes of the same bytes.
const VECTORS: &str = include_str!("dig_vectors.txt");

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A record as it comes from a server.
fn record(record_type: u16, data: &[u8]) -> Record {
    Raw::reply(0, "a.", RecordType::A).answer_raw(&[0], record_type, 60, data).parse().answers()[0].clone()
}

fn write(record_type: u16, data: &[u8], style: Style) -> String {
    present_data(&record(record_type, data).data, style).to_string()
}

#[test]
fn rfc_1035_section_5_1_every_type_is_written_as_dig_writes_it() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [record_type, data, type_text, expected] = line.splitn(4, '|').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let record_type = record_type.parse().unwrap();
        let written = write(record_type, &bytes_of(data), Style::MASTER);
        if written != expected || type_name(RecordType::from(record_type)) != type_text {
            wrong.push(format!("{type_text} {expected}\n{written}"));
        }
        count += 1;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 60, "{count}");
}

#[test]
fn every_type_that_the_decoder_knows_has_a_vector() {
    let has_vector = |code: u16| VECTORS.lines().any(|line| line.starts_with(&format!("{code}|")));
    // These never come as the data of an answer: OPT, questions, signatures of messages; ANAME has no number of its own.
    let others = ["OPT", "AXFR", "IXFR", "ANY", "SIG", "TSIG", "ANAME"];
    for code in (0..300).map(RecordType::from).filter(|code| !matches!(code, RecordType::Unknown(_) | RecordType::ZERO))
    {
        let name = type_name(code);
        assert!(has_vector(code.into()) || others.contains(&&*name), "{name}");
    }
}

#[test]
fn without_the_last_dot_and_in_lower_case_every_name_in_the_data_changes() {
    let plain = |record_type, data: &[u8]| write(record_type, data, Style::PLAIN);
    assert_eq!(plain(2, b"\x02NS\x07Example\0"), "ns.example");
    assert_eq!(plain(2, b"\0"), ".", "the root is nothing but its dot");
    assert_eq!(plain(6, b"\x01A\0\x01B\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"), "a b 1 2 3 4 5");
    assert_eq!(plain(33, b"\0\x01\0\x02\0\x03\x01S\0"), "1 2 3 s");
    assert_eq!(plain(39, b"\x01X\x01Y\0"), "x.y");
    assert_eq!(plain(47, b"\x01N\0\0\x01\x40"), "n A", "types stay as they are");
    assert_eq!(plain(65, b"\0\x01\x01T\0\0\x01\0\x03\x02H2"), "1 t alpn=\"H2\"", "and so do protocols");
    assert_eq!(plain(13, b"\x01A\x01B"), "\"A\" \"B\"", "and strings");
}

#[test]
fn the_strings_of_a_text_are_written_in_three_ways() {
    let text = |text, data: &[u8]| write(16, data, Style { text, ..Style::PLAIN });
    let data = b"\x03a \"\x02b\\\x01\xe9";
    assert_eq!(text(TextStyle::Quoted, data), r#""a \"" "b\\" "\233""#);
    assert_eq!(text(TextStyle::Joined, data), r#""a \"b\\\233""#);
    assert_eq!(text(TextStyle::Bare, data), r#"a "b\\\233"#);
    assert_eq!(text(TextStyle::Joined, b"\0\0"), r#""""#);
    assert_eq!(text(TextStyle::Bare, b"\0"), "");
}

#[test]
fn rfc_3597_section_5_what_does_not_fit_its_type_is_written_as_bytes() {
    // The decoder leaves these as bytes, so they reach the writer as they came.
    assert_eq!(write(43, b"\0\x01\x05", Style::MASTER), r"\# 3 000105");
    assert_eq!(write(47, b"\x05ab", Style::MASTER), r"\# 3 056162");
    assert_eq!(write(39, b"\x01x\0y", Style::MASTER), r"\# 4 01780079");
    assert_eq!(write(39, b"\xc0\x0c", Style::MASTER), r"\# 2 C00C", "no pointer is followed");
}

#[test]
fn rfc_9460_section_2_1_malformed_parameters_are_written_as_bytes() {
    let odd = rdata::svcb::SvcParamValue::Unknown(rdata::svcb::Unknown(vec![1, 2, 3]));
    let svcb = rdata::SVCB::new(1, name("."), vec![(rdata::svcb::SvcParamKey::Port, odd)]);
    assert_eq!(present_data(&RData::SVCB(svcb), Style::MASTER).to_string(), r"\# 10 00010000030003010203");
}

#[test]
fn a_record_is_written_with_its_owner() {
    let record = Record::from_rdata(name("WWW.example."), 60, cname("b.Example."));
    assert_eq!(present_record(&record, Style::MASTER).to_string(), "WWW.example.\t60\tIN\tCNAME\tb.Example.");
    assert_eq!(present_record(&record, Style::PLAIN).to_string(), "www.example\t60\tIN\tCNAME\tb.example");
    let unknown = Record::from_rdata(name("a."), 1, self::record(731, b"x").data);
    assert_eq!(present_record(&unknown, Style::MASTER).to_string(), "a.\t1\tIN\tTYPE731\t\\# 1 78");
}

#[test]
fn rfc_4343_section_2_1_bytes_in_names_are_escaped() {
    let name = name(r"a\.b\032\255\@.c.");
    assert_eq!(present_name(&name, Style::MASTER).to_string(), r"a\.b\032\255\@.c.");
    assert_eq!(present_name(&name, Style::PLAIN).to_string(), r"a\.b\032\255\@.c");
}

#[test]
fn values_made_by_a_program_are_written_as_those_of_a_server() {
    assert_eq!(present_data(&a(7), Style::MASTER).to_string(), "192.0.2.7");
    let soa = RData::SOA(rdata::SOA::new(name("ns.example."), name("root.example."), 1, -1, 3, 4, 5));
    let expected = "ns.example. root.example. 1 4294967295 3 4 5";
    assert_eq!(present_data(&soa, Style::MASTER).to_string(), expected, "nothing is compressed");
}

#[test]
fn rfc_3597_section_5_a_type_has_a_name_and_is_found_by_it() {
    for code in 0..=u16::MAX {
        let record_type = RecordType::from(code);
        let name = type_name(record_type);
        assert_eq!(parse_type(&name), Some(record_type), "{name}");
        assert_eq!(parse_type(&name.to_lowercase()), Some(record_type), "{name}");
        assert_eq!(parse_type(&format!("TYPE{code}")), Some(record_type));
    }
    for text in ["", "TYPE", "TYPE65536", "TYPE+1", "TYPE1x", "A ", "Unknown"] {
        assert_eq!(parse_type(text), None, "{text:?}");
    }
}
