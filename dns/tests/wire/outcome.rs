//! What a reply says about its question.

use grapeshot_dns::proto::{MAX_ALIASES, Name, Negative, Outcome, RData, RecordType, ResponseCode, rdata};

use super::messages::{AUTHORITATIVE, Raw, a, cname, name, ns, query, soa, wire_name};

const TYPE: RecordType = RecordType::A;

fn outcome(raw: &Raw) -> Outcome {
    outcome_of(raw, RecordType::A)
}

fn outcome_of(raw: &Raw, record_type: RecordType) -> Outcome {
    raw.parse().outcome(&query("www.example.", record_type))
}

fn reply(rcode: u16) -> Raw {
    Raw::reply(rcode, "www.example.", TYPE)
}

#[track_caller]
fn negative(outcome: Outcome) -> Negative {
    match outcome {
        Outcome::NoSuchName(negative) | Outcome::NoData(negative) => negative,
        other => panic!("{other:?}"),
    }
}

fn owners(records: &[grapeshot_dns::proto::Record]) -> Vec<Name> {
    records.iter().map(|record| record.name.clone()).collect()
}

#[test]
fn rfc_1034_section_4_3_1_records_of_the_name_answer() {
    let raw = reply(0).answer("www.example.", 60, a(1)).answer("WWW.Example.", 50, a(2));
    let Outcome::Answer(answer) = outcome(&raw) else { panic!() };
    assert_eq!(answer.aliases, []);
    assert_eq!(answer.records.len(), 2);
    assert_eq!(answer.ttl, 50, "RFC 2181, section 5.2: the least of a set");
}

