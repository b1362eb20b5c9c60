//! A host's addresses: numbers, the hosts file, special names, the search list, both families at once, and their order.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_dns::proto::{Family, Hosts, HostsOrder, Name, RData, Record, RecordType, ResponseCode, Srv, rdata};
use grapeshot_dns::{Config, LookupErrorKind, Resolver, ResolverBuilder, System, SystemFiles};
use grapeshot_harness::TempDir;

use self::support::{Act, Asked, PrivateServer, SECOND, bytes};

fn config(server: &PrivateServer) -> Config {
    Config { servers: vec![server.name_server()], ..Config::default() }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// 192.0.2.1 and 2001:db8::1 for every name.
fn both(asked: &Asked) -> Vec<Act> {
    vec![Act::Send(match asked.record_type {
        RecordType::A => asked.address([192, 0, 2, 1]),
        RecordType::AAAA => asked.address_v6("2001:db8::1"),
        _ => asked.no_data("example.", 60),
    })]
}

fn asked_for(server: &PrivateServer) -> Vec<String> {
    server.asked().iter().map(|asked| format!("{} {}", asked.name.to_ascii(), asked.record_type)).collect()
}

fn with_hosts(config: Config, hosts: &str, order: &str) -> Resolver {
    let order = HostsOrder::parse(format!("hosts: {order}").as_bytes());
    ResolverBuilder::with_config(config).hosts(Hosts::parse(hosts.as_bytes()), order).build()
}

fn addresses(resolver: &Resolver, host: &str) -> Vec<String> {
    let mut addresses: Vec<String> =
        resolver.resolve(host).unwrap().addresses().map(|address| address.to_string()).collect();
    // Their order depends on this machine's own addresses.
    addresses.sort();
    addresses
}

#[test]
fn an_address_is_its_own_host_and_nobody_is_asked() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let resolver = Resolver::new(config(&server));
        for (typed, address) in [("192.0.2.7", "192.0.2.7"), ("2001:DB8::7", "2001:db8::7"), ("127.1", "127.0.0.1")] {
            assert_eq!(addresses(&resolver, typed), [address]);
        }
        let error = resolver.resolve_family("192.0.2.7", Family::V6).unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::NoData), "{error}");
        let host = resolver.resolve("fe80::1%lo").unwrap();
        assert!(host.socket_addresses(80)[0].to_string().starts_with("[fe80::1%"), "the zone is kept");
        assert!(server.asked().is_empty());
    });
}

#[test]
fn a_and_aaaa_are_asked_for_at_once_and_both_count() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::after(SECOND, both(asked).remove(0))]);
        let resolver = Resolver::new(config(&server));
        let began = now();
        assert_eq!(addresses(&resolver, "www.example"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(now() - began, SECOND);
        let resolver = Resolver::new(Config { single_request: true, ..config(&server) });
        let began = now();
        assert_eq!(addresses(&resolver, "www.example"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(now() - began, 2 * SECOND, "one after the other with single-request");
        let resolver = Resolver::new(Config { no_aaaa: true, ..config(&server) });
        assert_eq!(addresses(&resolver, "www.example"), ["192.0.2.1"]);
        assert_eq!(server.asked().len(), 5);
    });
}

#[test]
fn one_family_alone_is_enough_and_what_went_wrong_with_the_other_is_forgiven() {
    test::run(|| {
        for act in [
            |asked: &Asked| vec![Act::Send(asked.no_data("example.", 60))],
            |asked: &Asked| vec![Act::Send(asked.code(ResponseCode::ServFail))],
            |_: &Asked| Vec::new(),
        ] {
            let server =
                PrivateServer::start(
                    move |asked| if asked.record_type == RecordType::A { both(asked) } else { act(asked) },
                );
            assert_eq!(addresses(&Resolver::new(config(&server)), "www.example"), ["192.0.2.1"]);
        }
    });
}

#[test]
fn a_failure_counts_more_than_that_there_is_no_data() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::Send(match asked.record_type {
                RecordType::A => asked.code(ResponseCode::ServFail),
                _ => asked.no_data("example.", 60),
            })]
        });
        let error = Resolver::new(config(&server)).resolve("www.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::ServerFailure), "{error}");
    });
}

