//! Which servers a lookup asks, in which way, how often and for how long.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, spawn, test};
use grapeshot_dns::proto::{ExtendedError, RecordType, ResponseCode};
use grapeshot_dns::transport::{Udp, UdpOptions};
use grapeshot_dns::{
    Config, LookupError, LookupErrorKind, NO_EDNS_REMEMBERED, NameServer, Resolver, ResolverBuilder, Said, TraceEvent,
};
use grapeshot_net::UdpSocket;
use hickory_proto::rr::rdata::opt::EdnsOption;

use self::support::{Act, Asked, PrivateServer, SECOND, Via, bytes};

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

fn config<'a>(servers: impl IntoIterator<Item = &'a PrivateServer>) -> Config {
    Config { servers: servers.into_iter().map(PrivateServer::name_server).collect(), ..Config::default() }
}

fn resolver<'a>(servers: impl IntoIterator<Item = &'a PrivateServer>) -> Resolver {
    Resolver::new(config(servers))
}

/// The addresses of a name, as text.
fn look_up(resolver: &Resolver, name: &str) -> Result<Vec<String>, LookupError> {
    let found = resolver.lookup(name, RecordType::A)?;
    Ok(found.addresses().map(|address| address.to_string()).collect())
}

fn good() -> PrivateServer {
    PrivateServer::start(|asked| vec![Act::Send(asked.address(ADDRESS))])
}

fn silent() -> PrivateServer {
    PrivateServer::start(|_| Vec::new())
}

fn saying(code: ResponseCode) -> PrivateServer {
    PrivateServer::start(move |asked| vec![Act::Send(asked.code(code))])
}

/// How often each server was asked.
fn counts<const N: usize>(servers: [&PrivateServer; N]) -> [usize; N] {
    servers.map(|server| server.asked().len())
}

#[test]
fn the_first_server_that_answers_is_the_last_that_is_asked() {
    test::run(|| {
        let (first, second) = (good(), good());
        let resolver = resolver([&first, &second]);
        assert_eq!(look_up(&resolver, "www.example").unwrap(), ["192.0.2.1"]);
        assert_eq!(counts([&first, &second]), [1, 0]);
    });
}

#[test]
fn a_silent_server_costs_its_timeout_and_is_asked_last_from_then_on() {
    test::run(|| {
        let (first, second) = (silent(), good());
        let resolver = resolver([&first, &second]);
        let began = now();
        assert!(look_up(&resolver, "a.example").is_ok());
        assert_eq!(now() - began, 5 * SECOND);
        let began = now();
        assert!(look_up(&resolver, "b.example").is_ok());
        assert_eq!(now() - began, Duration::ZERO);
        assert_eq!(counts([&first, &second]), [1, 2]);
        // It gets another chance after a while.
        grapeshot_core::sleep(grapeshot_dns::SILENCE_REMEMBERED);
        assert!(look_up(&resolver, "c.example").is_ok());
        assert_eq!(counts([&first, &second]), [2, 3]);
    });
}

#[test]
fn rotation_lets_each_server_begin_in_turn() {
    test::run(|| {
        let servers = [good(), good(), good()];
        let resolver = Resolver::new(Config { rotate: true, ..config(&servers) });
        for number in 0..6 {
            look_up(&resolver, &format!("n{number}.example")).unwrap();
        }
        assert_eq!(counts([&servers[0], &servers[1], &servers[2]]), [2, 2, 2]);
    });
}

#[test]
fn rfc_1035_section_7_2_a_lookup_without_any_answer_ends_after_all_attempts_and_says_whom_it_asked() {
    test::run(|| {
        let (first, second) = (silent(), silent());
        let resolver = Resolver::new(Config { timeout: 2 * SECOND, attempts: 3, ..config([&first, &second]) });
        let began = now();
        let error = look_up(&resolver, "www.example").unwrap_err();
        assert_eq!(now() - began, 12 * SECOND, "timeout × attempts × servers");
        assert!(matches!(error.kind(), LookupErrorKind::TimedOut), "{error}");
        assert_eq!(counts([&first, &second]), [3, 3]);
        let asked: Vec<_> = error.asked().iter().map(|asked| asked.server.address).collect();
        let (one, other) = (first.address, second.address);
        assert_eq!(asked, [one, other, one, other, one, other]);
        let text = error.to_string();
        assert!(text.starts_with("timed out: www.example. (A); asked 127.0.0.1:"), "{text}");
        assert!(text.ends_with("the limit was 12s"), "{text}");
        assert_eq!(resolver.stats().timeouts, 6);
    });
}

