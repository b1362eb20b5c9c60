//! What a reply consists of, and whose it is.

use std::net::Ipv4Addr;

use grapeshot_dns::proto::{Query, QueryOptions, RecordType, Reply, ResponseCode, rcode_name, records_of};

use super::messages::{AUTHORITATIVE, ID, RESPONSE, Raw, TO_QUESTION, TRUNCATED, a, name, ns, query, soa, wire_name};

#[test]
fn rfc_1035_section_4_1_1_the_header_is_told_in_full() {
    let reply = Raw::reply(3, "a.example.", RecordType::A).flags(AUTHORITATIVE | TRUNCATED | 0x00A0).parse();
    assert_eq!(reply.id(), ID);
    assert_eq!(reply.rcode(), ResponseCode::NXDomain);
    assert!(reply.is_authoritative());
    assert!(reply.is_truncated());
    assert!(reply.is_recursion_available());
    assert!(reply.is_authentic());
    let bare = Raw::reply(0, "a.example.", RecordType::A).parse();
    assert!(!bare.is_authoritative() && !bare.is_truncated());
    assert!(!bare.is_recursion_available() && !bare.is_authentic());
}

#[test]
fn rfc_1035_section_4_1_every_section_is_read() {
    let raw = Raw::reply(0, "a.example.", RecordType::A)
        .answer_raw(&TO_QUESTION, 1, 60, &[192, 0, 2, 1])
        .answer("a.example.", 60, a(2))
        .authority("example.", 60, ns("ns.example."))
        .record(&wire_name("ns.example."), 1, 1, 30, &[192, 0, 2, 9])
        .count(10)
        .opt(1400, 0, &[]);
    let reply = raw.parse();
    assert_eq!(reply.question(), Some((&name("a.example."), RecordType::A)));
    assert_eq!(records_of::<Ipv4Addr>(reply.answers()), [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)]);
    assert_eq!(reply.answers()[0].name, name("a.example."));
    assert_eq!(reply.authorities().len(), 1);
    assert_eq!(reply.additionals().len(), 1, "without the OPT record");
    assert_eq!(reply.edns().unwrap().udp_size, 1400);
    assert_eq!(reply.message_length(), raw.bytes.len());
}

#[test]
fn rfc_1035_section_4_1_4_names_in_data_may_be_compressed() {
    // MX 10 mail.<the question's name>
    let mut data = vec![0, 10, 4];
    data.extend(b"mail");
    data.extend(TO_QUESTION);
    let reply = Raw::reply(0, "a.example.", RecordType::MX).answer_raw(&TO_QUESTION, 15, 60, &data).parse();
    let mx: Vec<grapeshot_dns::proto::Mx> = records_of(reply.answers());
    assert_eq!(mx[0].exchange, name("mail.a.example."));
}

#[test]
fn rfc_2181_section_8_a_ttl_beyond_31_bits_is_zero() {
    let ttl = |ttl| Raw::reply(0, "a.", RecordType::A).answer("a.", ttl, a(1)).parse().answers()[0].ttl;
    assert_eq!(ttl(0x7FFF_FFFF), 0x7FFF_FFFF);
    assert_eq!(ttl(0x8000_0000), 0);
}

#[test]
fn rfc_2181_section_9_a_truncated_reply_may_end_anywhere_behind_its_question() {
    let raw = Raw::reply(0, "a.", RecordType::A).flags(TRUNCATED).answer("a.", 60, a(1)).answer("a.", 60, a(2));
    for length in 19..=raw.bytes.len() {
        let reply = Reply::parse(&raw.bytes[..length]).unwrap();
        assert!(reply.is_truncated());
        assert!(reply.answers().len() <= 2);
    }
    assert!(Reply::parse(&raw.bytes[..18]).is_err(), "the question itself is needed");
}

#[test]
fn rfc_3597_section_3_the_data_of_an_unknown_type_is_kept() {
    let reply = Raw::reply(0, "a.", RecordType::from(731)).answer_raw(&[0], 731, 1, &[1, 2, 3]).parse();
    assert_eq!(reply.answers()[0].record_type(), RecordType::from(731));
    let empty = Raw::reply(0, "a.", RecordType::from(731)).answer_raw(&[0], 731, 1, &[]).parse();
    assert_eq!(empty.answers().len(), 1);
}