#[test]
fn the_hosts_file_comes_first_unless_nsswitch_says_otherwise() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let hosts = "198.51.100.7 www.example www\n";
        let resolver = with_hosts(config(&server), hosts, "files dns");
        let host = resolver.resolve("WWW").unwrap();
        assert_eq!(host.canonical_name(), "www.example");
        assert_eq!(addresses(&resolver, "www"), ["198.51.100.7"]);
        assert!(server.asked().is_empty());
        let resolver = with_hosts(config(&server), hosts, "dns files");
        assert_eq!(addresses(&resolver, "www"), ["192.0.2.1", "2001:db8::1"]);
        // What DNS does not have, the file may.
        let nobody = PrivateServer::start(|asked| vec![Act::Send(asked.no_such_name("example.", 60))]);
        let resolver = with_hosts(config(&nobody), hosts, "dns files");
        assert_eq!(addresses(&resolver, "www"), ["198.51.100.7"]);
        let resolver = with_hosts(config(&nobody), hosts, "dns [NOTFOUND=return] files");
        assert!(resolver.resolve("www").is_err());
        let resolver = with_hosts(config(&server), hosts, "files");
        let error = resolver.resolve("elsewhere.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::NoSuchName), "{error}");
        let resolver = with_hosts(config(&server), hosts, "files mdns4_minimal [NOTFOUND=return] dns");
        assert!(resolver.resolve("printer.local").is_err(), "RFC 6762, section 3: not for DNS");
        assert!(resolver.resolve("www.example.com").is_ok());
    });
}

#[test]
fn rfc_6761_section_6_3_dns_1_localhost_is_known_without_asking_and_the_hosts_file_may_say_more() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let resolver = Resolver::new(config(&server));
        for host in ["localhost", "LOCALHOST.", "www.localhost"] {
            assert_eq!(addresses(&resolver, host), ["127.0.0.1", "::1"]);
        }
        let own = "127.0.0.9 localhost\n";
        assert_eq!(addresses(&with_hosts(config(&server), own, "files dns"), "localhost"), ["127.0.0.9"]);
        for (name, record_type) in
            [("localhost", RecordType::A), ("localhost", RecordType::AAAA), ("1.0.0.127.in-addr.arpa", RecordType::PTR)]
        {
            assert_eq!(resolver.lookup(name, record_type).unwrap().data().count(), 1, "{name} {record_type}");
        }
        assert!(matches!(resolver.lookup("localhost", RecordType::MX).unwrap_err().kind(), LookupErrorKind::NoData));
        assert!(matches!(resolver.resolve("x.onion").unwrap_err().kind(), LookupErrorKind::NoSuchName), "RFC 7686");
        assert!(server.asked().is_empty());
    });
}

#[test]
fn the_search_list_is_gone_through_by_the_number_of_dots() {
    test::run(|| {
        let server = PrivateServer::start(|asked| match asked.name.to_ascii().as_str() {
            "www.b.example." | "x.www.b.example." => both(asked),
            _ => vec![Act::Send(asked.no_such_name("example.", 60))],
        });
        let search = vec![name("a.example."), name("b.example.")];
        let resolver = || Resolver::new(Config { search: search.clone(), ..config(&server) });
        let found = resolver().lookup("www", RecordType::A).unwrap();
        assert_eq!(found.owner().unwrap().to_ascii(), "www.b.example.");
        assert_eq!(asked_for(&server), ["www.a.example. A", "www.b.example. A"]);
        resolver().lookup("x.www", RecordType::A).unwrap();
        assert_eq!(asked_for(&server)[2..], ["x.www. A", "x.www.a.example. A", "x.www.b.example. A"]);
        let error = resolver().lookup("www.", RecordType::A).unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::NoSuchName), "{error}");
        assert_eq!(asked_for(&server).len(), 6, "an absolute name is asked for as it is");
        let host = resolver().resolve("www").unwrap();
        assert_eq!(host.canonical_name(), "www.b.example");
        let (_, trace) = resolver().lookup_traced("www", RecordType::A);
        assert!(trace.to_string().contains("searching for www.b.example."), "{trace}");
    });
}