#[test]
fn a_call_keeps_to_its_limit_whatever_servers_there_are() {
    test::run(|| {
        let (first, second) = (silent(), silent());
        let config = Config { timeout: 10 * SECOND, attempts: 5, ..config([&first, &second]) };
        let resolver = ResolverBuilder::with_config(config).limit(25 * SECOND).build();
        let began = now();
        let error = look_up(&resolver, "www.example").unwrap_err();
        assert_eq!(now() - began, 25 * SECOND);
        assert_eq!(error.limit(), Some(25 * SECOND));
        assert_eq!(counts([&first, &second]), [2, 1]);
    });
}

#[test]
fn a_lost_query_is_repeated() {
    test::run(|| {
        let server =
            PrivateServer::start(
                |asked| if asked.number == 0 { vec![] } else { vec![Act::Send(asked.address(ADDRESS))] },
            );
        let resolver = resolver([&server]);
        assert!(look_up(&resolver, "www.example").is_ok());
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert_ne!(
            (asked[0].id, asked[0].from),
            (asked[1].id, asked[1].from),
            "RFC 5452, section 9.2: not the same again"
        );
    });
}

#[test]
fn a_server_that_fails_or_refuses_passes_the_question_to_the_next_and_is_not_asked_again() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotAuth] {
        test::run(move || {
            let (first, second) = (saying(code), good());
            assert!(look_up(&resolver([&first, &second]), "www.example").is_ok());
            assert_eq!(counts([&first, &second]), [1, 1], "{code}");
            let (first, second) = (saying(code), silent());
            let error = look_up(&resolver([&first, &second]), "www.example").unwrap_err();
            assert_eq!(counts([&first, &second]), [1, 2], "{code}: RFC 9520, section 3.1");
            let as_expected = match code {
                ResponseCode::ServFail => matches!(error.kind(), LookupErrorKind::ServerFailure),
                ResponseCode::Refused => matches!(error.kind(), LookupErrorKind::Refused),
                _ => matches!(error.kind(), LookupErrorKind::Failed(said) if *said == code),
            };
            assert!(as_expected, "{code}: {error}");
        });
    }
}

#[test]
fn rfc_8914_section_2_the_reason_of_a_failure_reaches_the_caller() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let mut reply = asked.reply();
            reply.metadata.response_code = ResponseCode::ServFail;
            let text = [&[0, 6][..], b"no signature fits"].concat();
            reply.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(15, text));
            vec![Act::Send(bytes(&reply))]
        });
        let (result, trace) = resolver([&server]).lookup_traced("www.example", RecordType::A);
        let error = result.unwrap_err();
        let expected = ExtendedError { code: 6, text: "no signature fits".to_owned() };
        assert_eq!(error.extended_errors().collect::<Vec<_>>(), [&expected]);
        assert!(error.to_string().contains("DNSSEC Bogus (6): no signature fits"), "{error}");
        assert!(trace.to_string().contains("DNSSEC Bogus (6)"), "{trace}");
    });
}

#[test]
fn a_server_that_only_refers_to_others_is_passed_over() {
    test::run(|| {
        let refer = |zone: &'static str| {
            PrivateServer::start(move |asked: &Asked| {
                use grapeshot_dns::proto::{Name, RData, Record, rdata::NS};
                let mut reply = asked.reply();
                let server = RData::NS(NS(Name::from_ascii("ns.example.").unwrap()));
                reply.add_authority(Record::from_rdata(Name::from_ascii(zone).unwrap(), 60, server));
                vec![Act::Send(bytes(&reply))]
            })
        };
        // DNS-9: a referral, and a lame one to the root.
        for zone in ["example.", "."] {
            let (first, second) = (refer(zone), good());
            assert!(look_up(&resolver([&first, &second]), "www.example").is_ok());
            let error = look_up(&resolver([&first]), "www.example").unwrap_err();
            assert!(matches!(error.kind(), LookupErrorKind::Lame), "{zone}: {error}");
        }
    });
}

#[test]
fn dns_10_rfc_2181_section_9_a_reply_that_was_cut_short_is_asked_for_over_tcp() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::Send(if asked.via == Via::Udp { asked.truncated() } else { asked.address(ADDRESS) })]
        });
        let resolver = resolver([&server]);
        assert_eq!(look_up(&resolver, "a.example").unwrap(), ["192.0.2.1"]);
        assert_eq!(look_up(&resolver, "b.example").unwrap(), ["192.0.2.1"]);
        let via: Vec<Via> = server.asked().iter().map(|asked| asked.via).collect();
        assert_eq!(via, [Via::Udp, Via::Tcp, Via::Udp, Via::Tcp]);
        assert_eq!(server.accepted(), 1, "RFC 7766, section 6.2.1: the connection is used again");
        assert_eq!(resolver.stats().truncated, 2);
    });
}

