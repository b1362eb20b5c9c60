//! DNS over UDP, against a private server that loses, doubles, delays and forges.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_dns::NameServer;
use grapeshot_dns::proto::{Name, Query, QueryOptions, RecordType};
use grapeshot_dns::transport::{ExchangeError, Notes, Transport, Udp, UdpOptions};
use grapeshot_net::UdpSocket;

use self::support::*;

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

/// A transport with one socket, so that all queries meet there.
fn one_socket() -> UdpOptions {
    UdpOptions { sockets: 1, queries_per_port: 1_000_000, port_age: 1000 * SECOND, ..UdpOptions::default() }
}

/// Asks for an address, for up to five seconds.
fn ask(udp: &Udp, server: &PrivateServer, name: &str) -> Result<Vec<String>, ExchangeError> {
    udp.exchange(&server.name_server(), &query(name), now() + 5 * SECOND).map(|reply| addresses(&reply))
}

/// Does to the first question what `script` says, and checks that the proper reply, a second later, is the one that counts.
fn ignores(script: impl Fn(&Asked) -> Vec<Act> + 'static) -> Notes {
    test::run(move || {
        let server = PrivateServer::start(move |asked| {
            let mut acts = script(asked);
            acts.push(Act::after(SECOND, Act::Send(asked.address(ADDRESS))));
            acts
        });
        let (udp, mut notes, began) = (Udp::default(), Notes::default(), now());
        let query = query("example.com.");
        let reply = udp.exchange_noting(&server.name_server(), &query, now() + 5 * SECOND, &mut notes).unwrap();
        assert_eq!(addresses(&reply), ["192.0.2.1"]);
        assert_eq!(now() - began, SECOND);
        assert_eq!(udp.stats().ignored, notes.ignored);
        notes
    })
}

#[test]
fn a_reply_comes_back_with_what_it_took() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.address(ADDRESS))]);
        let (udp, mut notes) = (Udp::default(), Notes::default());
        let query = query("example.com.");
        let reply = udp.exchange_noting(&server.name_server(), &query, now() + SECOND, &mut notes).unwrap();
        assert_eq!(addresses(&reply), ["192.0.2.1"]);
        let (sent, received) = (12 + 13 + 4 + 11, 12 + 13 + 4 + 16 + 11);
        assert_eq!((notes.sent, notes.received, notes.ignored), (sent, received, 0));
        let stats = udp.stats();
        assert_eq!((stats.queries, stats.replies, stats.in_flight), (1, 1, 0));
        assert_eq!((stats.bytes_sent, stats.bytes_received), (sent as u64, received as u64));
    });
}

#[test]
fn a_lost_query_ends_at_its_deadline() {
    test::run(|| {
        let server = PrivateServer::start(|_| Vec::new());
        let (udp, began) = (Udp::default(), now());
        assert!(matches!(ask(&udp, &server, "example.com."), Err(ExchangeError::TimedOut)));
        assert_eq!(now() - began, 5 * SECOND);
        assert_eq!((udp.stats().timeouts, udp.stats().in_flight), (1, 0));
    });
}

/// RFC 5452, section 9.1: the id must be that of the query.
#[test]
fn rfc5452_9_1_a_reply_with_another_id_is_ignored() {
    let notes = ignores(|asked| {
        let forged = |shift| Act::Send(with_id(asked.address([203, 0, 113, 9]), asked.id ^ shift));
        vec![forged(1), forged(0x8000), forged(0xffff)]
    });
    assert_eq!(notes.ignored, 3);
}

/// RFC 5452, section 9.1: the question must be that of the query.
#[test]
fn rfc5452_9_1_a_reply_to_another_question_is_ignored() {
    let notes = ignores(|asked| vec![Act::Send(asked.wrong_question([203, 0, 113, 9]))]);
    assert_eq!(notes.ignored, 1);
}