#[test]
fn an_international_name_is_asked_for_in_ascii() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let resolver = Resolver::new(config(&server));
        resolver.lookup("bücher.example", RecordType::A).unwrap();
        assert_eq!(asked_for(&server), ["xn--bcher-kva.example. A"]);
        for (typed, record_type) in [("a..b", RecordType::A), ("", RecordType::A)] {
            let error = resolver.lookup(typed, record_type).unwrap_err();
            assert!(matches!(error.kind(), LookupErrorKind::BadName(_)), "{error}");
            assert!(resolver.resolve(typed).is_err());
        }
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn dns_15_gethostbyname_draws_one_of_the_addresses() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let resolver = Resolver::new(config(&server));
        let drawn: Vec<IpAddr> = (0..40).map(|_| resolver.host_by_name("www.example").unwrap()).collect();
        assert!(drawn.iter().any(IpAddr::is_ipv4) && drawn.iter().any(IpAddr::is_ipv6));
    });
}

#[test]
fn dns_15_a_thread_has_one_resolver_which_can_be_exchanged() {
    test::run(|| {
        let server = PrivateServer::start(both);
        let own = Resolver::new(config(&server));
        own.install();
        assert!(Resolver::of_thread().resolve("www.example").is_ok());
        assert_eq!(own.stats().queries, 2);
        let before = Resolver::new(Config::default()).install().unwrap();
        assert_eq!(before.stats().queries, 2, "the one that was there comes back");
    });
}

#[test]
fn an_address_has_as_many_names_as_there_are_pointers() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let pointers = ["a.example.", "b.example."].map(|target| RData::PTR(rdata::PTR(name(target))));
            vec![Act::Send(asked.answer(pointers))]
        });
        let resolver = with_hosts(config(&server), "192.0.2.9 nine.example nine\n", "files dns");
        assert_eq!(resolver.reverse(Ipv4Addr::new(192, 0, 2, 1)).unwrap(), ["a.example", "b.example"]);
        assert_eq!(asked_for(&server), ["1.2.0.192.in-addr.arpa. PTR"]);
        assert_eq!(resolver.reverse(Ipv4Addr::new(192, 0, 2, 9)).unwrap(), ["nine.example", "nine"]);
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn rfc_2782_a_service_is_offered_by_servers_in_order_or_not_at_all() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let server = |priority, target| RData::SRV(rdata::SRV::new(priority, 0, 5060, name(target)));
            vec![Act::Send(match asked.name.iter().next() {
                Some(b"_sip") => asked.answer([server(20, "b.example."), server(10, "a.example.")]),
                _ => asked.answer([server(0, ".")]),
            })]
        });
        let resolver = Resolver::new(config(&server));
        let targets: Vec<Name> =
            resolver.service("_sip._udp.example").unwrap().into_iter().map(|Srv { target, .. }| target).collect();
        assert_eq!(targets, [name("a.example."), name("b.example.")]);
        let error = resolver.service("_ftp._tcp.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::NoService), "{error}");
    });
}

#[test]
fn typed_values_come_from_the_records() {
    use grapeshot_dns::proto::{Mx, Txt};
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::Send(match asked.record_type {
                RecordType::MX => asked.answer([RData::MX(rdata::MX::new(10, name("mail.example.")))]),
                _ => asked.answer([RData::TXT(rdata::TXT::new(vec!["v=spf1 ".into(), "-all".into()]))]),
            })]
        });
        let resolver = Resolver::new(config(&server));
        let mail = resolver.values::<Mx>("example").unwrap();
        assert_eq!(mail, [Mx { preference: 10, exchange: name("mail.example.") }]);
        assert_eq!(resolver.values::<Txt>("example").unwrap()[0].text(), "v=spf1 -all");
    });
}