#[test]
fn use_tcp_never_sends_a_datagram() {
    test::run(|| {
        let server = good();
        let resolver = Resolver::new(Config { use_tcp: true, ..config([&server]) });
        assert!(look_up(&resolver, "www.example").is_ok());
        assert!(server.asked().iter().all(|asked| asked.via == Via::Tcp));
    });
}

#[test]
fn rfc_6891_section_7_a_server_without_edns_is_asked_again_without_and_remembered() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            vec![Act::Send(match &asked.message.edns {
                Some(_) => asked.edns_not_understood(),
                None => asked.address(ADDRESS),
            })]
        });
        let resolver = resolver([&server]);
        assert!(look_up(&resolver, "a.example").is_ok());
        assert!(look_up(&resolver, "b.example").is_ok());
        let with_edns = |server: &PrivateServer| -> Vec<bool> {
            server.asked().iter().map(|asked| asked.message.edns.is_some()).collect()
        };
        assert_eq!(with_edns(&server), [true, false, false]);
        // It may have learnt it by then.
        grapeshot_core::sleep(NO_EDNS_REMEMBERED);
        assert!(look_up(&resolver, "c.example").is_ok());
        assert_eq!(with_edns(&server), [true, false, false, true, false]);
    });
}

#[test]
fn rfc_6891_section_6_2_3_the_size_of_a_datagram_is_1232_bytes_unless_set() {
    test::run(|| {
        let server = good();
        for (edns_size, expected) in [(Some(1232), Some(1232)), (Some(4096), Some(4096)), (None, None)] {
            let resolver = Resolver::new(Config { edns_size, ..config([&server]) });
            look_up(&resolver, "www.example").unwrap();
            let size = server.asked().last().unwrap().message.edns.as_ref().map(|edns| edns.max_payload());
            assert_eq!(size, expected);
        }
        assert_eq!(Config::default().edns_size, Some(1232));
    });
}

#[test]
fn rfc_7873_section_5_3_a_cookie_is_sent_repeated_and_asked_for_again() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let sent = asked.message.edns.as_ref().and_then(|edns| match edns.option(10.into()) {
                Some(EdnsOption::Unknown(_, data)) => Some(data.clone()),
                _ => None,
            });
            let sent = sent.unwrap();
            let mut reply = asked.reply();
            // The first time the server asks for its own part.
            if sent.len() == 8 {
                reply.metadata.response_code = ResponseCode::BADCOOKIE;
            } else {
                use grapeshot_dns::proto::{RData, Record, rdata::A};
                reply.add_answer(Record::from_rdata(asked.name.clone(), 60, RData::A(A(ADDRESS.into()))));
            }
            let cookie = [&sent[..8], &[7; 16]].concat();
            reply.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(10, cookie));
            vec![Act::Send(bytes(&reply))]
        });
        let resolver = Resolver::new(Config { cookies: true, ..config([&server]) });
        assert!(look_up(&resolver, "a.example").is_ok());
        assert!(look_up(&resolver, "b.example").is_ok());
        assert_eq!(server.asked().len(), 3);
        assert_eq!(resolver.stats().cookies_refreshed, 1);
    });
}

#[test]
fn random_case_is_sent_and_not_seen_in_the_answer() {
    test::run(|| {
        let server = good();
        let resolver = Resolver::new(Config { random_case: true, ..config([&server]) });
        let name = "a-long-name-with-many-letters.example";
        let found = resolver.lookup(name, RecordType::A).unwrap();
        let sent = server.asked()[0].name.to_ascii();
        assert!(sent.bytes().any(|byte| byte.is_ascii_uppercase()), "{sent}");
        assert_eq!(found.owner().unwrap().to_ascii(), format!("{name}."));
        // A forger does not know the case.
        let forger = PrivateServer::start(|asked| vec![Act::Send(asked.wrong_case(ADDRESS))]);
        let resolver = Resolver::new(Config { random_case: true, ..config([&forger]) });
        let error = look_up(&resolver, name).unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::TimedOut), "{error}");
    });
}