/// RFC 5452, section 9.1: the source must be the server. The kernel sees to it, so we do not even hear of it.
#[test]
fn rfc5452_9_1_a_reply_from_elsewhere_is_not_heard() {
    let notes = ignores(|asked| vec![Act::FromElsewhere(asked.address([203, 0, 113, 9]))]);
    assert_eq!(notes.ignored, 0);
}

/// What a query's sender gets back from a mirror is a query, not a reply.
#[test]
fn rfc1035_4_1_1_a_query_that_is_sent_back_is_ignored() {
    let notes = ignores(|asked| vec![Act::Send(asked.message.to_vec().unwrap())]);
    assert_eq!(notes.ignored, 1);
}

#[test]
fn messages_without_an_id_or_more_of_them_than_a_seat_keeps_are_ignored() {
    let notes = ignores(|asked| {
        let short = [vec![], vec![7]].map(Act::Send);
        let wrong = (0..7).map(|_| Act::Send(asked.wrong_question([203, 0, 113, 9])));
        short.into_iter().chain(wrong).collect()
    });
    assert_eq!(notes.ignored, 9);
}

#[test]
fn a_reply_in_another_case_is_ignored_where_the_case_was_chosen_at_random() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let proper = Act::after(SECOND, Act::Send(asked.address(ADDRESS)));
            vec![Act::Send(asked.wrong_case([203, 0, 113, 9])), proper]
        });
        let options = QueryOptions { random_case: Some(17), ..QueryOptions::default() };
        let query = Query::new(Name::from_ascii("example.com.").unwrap(), RecordType::A, &options);
        let reply = Udp::default().exchange(&server.name_server(), &query, now() + 5 * SECOND).unwrap();
        assert_eq!(addresses(&reply), ["192.0.2.1"]);
    });
}

#[test]
fn late_and_doubled_replies_disturb_nobody() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let reply = Act::Send(asked.address([192, 0, 2, asked.number as u8]));
            match asked.number {
                0 => vec![Act::after(6 * SECOND, reply)],
                _ => vec![reply.clone(), reply.clone(), reply],
            }
        });
        let udp = Udp::new(one_socket());
        assert!(matches!(ask(&udp, &server, "late.example."), Err(ExchangeError::TimedOut)));
        sleep(2 * SECOND);
        assert_eq!(ask(&udp, &server, "next.example.").unwrap(), ["192.0.2.1"]);
        sleep(SECOND);
        assert_eq!(ask(&udp, &server, "last.example.").unwrap(), ["192.0.2.2"]);
        // The late one. A double that comes along with the reply is not looked at any more.
        assert!(udp.stats().ignored >= 1, "{:?}", udp.stats());
    });
}

/// A forger may fill the socket before the query leaves, and need not be fast.
#[test]
fn what_came_before_the_query_is_not_its_reply() {
    let script = |forged_id: Option<u16>| {
        move |asked: &Asked| {
            let mut acts = vec![Act::Send(asked.address(ADDRESS))];
            if let Some(id) = forged_id.filter(|_| asked.number == 0) {
                let mut next = asked.clone();
                next.message.queries[0].name = Name::from_ascii("second.example.").unwrap();
                next.name = next.message.queries[0].name.clone();
                acts.push(Act::after(SECOND, Act::Send(with_id(next.address([203, 0, 113, 9]), id))));
            }
            acts
        }
    };
    let ids_of = |forged_id: Option<u16>| {
        test::run(move || {
            let server = PrivateServer::start(script(forged_id));
            let udp = Udp::new(UdpOptions { seed: Some(7), ..one_socket() });
            ask(&udp, &server, "first.example.").unwrap();
            sleep(2 * SECOND);
            assert_eq!(ask(&udp, &server, "second.example.").unwrap(), ["192.0.2.1"]);
            assert_eq!(udp.stats().ignored, u64::from(forged_id.is_some()));
            server.asked().iter().map(|asked| asked.id).collect::<Vec<u16>>()
        })
    };
    let ids = ids_of(None);
    // The same seed, the same ids: this time somebody knows the second.
    assert_eq!(ids_of(Some(ids[1])), ids);
}

