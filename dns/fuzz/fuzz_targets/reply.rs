//! Reads whatever comes as a reply, and uses all there is of it.
#![no_main]

use grapeshot_dns::proto::{
    CookieState, Name, Query, QueryOptions, RecordType, Reply, Style, parse_name, present_name, present_record,
    reverse_address,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reply) = Reply::parse(bytes) {
        use_up(&reply);
    }
    if let Ok(Ok(name)) = std::str::from_utf8(bytes).map(parse_name) {
        check_name(&name);
    }
});

fn use_up(reply: &Reply) {
    let options = QueryOptions { cookie: reply.cookie(), ..QueryOptions::default() };
    let name = reply.question().map_or_else(Name::root, |(name, _)| name.clone());
    for record_type in [RecordType::A, RecordType::CNAME, RecordType::ANY] {
        let query = Query::new(name.clone(), record_type, &options);
        let mut sent = Vec::new();
        query.encode_padded(reply.id(), 128, &mut sent);
        assert_eq!(sent.len() % 128, 0);
        reply.belongs_to(&query, reply.id());
        reply.outcome(&query);
    }
    CookieState::new(0).receive(reply);
    for error in reply.extended_errors() {
        assert!(!error.to_string().contains(char::is_control));
    }
    for record in reply.answers().iter().chain(reply.authorities()).chain(reply.additionals()) {
        check_name(&record.name);
        for style in [Style::MASTER, Style::PLAIN] {
            let written = present_record(record, style).to_string();
            assert!(!written.contains(|c: char| c.is_control() && c != '\t'), "{written:?}");
        }
    }
}

/// What is written is read again.
fn check_name(name: &Name) {
    reverse_address(name);
    let style = Style { last_dot: name.is_fqdn(), ..Style::MASTER };
    let again = parse_name(&present_name(name, style).to_string()).expect("a name that was written");
    assert!(again.eq_case(name));
}
