//! What a resolver remembers, and for how long.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_dns::proto::{CacheLimits, Cname, Name, RData, Record, RecordType, ResponseCode, rdata};
use grapeshot_dns::{Config, Lookup, LookupError, LookupErrorKind, Origin, Resolver, ResolverBuilder, STALE_TTL};

use self::support::{Act, Asked, PrivateServer, SECOND, bytes};

fn resolver(server: &PrivateServer) -> Resolver {
    Resolver::new(Config { servers: vec![server.name_server()], ..Config::default() })
}

fn look_up(resolver: &Resolver, name: &str) -> Result<Lookup, LookupError> {
    resolver.lookup(name, RecordType::A)
}

fn addresses(found: &Lookup) -> Vec<String> {
    found.addresses().map(|address| address.to_string()).collect()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(rdata::A([192, 0, 2, last].into())))
}

fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(rdata::CNAME(name(target))))
}

/// A reply with these records in its answer.
fn records(asked: &Asked, records: impl IntoIterator<Item = Record>) -> Vec<Act> {
    let mut reply = asked.reply();
    records.into_iter().for_each(|record| {
        reply.add_answer(record);
    });
    vec![Act::Send(bytes(&reply))]
}

#[test]
fn an_answer_is_asked_for_once_in_its_time_and_its_ttl_counts_down() {
    test::run(|| {
        let server = PrivateServer::start(|asked| records(asked, [a("www.example.", 60, 1)]));
        let resolver = resolver(&server);
        assert_eq!(look_up(&resolver, "www.example").unwrap().origin(), Origin::Server);
        sleep(20 * SECOND);
        let found = look_up(&resolver, "WWW.example.").unwrap();
        assert_eq!((found.origin(), found.ttl()), (Origin::Cache, 40 * SECOND));
        assert_eq!(found.records().next().unwrap().ttl, 40);
        assert_eq!(server.asked().len(), 1);
        sleep(40 * SECOND);
        assert_eq!(look_up(&resolver, "www.example").unwrap().origin(), Origin::Server);
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn addresses_take_turns_at_the_front() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            records(asked, [a("www.example.", 60, 1), a("www.example.", 60, 2), a("www.example.", 60, 3)])
        });
        let resolver = resolver(&server);
        look_up(&resolver, "www.example").unwrap();
        let first = |_| addresses(&look_up(&resolver, "www.example").unwrap())[0].clone();
        let firsts: Vec<String> = (0..3).map(first).collect();
        assert_eq!(firsts, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    });
}

#[test]
fn rfc_2308_section_5_absence_is_remembered_as_long_as_the_soa_record_says() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::Send(match asked.name.iter().next() {
                Some(b"gone") => asked.no_such_name("example.", 30),
                _ => asked.no_data("example.", 30),
            })]
        });
        let resolver = resolver(&server);
        for round in 1..=2 {
            for _ in 0..3 {
                let error = look_up(&resolver, "gone.example").unwrap_err();
                assert!(matches!(error.kind(), LookupErrorKind::NoSuchName), "{error}");
                let error = look_up(&resolver, "bare.example").unwrap_err();
                assert!(matches!(error.kind(), LookupErrorKind::NoData), "{error}");
                assert!(error.soa().is_some());
            }
            assert_eq!(server.asked().len(), 2 * round);
            sleep(30 * SECOND);
        }
        // For a name that does not exist no other type is asked for either; the news is over by now, and comes again.
        look_up(&resolver, "gone.example").unwrap_err();
        resolver.lookup("gone.example", RecordType::MX).unwrap_err();
        assert_eq!(server.asked().len(), 5);
    });
}

#[test]
fn rfc_2308_section_5_dns_2_absence_without_a_soa_record_is_asked_for_again() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.code(ResponseCode::NXDomain))]);
        let resolver = resolver(&server);
        look_up(&resolver, "gone.example").unwrap_err();
        look_up(&resolver, "gone.example").unwrap_err();
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn rfc_9520_section_3_2_a_failure_is_remembered_for_a_second_and_longer_each_time() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.code(ResponseCode::ServFail))]);
        let resolver = resolver(&server);
        let mut expected = 0;
        for pause in [1, 2, 4] {
            for _ in 0..5 {
                let error = look_up(&resolver, "www.example").unwrap_err();
                assert!(matches!(error.kind(), LookupErrorKind::ServerFailure), "{error}");
                assert_eq!(error.asked().len(), 1, "it still says who was asked");
            }
            expected += 1;
            assert_eq!(server.asked().len(), expected);
            sleep(pause * SECOND);
        }
        // Another type is another question.
        resolver.lookup("www.example", RecordType::MX).unwrap_err();
        assert_eq!(server.asked().len(), expected + 1);
    });
}

#[test]
fn rfc_9520_section_3_2_the_silence_of_all_servers_is_remembered_too() {
    test::run(|| {
        let server = PrivateServer::start(|_| Vec::new());
        let resolver = resolver(&server);
        look_up(&resolver, "www.example").unwrap_err();
        let began = now();
        let error = look_up(&resolver, "www.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::TimedOut), "{error}");
        assert_eq!(now(), began);
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn a_caller_who_gives_up_early_leaves_no_failure_behind() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::after(2 * SECOND, records(asked, [a("www.example.", 60, 1)]).remove(0))]
        });
        let resolver = resolver(&server);
        assert!(grapeshot_core::with_timeout(SECOND, || look_up(&resolver, "www.example")).is_err());
        assert!(look_up(&resolver, "www.example").is_ok());
    });
}