#[test]
fn several_are_in_flight_on_one_socket_and_replies_come_in_any_order() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let delay = Duration::from_millis(100) * (20 - asked.number as u32);
            vec![Act::after(delay, Act::Send(asked.address([192, 0, 2, asked.number as u8])))]
        });
        let (udp, server) = (Rc::new(Udp::new(one_socket())), Rc::new(server));
        let began = now();
        let asking: Vec<_> = (0..20)
            .map(|index| {
                let (udp, server) = (udp.clone(), server.clone());
                spawn(move || (ask(&udp, &server, &format!("n{index}.example.")).unwrap(), now()))
            })
            .collect();
        for (index, asking) in asking.into_iter().enumerate() {
            let (addresses, at) = asking.join().unwrap();
            assert_eq!(addresses, [format!("192.0.2.{index}")]);
            assert_eq!(at - began, Duration::from_millis(100) * (20 - index as u32));
        }
        let asked = server.asked();
        assert_eq!(asked.iter().map(|asked| asked.from).collect::<HashSet<_>>().len(), 1);
        assert_eq!(asked.iter().map(|asked| asked.id).collect::<HashSet<_>>().len(), 20);
        assert_eq!((udp.stats().opened, udp.stats().in_flight), (1, 0));
    });
}

/// RFC 5452, section 9.2: ids and ports are not to be guessed from those before.
#[test]
fn rfc5452_9_2_ids_and_ports_vary() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.address(ADDRESS))]);
        let udp = Udp::new(UdpOptions { queries_per_port: 8, ..UdpOptions::default() });
        for _ in 0..400 {
            ask(&udp, &server, "example.com.").unwrap();
        }
        let asked = server.asked();
        let ids: HashSet<u16> = asked.iter().map(|asked| asked.id).collect();
        let ports: HashSet<u16> = asked.iter().map(|asked| asked.from.port()).collect();
        // Of 400 random ids one or two may be drawn twice.
        assert!(ids.len() > 380, "{} ids", ids.len());
        assert!(ports.len() >= 400 / 8, "{} ports", ports.len());
        let steps: HashSet<u16> = asked.windows(2).map(|pair| pair[1].id.wrapping_sub(pair[0].id)).collect();
        assert!(steps.len() > 380, "{} steps", steps.len());
        let changes = asked.windows(2).filter(|pair| pair[0].from != pair[1].from).count();
        assert!(changes > 200, "{changes} changes of the port");
    });
}

#[test]
fn a_port_is_used_so_often_and_so_long_at_most() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.address(ADDRESS))]);
        let udp = Udp::new(UdpOptions { queries_per_port: 1_000_000, ..UdpOptions::default() });
        let ports = |server: &PrivateServer, from: usize| {
            server.asked()[from..].iter().map(|asked| asked.from.port()).collect::<HashSet<u16>>()
        };
        for _ in 0..50 {
            ask(&udp, &server, "example.com.").unwrap();
        }
        let young = ports(&server, 0);
        assert!(young.len() <= 8, "{young:?}");
        assert_eq!(udp.stats().opened, 8);
        sleep(11 * SECOND);
        for _ in 0..50 {
            ask(&udp, &server, "example.com.").unwrap();
        }
        assert_eq!(udp.stats().opened, 16);
        let every = Udp::new(UdpOptions { queries_per_port: 1, ..UdpOptions::default() });
        for _ in 0..20 {
            ask(&every, &server, "example.com.").unwrap();
        }
        assert!(ports(&server, 100).len() >= 19, "the kernel may give a port twice, and rarely does");
    });
}