#[test]
fn rfc_5452_section_9_1_forged_replies_are_ignored_and_the_proper_one_counts() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let forged = [192, 0, 2, 66];
            vec![
                Act::Send(support::with_id(asked.address(forged), asked.id.wrapping_add(1))),
                Act::Send(asked.wrong_question(forged)),
                Act::FromElsewhere(asked.address(forged)),
                Act::after(SECOND, Act::Send(asked.address(ADDRESS))),
            ]
        });
        assert_eq!(look_up(&resolver([&server]), "www.example").unwrap(), ["192.0.2.1"]);
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn what_cannot_be_read_is_an_error_with_a_name() {
    let broken: [fn(&Asked) -> Vec<u8>; 4] =
        [Asked::pointer_loop, Asked::oversize_name, Asked::lying_counts, |asked| support::garbage(asked.id, 300)];
    for break_it in broken {
        test::run(move || {
            let server = PrivateServer::start(move |asked| vec![Act::Send(break_it(asked))]);
            let began = now();
            let error = look_up(&resolver([&server]), "www.example").unwrap_err();
            assert!(matches!(error.kind(), LookupErrorKind::Malformed), "{error}");
            assert_eq!(now(), began, "nobody waits for a server that garbles what it says");
            assert_eq!(server.asked().len(), 2);
        });
    }
}

#[test]
fn with_no_server_in_reach_the_answer_comes_at_once_and_says_whom_it_asked() {
    test::run(|| {
        // A port on which nobody listens any more.
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let began = now();
        let error = look_up(&Resolver::new(Config::with_servers([address])), "www.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::Unreachable), "{error}");
        assert_eq!(error.asked().len(), 2);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        assert_eq!(now(), began);
        let error = look_up(&Resolver::new(Config::with_servers([])), "www.example").unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::NoServers), "{error}");
    });
}

#[test]
fn a_server_that_is_to_prove_its_name_is_never_asked_without_tls() {
    test::run(|| {
        let server = good();
        let named = NameServer::over_tls(server.address, "dns.example");
        let error =
            look_up(&Resolver::new(Config { servers: vec![named], ..Config::default() }), "a.example").unwrap_err();
        // Whatever it says to a handshake, and be the feature `tls` off.
        assert!(error.asked().iter().all(|asked| asked.transport == "TLS" && matches!(asked.said, Said::Nothing(_))));
        assert!(server.asked().iter().all(|asked| asked.via != Via::Udp));
    });
}

#[test]
fn a_cancelled_lookup_leaves_nothing_under_way_and_goes_on_for_others() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::after(SECOND, Act::Send(asked.address(ADDRESS)))]);
        let resolver = resolver([&server]);
        let spawn_one = || {
            let resolver = resolver.clone();
            spawn(move || look_up(&resolver, "www.example"))
        };
        let (leader, follower) = (spawn_one(), spawn_one());
        grapeshot_core::sleep(SECOND / 2);
        leader.cancel();
        assert_eq!(follower.join().unwrap().unwrap(), ["192.0.2.1"]);
        let stats = resolver.stats();
        assert_eq!((stats.in_flight, stats.udp.in_flight), (0, 0));
    });
}

#[test]
fn dns_lookups_of_one_name_at_one_time_are_one_query() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::after(SECOND, Act::Send(asked.address(ADDRESS)))]);
        let resolver = resolver([&server]);
        let all = (0..20).map(|number| {
            let resolver = resolver.clone();
            let name = if number % 2 == 0 { "www.example" } else { "WWW.Example." };
            move || look_up(&resolver, name)
        });
        let all = grapeshot_core::in_parallel(all).unwrap();
        assert!(all.iter().all(|found| found.as_ref().is_ok_and(|found| *found == ["192.0.2.1"])));
        assert_eq!(server.asked().len(), 1);
        assert_eq!(resolver.stats().joined, 19);
    });
}

#[test]
fn a_lookup_in_a_destructor_of_a_coroutine_that_unwinds_is_refused() {
    struct AsksWhenDropped(Resolver, Rc<Cell<bool>>);
    impl Drop for AsksWhenDropped {
        fn drop(&mut self) {
            let error = look_up(&self.0, "www.example").unwrap_err();
            self.1.set(matches!(error.kind(), LookupErrorKind::Unwinding));
        }
    }
    test::run(|| {
        let (server, refused) = (good(), Rc::new(Cell::new(false)));
        let asks = AsksWhenDropped(resolver([&server]), refused.clone());
        let cancelled = spawn(move || {
            let _asks = asks;
            grapeshot_core::sleep(60 * SECOND);
        });
        grapeshot_core::yield_now();
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert!(refused.get());
    });
}