#[test]
fn a_change_of_the_files_is_noticed_and_empties_the_cache_when_the_servers_change() {
    test::run(|| {
        let (first, second) = (PrivateServer::start(both), PrivateServer::start(both));
        let folder = TempDir::new().unwrap();
        let file = |name: &str| folder.path().join(name);
        let files = SystemFiles {
            hosts: file("hosts"),
            resolv_conf: file("resolv.conf"),
            nsswitch_conf: file("nsswitch.conf"),
            gai_conf: file("gai.conf"),
            host_name: file("hostname"),
        };
        let servers = Rc::new(RefCell::new(vec![first.name_server()]));
        let adjusted = servers.clone();
        let resolver = ResolverBuilder::with_system(System::with_files(files))
            // The file has no ports.
            .adjust(move |config| config.servers.clone_from(&adjusted.borrow()))
            .build();
        fs::write(file("resolv.conf"), "options ndots:1\n").unwrap();
        assert_eq!(addresses(&resolver, "www.example"), ["192.0.2.1", "2001:db8::1"]);
        *servers.borrow_mut() = vec![second.name_server()];
        fs::write(file("resolv.conf"), "options ndots:2\n").unwrap();
        fs::write(file("hosts"), "198.51.100.7 here.example\n").unwrap();
        sleep(grapeshot_dns::CHECK_INTERVAL + Duration::from_millis(10));
        assert_eq!(addresses(&resolver, "here.example"), ["198.51.100.7"]);
        assert_eq!(addresses(&resolver, "www.example"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!((first.asked().len(), second.asked().len()), (2, 2));
        assert_eq!(resolver.settings().config.ndots, 2);
    });
}

#[test]
fn a_hundred_hosts_at_once_each_get_their_own_addresses() {
    for seed in support::seeds(20) {
        test::Test::new().seed(seed).run(|| {
            let server = PrivateServer::start(|asked| {
                let number: u8 = std::str::from_utf8(asked.name.iter().next().unwrap()).unwrap()[1..].parse().unwrap();
                let mut reply = asked.reply();
                let data = match asked.record_type {
                    RecordType::A => RData::A(rdata::A([192, 0, 2, number].into())),
                    _ => RData::AAAA(rdata::AAAA([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)].into())),
                };
                reply.add_answer(Record::from_rdata(asked.name.clone(), 60, data));
                let delay = Duration::from_millis(u64::from(asked.id) % 50);
                vec![Act::after(delay, Act::Send(bytes(&reply)))]
            });
            let resolver = Resolver::new(config(&server));
            let all = (0..100).map(|number| {
                let resolver = resolver.clone();
                move || (number, addresses(&resolver, &format!("n{number}.example")))
            });
            for (number, found) in grapeshot_core::in_parallel(all).unwrap() {
                assert_eq!(found[0], format!("192.0.2.{number}"));
                assert_eq!(found.len(), 2);
            }
        });
    }
}

#[test]
fn a_failure_to_find_addresses_of_either_family_names_no_record_type() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.no_data("example.", 60))]);
        let resolver = Resolver::new(config(&server));
        for error in [resolver.resolve("www.example").unwrap_err(), resolver.lookup_ip("www.example").unwrap_err()] {
            assert_eq!(error.record_type(), None);
            assert_eq!(error.to_string(), "no addresses: www.example.");
        }
        let error = resolver.resolve_family("www.example", Family::V6).unwrap_err();
        assert_eq!(error.record_type(), Some(RecordType::AAAA));
        assert_eq!(error.to_string(), "no data of this type: www.example. (AAAA)");
    });
}

#[test]
fn a_name_that_is_empty_is_quoted_in_errors() {
    test::run(|| {
        let error = Resolver::new(Config::default()).resolve("").unwrap_err();
        assert!(error.to_string().ends_with(": \"\""), "{error}");
    });
}