/// Whoever guesses ids has to begin anew on another port.
#[test]
fn a_port_on_which_strays_arrive_is_given_up() {
    test::run(|| {
        let server = PrivateServer::start(|asked| {
            let mut acts = vec![Act::Send(asked.address(ADDRESS))];
            if asked.number == 0 {
                let guesses = (1..=20).map(|guess| asked.id.wrapping_add(guess));
                acts.extend(guesses.map(|id| Act::Send(with_id(asked.address([203, 0, 113, 9]), id))));
            }
            acts
        });
        let udp = Udp::new(one_socket());
        ask(&udp, &server, "example.com.").unwrap();
        sleep(SECOND);
        ask(&udp, &server, "example.com.").unwrap();
        let asked = server.asked();
        assert_ne!(asked[0].from, asked[1].from);
        assert_eq!((udp.stats().ignored, udp.stats().opened), (20, 2));
    });
}

#[test]
fn that_nobody_listens_is_known_at_once() {
    test::run(|| {
        let mut server = PrivateServer::start(|_| Vec::new());
        server.stop();
        let (udp, began) = (Udp::default(), now());
        let error = ask(&udp, &server, "example.com.").unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert_eq!(now(), began);
    });
}

#[test]
fn an_error_of_one_socket_is_for_those_who_wait_there() {
    test::run(|| {
        let steady = Rc::new(PrivateServer::start(|asked| vec![Act::after(SECOND, Act::Send(asked.address(ADDRESS)))]));
        let mut leaving = PrivateServer::start(|_| Vec::new());
        leaving.stop();
        let (udp, leaving) = (Rc::new(Udp::new(one_socket())), Rc::new(leaving));
        let begin = |server: &Rc<PrivateServer>, name: &'static str| {
            let (udp, server) = (udp.clone(), server.clone());
            spawn(move || ask(&udp, &server, name))
        };
        let served = begin(&steady, "one.example.");
        let refused: Vec<_> = ["a.example.", "b.example.", "c.example."].map(|name| begin(&leaving, name)).into();
        for refused in refused {
            assert!(refused.join().unwrap().unwrap_err().is_refused());
        }
        assert_eq!(served.join().unwrap().unwrap(), ["192.0.2.1"]);
    });
}

/// DNS-4: so many are outstanding, and others wait.
#[test]
fn those_beyond_the_limit_wait_for_one_to_end() {
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|asked| vec![Act::after(SECOND, Act::Send(asked.address(ADDRESS)))]));
        let udp = Rc::new(Udp::new(UdpOptions { in_flight: 2, ..UdpOptions::default() }));
        let began = now();
        let asking: Vec<_> = (0..6)
            .map(|_| {
                let (udp, server) = (udp.clone(), server.clone());
                spawn(move || {
                    ask(&udp, &server, "example.com.").unwrap();
                    now() - began
                })
            })
            .collect();
        let ended: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert_eq!(ended, [SECOND, SECOND, 2 * SECOND, 2 * SECOND, 3 * SECOND, 3 * SECOND]);
        assert_eq!(udp.stats().waits_for_room, 4);
    });
}

/// DNS-4.
#[test]
fn whoever_finds_no_room_in_time_is_told_so() {
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|_| Vec::new()));
        let udp = Rc::new(Udp::new(UdpOptions { in_flight: 1, ..UdpOptions::default() }));
        let first = spawn({
            let (udp, server) = (udp.clone(), server.clone());
            move || ask(&udp, &server, "first.example.")
        });
        grapeshot_core::yield_now();
        let soon = now() + SECOND;
        let error = udp.exchange(&server.name_server(), &query("second.example."), soon).unwrap_err();
        assert!(matches!(error, ExchangeError::Busy { limit: 1 }), "{error}");
        assert_eq!(now(), soon);
        assert!(matches!(first.join().unwrap(), Err(ExchangeError::TimedOut)));
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn when_the_one_who_reads_is_cancelled_another_takes_over() {
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|asked| {
            vec![Act::after(2 * SECOND, Act::Send(asked.address([192, 0, 2, asked.number as u8])))]
        }));
        let udp = Rc::new(Udp::new(one_socket()));
        let asking: Vec<_> = (0..4)
            .map(|index| {
                let (udp, server) = (udp.clone(), server.clone());
                spawn(move || ask(&udp, &server, &format!("n{index}.example.")).unwrap())
            })
            .collect();
        sleep(SECOND);
        // The first to come reads; the one who takes over is cancelled as well, before it has run.
        asking[0].cancel();
        asking[3].cancel();
        grapeshot_core::yield_now();
        asking[2].cancel();
        let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().ok()).collect();
        assert_eq!(answers, [None, Some(vec!["192.0.2.1".to_owned()]), None, None]);
        assert_eq!(udp.stats().in_flight, 0);
    });
}