#[test]
fn the_trace_tells_who_was_asked_over_what_and_what_they_said() {
    test::run(|| {
        let (first, second) = (
            silent(),
            PrivateServer::start(|asked| {
                vec![Act::Send(if asked.via == Via::Udp { asked.truncated() } else { asked.address(ADDRESS) })]
            }),
        );
        let resolver = resolver([&first, &second]);
        let (found, trace) = resolver.lookup_traced("www.example", RecordType::A);
        assert!(found.is_ok());
        let events: Vec<&TraceEvent> = trace.steps().iter().map(|step| &step.event).collect();
        assert!(
            matches!(
                events[..],
                [
                    TraceEvent::CacheMiss(..),
                    TraceEvent::Asking { transport: "UDP", attempt: 1, .. },
                    TraceEvent::Failed { .. },
                    TraceEvent::Asking { .. },
                    TraceEvent::Replied { truncated: true, .. },
                    TraceEvent::Again(_),
                    TraceEvent::Asking { transport: "TCP", .. },
                    TraceEvent::Replied { records: [1, 0, 0], .. },
                ]
            ),
            "{trace}"
        );
        assert_eq!(trace.steps()[2].after, 5 * SECOND);
        let text = trace.to_string();
        assert!(text.contains(&format!("asking {} over UDP for www.example. A, attempt 1", first.address)), "{text}");
        assert!(text.contains("over UDP after 5.0s: no reply in time"), "{text}");
        assert!(text.contains(": 1 answer, 0 authorities, 0 additionals, "), "{text}");
        let (_, trace) = resolver.lookup_traced("www.example", RecordType::A);
        assert!(trace.to_string().contains("is cached for 300.0s more"), "{trace}");
    });
}

#[test]
fn outside_a_runtime_a_lookup_blocks_its_thread() {
    use std::net::UdpSocket;
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        // A and AAAA, one after the other.
        for _ in 0..2 {
            let mut query = [0; 512];
            let (len, from) = server.recv_from(&mut query).unwrap();
            let mut reply = query[..len].to_vec();
            // A reply without records, but for the OPT record that came with the query.
            reply[2] |= 0x80;
            server.send_to(&reply, from).unwrap();
        }
    });
    let resolver = Resolver::new(Config::with_servers([address]));
    let error = resolver.resolve("www.example").unwrap_err();
    assert!(matches!(error.kind(), LookupErrorKind::NoData), "{error}");
    serving.join().unwrap();
}

/// Looks up so many names at once, over a transport that has room for so many; how many answers there were.
fn burst(names: usize, in_flight: usize, config: Config) -> usize {
    let udp = Udp::new(UdpOptions { in_flight, ..UdpOptions::default() });
    let resolver = ResolverBuilder::with_config(config).udp(udp).build();
    let lookups: Vec<_> = (0..names)
        .map(|number| {
            let resolver = resolver.clone();
            spawn(move || look_up(&resolver, &format!("n{number}.example")))
        })
        .collect();
    lookups.into_iter().filter_map(|lookup| lookup.join().unwrap().ok()).count()
}

#[test]
fn a_burst_that_waits_for_room_goes_to_the_server_that_is_not_silent() {
    test::run(|| {
        let (first, second) = (silent(), good());
        let began = now();
        assert_eq!(burst(200, 20, config([&first, &second])), 200);
        assert_eq!(now() - began, 5 * SECOND, "the silent server is waited for once");
        assert_eq!(counts([&first, &second]), [20, 200]);
    });
}

#[test]
fn waiting_for_room_is_none_of_the_servers_time() {
    test::run(|| {
        let slow = PrivateServer::start(|asked| vec![Act::after(3 * SECOND, Act::Send(asked.address(ADDRESS)))]);
        let began = now();
        assert_eq!(burst(4, 1, config([&slow])), 4);
        assert_eq!(now() - began, 12 * SECOND);
        assert_eq!(counts([&slow]), [4]);
    });
}

#[test]
fn rfc_9520_section_3_2_a_failure_that_is_remembered_says_so() {
    test::run(|| {
        let server = saying(ResponseCode::ServFail);
        let resolver = resolver([&server]);
        let fresh = look_up(&resolver, "www.example").unwrap_err();
        let remembered = look_up(&resolver, "www.example").unwrap_err();
        assert_eq!((fresh.is_remembered(), remembered.is_remembered()), (false, true));
        let told = format!("{fresh}; so it was a moment ago, and nobody has been asked again");
        assert_eq!(remembered.to_string(), told);
        assert_eq!(counts([&server]), [1]);
    });
}