#[test]
fn rfc_1034_section_3_6_2_aliases_are_kept_each_under_its_own_name() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            records(
                asked,
                [
                    alias("www.example.", 60, "a.example."),
                    alias("a.example.", 60, "b.example."),
                    a("b.example.", 60, 7),
                ],
            )
        });
        let resolver = resolver(&server);
        let found = look_up(&resolver, "www.example").unwrap();
        assert_eq!(found.owner().unwrap().to_ascii(), "b.example.");
        assert_eq!(found.aliases().count(), 2);
        for known in ["www.example", "a.example", "b.example"] {
            assert_eq!(addresses(&look_up(&resolver, known).unwrap()), ["192.0.2.7"]);
        }
        let target = resolver.values::<Cname>("www.example").unwrap();
        assert_eq!(target, [Cname(name("a.example."))]);
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn an_alias_whose_end_the_reply_does_not_have_is_followed() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            if asked.name == name("www.example.") {
                records(asked, [alias("www.example.", 60, "b.example.")])
            } else {
                records(asked, [a("b.example.", 30, 7)])
            }
        });
        let resolver = resolver(&server);
        let found = look_up(&resolver, "www.example").unwrap();
        assert_eq!((addresses(&found), found.ttl()), (vec!["192.0.2.7".to_owned()], 30 * SECOND));
        assert_eq!(found.aliases().count(), 1);
    });
}

#[test]
fn aliases_without_end_are_a_loop_and_not_followed_for_ever() {
    test::run(|| {
        // Within one reply, over two replies, and on to new names for ever.
        let in_one = PrivateServer::start(|asked| {
            records(asked, [alias("a.example.", 60, "b.example."), alias("b.example.", 60, "a.example.")])
        });
        let over_two = PrivateServer::start(|asked| {
            let target = if asked.name == name("a.example.") { "b.example." } else { "a.example." };
            records(asked, [alias(&asked.name.to_ascii(), 60, target)])
        });
        let for_ever = PrivateServer::start(|asked| {
            records(asked, [alias(&asked.name.to_ascii(), 60, &format!("n{}.example.", asked.number))])
        });
        for server in [&in_one, &over_two, &for_ever] {
            let error = look_up(&resolver(server), "a.example").unwrap_err();
            assert!(matches!(error.kind(), LookupErrorKind::Loop), "{error}");
            assert!(server.asked().len() <= 18, "{}", server.asked().len());
        }
    });
}

#[test]
fn rfc_8767_section_4_an_old_answer_stands_in_when_no_server_answers() {
    test::run(|| {
        let alive = Rc::new(Cell::new(true));
        let server = PrivateServer::start({
            let alive = alive.clone();
            move |asked| if alive.get() { records(asked, [a("www.example.", 60, 1)]) } else { Vec::new() }
        });
        let config = Config { servers: vec![server.name_server()], ..Config::default() };
        let limits = CacheLimits { max_stale: Duration::from_secs(3600), ..CacheLimits::default() };
        let resolver = ResolverBuilder::with_config(config).cache(limits).build();
        look_up(&resolver, "www.example").unwrap();
        alive.set(false);
        sleep(60 * SECOND);
        let found = look_up(&resolver, "www.example").unwrap();
        assert_eq!((found.origin(), found.ttl()), (Origin::Stale, STALE_TTL));
        // While the failure is remembered, nobody is asked.
        let (began, asked) = (now(), server.asked().len());
        assert_eq!(look_up(&resolver, "www.example").unwrap().origin(), Origin::Stale);
        assert_eq!((now(), server.asked().len()), (began, asked));
        alive.set(true);
        sleep(SECOND);
        assert_eq!(look_up(&resolver, "www.example").unwrap().origin(), Origin::Server);
    });
}

#[test]
fn rfc_8482_section_4_what_a_server_says_to_any_is_no_answer_for_later() {
    test::run(|| {
        let server = PrivateServer::start(|asked| records(asked, [a("www.example.", 60, 1)]));
        let resolver = resolver(&server);
        resolver.lookup("www.example", RecordType::ANY).unwrap();
        resolver.lookup("www.example", RecordType::ANY).unwrap();
        look_up(&resolver, "www.example").unwrap();
        assert_eq!(server.asked().len(), 3);
    });
}

#[test]
fn a_query_passes_the_cache_by_and_gives_the_whole_reply() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.no_such_name("example.", 30))]);
        let resolver = resolver(&server);
        for _ in 0..2 {
            let reply = resolver.query("localhost", RecordType::A).unwrap();
            assert_eq!(reply.rcode(), ResponseCode::NXDomain);
            assert_eq!(reply.authorities().len(), 1);
        }
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn dns_12_the_counters_tell_what_was_asked_and_what_was_known() {
    test::run(|| {
        let server = PrivateServer::start(|asked| match asked.name.iter().next() {
            Some(b"gone") => vec![Act::Send(asked.no_such_name("example.", 30))],
            _ => records(asked, [a("www.example.", 60, 1)]),
        });
        let resolver = resolver(&server);
        for _ in 0..3 {
            look_up(&resolver, "www.example").unwrap();
            look_up(&resolver, "gone.example").unwrap_err();
        }
        sleep(60 * SECOND);
        look_up(&resolver, "www.example").unwrap();
        let stats = resolver.stats();
        assert_eq!((stats.lookups, stats.queries), (7, 3));
        let cache = stats.cache;
        assert_eq!((cache.hits, cache.misses, cache.exceptions, cache.expired), (2, 3, 2, 1));
        assert_eq!((stats.udp.queries, stats.failures), (3, 0));
    });
}

#[test]
fn a_resolver_that_is_cleared_asks_again() {
    test::run(|| {
        let server = PrivateServer::start(|asked| records(asked, [a("www.example.", 60, 1)]));
        let resolver = resolver(&server);
        look_up(&resolver, "www.example").unwrap();
        resolver.clear();
        look_up(&resolver.clone(), "www.example").unwrap();
        assert_eq!(server.asked().len(), 2);
    });
}