/// The leader's own limit is no reason for the others to wait in vain.
#[test]
fn when_the_one_who_reads_runs_out_of_time_another_takes_over() {
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|asked| match asked.number {
            0 => Vec::new(),
            _ => vec![Act::after(3 * SECOND, Act::Send(asked.address(ADDRESS)))],
        }));
        let udp = Rc::new(Udp::new(one_socket()));
        let first = spawn({
            let (udp, server) = (udp.clone(), server.clone());
            move || udp.exchange(&server.name_server(), &query("first.example."), now() + SECOND)
        });
        grapeshot_core::yield_now();
        assert_eq!(ask(&udp, &server, "second.example.").unwrap(), ["192.0.2.1"]);
        assert!(matches!(first.join().unwrap(), Err(ExchangeError::TimedOut)));
    });
}

#[test]
fn broken_replies_are_named_errors() {
    test::run(|| {
        let breakages: [fn(&Asked) -> Vec<u8>; 5] = [
            Asked::pointer_loop,
            Asked::oversize_name,
            Asked::lying_counts,
            |asked| cut_short(asked.address(ADDRESS), 50),
            |asked| garbage(asked.id, 300),
        ];
        let count = breakages.len();
        let server = PrivateServer::start(move |asked| vec![Act::Send(breakages[asked.number](asked))]);
        let (udp, began) = (Udp::default(), now());
        for _ in 0..count {
            let error = ask(&udp, &server, "example.com.").unwrap_err();
            assert!(matches!(error, ExchangeError::Malformed(_)), "{error}");
        }
        assert_eq!(now(), began);
    });
}

/// A reply that is cut off anywhere is an error or, within its header, ignored.
#[test]
fn a_reply_cut_off_at_any_byte_is_refused() {
    test::run(|| {
        let length = 12 + 13 + 4 + 16 + 11;
        let server =
            PrivateServer::start(move |asked| vec![Act::Send(cut_short(asked.address(ADDRESS), asked.number))]);
        let udp = Udp::default();
        for cut in 0..length {
            let error = ask(&udp, &server, "example.com.").unwrap_err();
            let is_ignored = matches!(error, ExchangeError::TimedOut);
            assert_eq!(is_ignored, cut < 3, "cut at {cut}: {error}");
            assert!(is_ignored || matches!(error, ExchangeError::Malformed(_)), "cut at {cut}: {error}");
        }
    });
}

/// RFC 2181, section 9: whoever gets this asks again over TCP.
#[test]
fn a_truncated_reply_is_given_as_it_is() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.truncated())]);
        let reply = Udp::default().exchange(&server.name_server(), &query("example.com."), now() + SECOND).unwrap();
        assert!(reply.is_truncated());
    });
}

/// RFC 6891, section 7: a server that does not know EDNS need not repeat the question.
#[test]
fn rfc6891_7_a_format_error_without_question_is_a_reply() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.edns_not_understood())]);
        let reply = Udp::default().exchange(&server.name_server(), &query("example.com."), now() + SECOND).unwrap();
        assert_eq!(reply.rcode(), grapeshot_dns::proto::ResponseCode::FormErr);
    });
}

#[test]
fn a_server_over_ipv6_is_asked() {
    test::run(|| {
        let server = PrivateServer::start_at("::1", |asked| vec![Act::Send(asked.address_v6("2001:db8::1"))]);
        assert_eq!(ask(&Udp::default(), &server, "example.com.").unwrap(), ["2001:db8::1"]);
    });
}