#[test]
fn rfc_2181_section_5_equal_records_are_one() {
    let raw =
        reply(0).answer("www.example.", 60, a(1)).answer("www.example.", 60, a(2)).answer("WWW.example.", 50, a(1));
    let Outcome::Answer(answer) = outcome(&raw) else { panic!() };
    let data: Vec<String> = answer.records.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(data, ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(answer.ttl, 50, "RFC 2181, section 5.2: the least of a set");
}

#[test]
fn records_of_other_names_and_types_do_not_answer() {
    let raw = reply(0).answer("other.example.", 60, a(1)).answer("www.example.", 60, ns("ns.example."));
    let negative = negative(outcome(&raw));
    assert_eq!(negative.ttl, None);
}

#[test]
fn rfc_1034_section_3_6_2_aliases_are_followed_in_any_order() {
    let raw = reply(0).answer("c.example.", 300, a(1)).answer("b.example.", 20, cname("c.example.")).answer(
        "www.example.",
        60,
        cname("b.example."),
    );
    let Outcome::Answer(answer) = outcome(&raw) else { panic!() };
    assert_eq!(owners(&answer.aliases), [name("www.example."), name("b.example.")]);
    assert_eq!(owners(&answer.records), [name("c.example.")]);
    assert_eq!(answer.ttl, 20, "the least on the way");
}

#[test]
fn rfc_1034_section_3_6_2_asked_for_the_alias_itself_it_is_the_answer() {
    let raw = reply(0).answer("www.example.", 60, cname("b.example.")).answer("b.example.", 60, cname("c.example."));
    let Outcome::Answer(answer) = outcome_of(&raw, RecordType::CNAME) else { panic!() };
    assert_eq!(owners(&answer.records), [name("www.example.")]);
    assert_eq!(answer.aliases, []);
}

#[test]
fn rfc_1034_section_3_6_2_an_alias_of_which_the_reply_says_no_more_is_to_be_asked_for() {
    let raw = reply(0).answer("www.example.", 60, cname("b.other.")).answer("b.other.", 50, cname("c.other."));
    let Outcome::Alias(alias) = outcome(&raw) else { panic!() };
    assert_eq!(alias.target, name("c.other."));
    assert_eq!(alias.aliases.len(), 2);
    assert_eq!(alias.ttl, 50);
}

#[test]
fn the_authority_of_the_alias_says_nothing_about_its_target() {
    let raw = reply(0).answer("www.example.", 60, cname("b.other.")).authority("example.", 60, soa(60));
    assert!(matches!(outcome(&raw), Outcome::Alias(_)));
}

#[test]
fn aliases_in_a_circle_are_a_loop() {
    let raw = reply(0).answer("www.example.", 60, cname("b.example.")).answer("b.example.", 60, cname("WWW.example."));
    let Outcome::Loop { aliases } = outcome(&raw) else { panic!() };
    assert_eq!(aliases.len(), 2);
    let own = reply(0).answer("www.example.", 60, cname("www.example."));
    assert!(matches!(outcome(&own), Outcome::Loop { .. }));
}

#[test]
fn no_more_than_so_many_aliases_are_followed() {
    let chain = |length: usize| {
        let mut raw = reply(0).answer("www.example.", 60, cname("0.example."));
        for index in 1..length {
            raw = raw.answer(&format!("{}.example.", index - 1), 60, cname(&format!("{index}.example.")));
        }
        raw.answer(&format!("{}.example.", length - 1), 60, a(1))
    };
    let Outcome::Answer(answer) = outcome(&chain(MAX_ALIASES)) else { panic!() };
    assert_eq!(answer.aliases.len(), MAX_ALIASES);
    assert!(matches!(outcome(&chain(MAX_ALIASES + 1)), Outcome::Loop { .. }));
}

/// A DNAME record, which the decoder leaves as bytes.
fn dname(raw: Raw, owner: &str, target: &str) -> Raw {
    raw.answer_raw(&wire_name(owner), 39, 40, &wire_name(target))
}

#[test]
fn rfc_6672_section_3_1_the_alias_that_comes_with_a_dname_is_followed() {
    let raw = dname(reply(0), "example.", "other.").answer("www.example.", 40, cname("www.other.")).answer(
        "www.other.",
        60,
        a(1),
    );
    let Outcome::Answer(answer) = outcome(&raw) else { panic!() };
    assert_eq!(owners(&answer.aliases), [name("www.example.")]);
}

#[test]
fn rfc_6672_section_2_2_a_dname_alone_stands_for_all_names_below_it() {
    let raw = dname(reply(0), "example.", "other.").answer("www.other.", 60, a(1));
    let Outcome::Answer(answer) = outcome(&raw) else { panic!() };
    assert_eq!(answer.aliases[0].data, cname("www.other."));
    assert_eq!(answer.ttl, 40);
    let owner = dname(reply(0), "www.example.", "other.").answer("other.", 60, a(1));
    assert!(matches!(outcome(&owner), Outcome::NoData(_)), "not for its own name");
    let beside = dname(reply(0), "ample.", "other.").answer("www.other.", 60, a(1));
    assert!(matches!(outcome(&beside), Outcome::NoData(_)), "nor for one beside it");
}

#[test]
fn rfc_6672_section_2_2_a_dname_that_makes_the_name_too_long_is_not_followed() {
    let long = format!("{0}.{0}.{0}.{1}.", "x".repeat(63), "y".repeat(60));
    let raw = dname(reply(0), "example.", &long);
    assert!(matches!(outcome(&raw), Outcome::NoData(_)));
}

#[test]
fn a_dname_that_leads_below_itself_is_a_loop() {
    let raw = dname(reply(0), "example.", "a.example.");
    assert!(matches!(outcome(&raw), Outcome::Loop { .. }));
}

#[test]
fn rfc_2308_section_2_1_no_such_name() {
    let negative = match outcome(&reply(3).authority("example.", 300, soa(60))) {
        Outcome::NoSuchName(negative) => negative,
        other => panic!("{other:?}"),
    };
    assert_eq!(negative.name, name("www.example."));
    assert_eq!(negative.soa.unwrap().name, name("example."));
}

#[test]
fn rfc_6604_section_3_no_such_name_is_about_the_last_of_the_aliases() {
    let raw = reply(3).answer("www.example.", 30, cname("gone.example.")).authority("example.", 300, soa(60));
    let Outcome::NoSuchName(negative) = outcome(&raw) else { panic!() };
    assert_eq!(negative.name, name("gone.example."));
    assert_eq!(negative.aliases.len(), 1);
    assert_eq!(negative.ttl, Some(30), "no longer than the alias holds");
}

#[test]
fn rfc_2308_section_2_2_no_data_has_an_authority_and_no_records() {
    let raw = reply(0).authority("example.", 300, soa(60));
    assert!(matches!(outcome(&raw), Outcome::NoData(_)));
    let with_servers = raw.authority("example.", 300, ns("ns.example."));
    assert!(matches!(outcome(&with_servers), Outcome::NoData(_)), "type 1");
    assert!(matches!(outcome(&reply(0)), Outcome::NoData(Negative { soa: None, ttl: None, .. })), "type 3");
}

#[test]
fn rfc_2308_section_2_2_1_servers_without_authority_are_a_referral() {
    let raw = reply(0)
        .authority("example.", 300, ns("ns1.example."))
        .authority("example.", 300, ns("ns2.example."))
        .authority("other.", 300, ns("ns.other."));
    let Outcome::Referral(referral) = outcome(&raw) else { panic!() };
    assert_eq!(referral.zone, name("example."));
    assert_eq!(referral.servers, [name("ns1.example."), name("ns2.example.")]);
}

#[test]
fn a_referral_to_the_root_or_to_another_zone_is_lame() {
    for zone in [".", "other.", "a.www.example."] {
        let raw = reply(0).authority(zone, 300, ns("ns.other."));
        assert!(matches!(outcome(&raw), Outcome::Lame(_)), "{zone}");
    }
}

#[test]
fn rfc_2308_section_5_the_lesser_of_ttl_and_minimum_holds() {
    let ttl = |ttl, minimum| negative(outcome(&reply(3).authority("example.", ttl, soa(minimum)))).ttl;
    assert_eq!(ttl(300, 60), Some(60));
    assert_eq!(ttl(30, 60), Some(30));
    assert_eq!(ttl(30, 0x8000_0000), Some(0), "RFC 2181, section 8");
    assert_eq!(negative(outcome(&reply(3))).ttl, None, "not to be remembered without");
}

#[test]
fn an_authority_over_another_zone_is_of_no_use() {
    let negative = negative(outcome(&reply(3).authority("other.", 300, soa(60))));
    assert_eq!((negative.soa, negative.ttl), (None, None));
}

#[test]
fn failures_are_told_apart() {
    assert_eq!(outcome(&reply(2)), Outcome::ServerFailure);
    assert_eq!(outcome(&reply(5)), Outcome::Refused);
    assert_eq!(outcome(&reply(1)), Outcome::Failed(ResponseCode::FormErr));
    assert_eq!(outcome(&reply(4)), Outcome::Failed(ResponseCode::NotImp));
    assert_eq!(outcome(&reply(0).opt(512, 0x0100_0000, &[])), Outcome::Failed(ResponseCode::BADVERS));
    assert_eq!(outcome(&reply(7).opt(512, 0x0100_0000, &[])), Outcome::Failed(ResponseCode::BADCOOKIE));
}

#[test]
fn rfc_1035_section_3_2_3_any_is_answered_by_all_records_of_the_name() {
    let raw = reply(0).answer("www.example.", 60, a(1)).answer("www.example.", 50, cname("b.example.")).answer(
        "b.example.",
        40,
        a(2),
    );
    let Outcome::Answer(answer) = outcome_of(&raw, RecordType::ANY) else { panic!() };
    assert_eq!(answer.records.len(), 2);
    assert_eq!(answer.ttl, 50);
    let hinfo = RData::HINFO(rdata::HINFO::new("RFC8482".to_owned(), String::new()));
    let Outcome::Answer(answer) = outcome_of(&reply(0).answer("www.example.", 9, hinfo), RecordType::ANY) else {
        panic!()
    };
    assert_eq!(answer.records.len(), 1, "RFC 8482, section 4.2");
}

#[test]
fn authority_makes_no_difference_to_an_answer() {
    let raw = reply(0).answer("www.example.", 60, a(1));
    assert_eq!(outcome(&raw), outcome(&raw.clone().flags(AUTHORITATIVE)));
}