#[test]
fn rfc_6891_section_6_1_3_the_opt_record_extends_the_response_code() {
    let reply = Raw::reply(0, "a.", RecordType::A).opt(1232, 0x0100_0000, &[]).parse();
    assert_eq!(reply.rcode(), ResponseCode::BADVERS, "RFC 6891, section 9: 16");
    let reply = Raw::reply(7, "a.", RecordType::A).opt(1232, 0x0100_0000, &[]).parse();
    assert_eq!(reply.rcode(), ResponseCode::BADCOOKIE);
}

#[test]
fn every_registered_response_code_has_its_name() {
    let names: Vec<String> = (0..=23).map(|code: u16| rcode_name(code.into()).into_owned()).collect();
    let expected = "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI \
                    RCODE12 RCODE13 RCODE14 RCODE15 BADSIG BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE";
    assert_eq!(names.join(" "), expected);
    assert_eq!(rcode_name(ResponseCode::BADVERS), "BADVERS");
}

#[test]
fn rfc_5452_section_9_1_a_reply_belongs_to_its_question_only() {
    let asked = query("a.example.", RecordType::A);
    let reply = |name, record_type| Raw::reply(0, name, record_type).parse();
    assert!(reply("a.example.", RecordType::A).belongs_to(&asked, ID));
    assert!(!reply("a.example.", RecordType::A).belongs_to(&asked, ID + 1), "the id of another");
    assert!(!reply("b.example.", RecordType::A).belongs_to(&asked, ID), "another name");
    assert!(!reply("a.example.", RecordType::AAAA).belongs_to(&asked, ID), "another type");
    let is_query = Raw::header(0).question("a.example.", RecordType::A).parse();
    assert!(!is_query.belongs_to(&asked, ID), "a question, not a reply");
    let notify = Raw::header(RESPONSE | 0x2000).question("a.example.", RecordType::A).parse();
    assert!(!notify.belongs_to(&asked, ID), "another opcode");
}

#[test]
fn rfc_4343_section_3_case_does_not_matter_unless_it_was_chosen_at_random() {
    let options = QueryOptions { random_case: Some(5), ..QueryOptions::default() };
    let cased = Query::new(name("example.org."), RecordType::A, &options);
    let echoed = cased.name().to_ascii();
    assert_ne!(echoed, "example.org.", "the seed changes something");
    assert!(Raw::reply(0, &echoed, RecordType::A).parse().belongs_to(&cased, ID));
    assert!(!Raw::reply(0, "example.org.", RecordType::A).parse().belongs_to(&cased, ID));
    let plain = query("example.org.", RecordType::A);
    assert!(Raw::reply(0, "EXAMPLE.org.", RecordType::A).parse().belongs_to(&plain, ID));
}

#[test]
fn a_server_that_does_not_understand_need_not_repeat_the_question() {
    let asked = query("a.", RecordType::A);
    for (rcode, belongs) in [(1, true), (4, true), (0, false), (2, false), (3, false), (5, false)] {
        let reply = Raw::header(RESPONSE | rcode).parse();
        assert_eq!(reply.belongs_to(&asked, ID), belongs, "response code {rcode}");
    }
}

#[test]
fn the_id_of_a_message_is_found_without_reading_it() {
    assert_eq!(Reply::id_of(&Raw::header(0).bytes), Some(ID));
    assert_eq!(Reply::id_of(&[1; 11]), None);
}

#[test]
fn the_zone_of_an_authority_keeps_its_fields() {
    let reply = Raw::reply(0, "a.", RecordType::SOA).answer("a.", 60, soa(77)).parse();
    let soa: Vec<grapeshot_dns::proto::Soa> = records_of(reply.answers());
    assert_eq!((soa[0].serial, soa[0].expire, soa[0].minimum), (1, 4, 77));
}