#[test]
fn a_server_without_route_is_an_error_that_says_so() {
    test::run(|| {
        // A link-local address needs a zone, and there is none of this number.
        let server = NameServer::from("[fe80::1%4000000000]:53".parse::<std::net::SocketAddr>().unwrap());
        let error = Udp::default().exchange(&server, &query("example.com."), now() + SECOND).unwrap_err();
        assert!(matches!(error, ExchangeError::Failed { what: "open a socket", .. }), "{error:?}");
    });
}

/// A destructor that runs while its coroutine unwinds gets an error, and nobody else does.
#[test]
fn a_coroutine_that_unwinds_is_refused() {
    struct AsksWhenDropped {
        udp: Rc<Udp>,
        server: Rc<PrivateServer>,
        seen: Rc<RefCell<Option<ExchangeError>>>,
    }
    impl Drop for AsksWhenDropped {
        fn drop(&mut self) {
            *self.seen.borrow_mut() = ask(&self.udp, &self.server, "dropped.example.").err();
        }
    }
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|asked| vec![Act::after(SECOND, Act::Send(asked.address(ADDRESS)))]));
        let (udp, seen) = (Rc::new(Udp::new(one_socket())), Rc::default());
        let unwinding = AsksWhenDropped { udp: udp.clone(), server: server.clone(), seen: Rc::clone(&seen) };
        let coroutine = spawn(move || {
            let _kept = unwinding;
            sleep(5 * SECOND);
        });
        let other = spawn({
            let (udp, server) = (udp.clone(), server.clone());
            move || ask(&udp, &server, "other.example.")
        });
        grapeshot_core::yield_now();
        coroutine.cancel();
        assert!(coroutine.join().is_err());
        assert!(matches!(*seen.borrow(), Some(ExchangeError::Unwinding)), "{:?}", seen.borrow());
        assert_eq!(other.join().unwrap().unwrap(), ["192.0.2.1"]);
        assert_eq!(udp.stats().in_flight, 0);
    });
}

/// Without a runtime a call blocks its thread, as std's would.
#[test]
fn outside_a_coroutine_it_works_and_blocks_the_thread() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = NameServer::from(socket.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let mut buf = [0; 512];
        let (length, from) = socket.recv_from(&mut buf).unwrap();
        buf[2] |= 0x80;
        socket.send_to(&buf[..length], from).unwrap();
    });
    let udp = Udp::default();
    let reply = udp.exchange(&server, &query("example.com."), now() + 30 * SECOND).unwrap();
    assert_eq!(reply.answers().len(), 0);
    answering.join().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = NameServer::from(silent.local_addr().unwrap());
    let deadline = now() + Duration::from_millis(20);
    assert!(matches!(udp.exchange(&server, &query("example.com."), deadline), Err(ExchangeError::TimedOut)));
    assert!(now() >= deadline);
}

/// The sockets that are kept are few, whatever number of servers is asked.
#[test]
fn sockets_are_kept_for_so_many_servers() {
    test::run(|| {
        let server = Rc::new(PrivateServer::start(|asked| vec![Act::Send(asked.address(ADDRESS))]));
        let opened = Rc::new(Cell::new(0));
        let udp = Udp::new(one_socket());
        for last in 1..=60_u8 {
            // Every address of 127.0.0.0/8 is this machine's; nobody listens there, which is known at once.
            let address = std::net::SocketAddr::from(([127, 0, 1, last], server.address.port()));
            let error = udp.exchange(&address.into(), &query("example.com."), now() + SECOND).unwrap_err();
            assert!(error.is_refused(), "{error}");
            opened.set(opened.get().max(grapeshot_core::stats().registrations));
        }
        // 32 pools of one socket, and the server's own two.
        assert!(opened.get() <= 34, "{} descriptors", opened.get());
    });
}
