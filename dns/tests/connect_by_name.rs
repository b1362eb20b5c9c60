//! Connecting by name: RFC 8305 on sockets, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use grapeshot_core::{now, spawn, test, with_timeout, yield_now};
use grapeshot_dns::proto::{Family, Name, RData, RaceOptions, RecordType};
use grapeshot_dns::{Config, ConnectErrorKind, ConnectOptions, LookupErrorKind, Resolver};
use grapeshot_net::TcpListener;
use hickory_proto::rr::rdata::{A, SRV};
use socket2::{Domain, Socket, Type};

use self::support::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A server that knows these IPv4 addresses of any name, and that there are no others.
fn server_of(addresses: &'static [[u8; 4]]) -> PrivateServer {
    PrivateServer::start(move |asked| {
        let reply = match asked.record_type {
            RecordType::A => asked.answer(addresses.iter().map(|address| RData::A(A((*address).into())))),
            _ => asked.no_data("example.", 60),
        };
        vec![Act::Send(reply)]
    })
}

fn resolver(server: &PrivateServer) -> Resolver {
    Resolver::new(Config::with_servers([server.address]))
}

fn listen(ip: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((ip.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A listener that no longer answers: its queue is full, and so the system drops what comes.
struct Silent {
    _listener: Socket,
    _fillers: Vec<Socket>,
}

impl Silent {
    fn at(address: &str, port: u16) -> Silent {
        let address: SocketAddr = (address.parse::<std::net::IpAddr>().unwrap(), port).into();
        let socket = || Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None).unwrap();
        let listener = socket();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let fillers = (0..4).map(|_| socket()).inspect(|filler| drop(filler.connect(&address.into()))).collect();
        Silent { _listener: listener, _fillers: fillers }
    }
}

/// Keeps a port for itself without listening on it, so that whoever connects is refused.
fn refusing(ip: &str, port: u16) -> Socket {
    let address: SocketAddr = (ip.parse::<std::net::IpAddr>().unwrap(), port).into();
    let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Two listeners with one port, at ::1 and 127.0.0.1.
fn listen_on_both() -> (TcpListener, TcpListener, u16) {
    for _ in 0..100 {
        let (v4, port) = listen("127.0.0.1");
        if let Ok(v6) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            return (v6, v4, port);
        }
    }
    panic!("no port is free for both families");
}

#[test]
fn a_name_leads_to_its_address() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.2");
        let server = server_of(&[[127, 0, 0, 2]]);
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), SocketAddr::from(([127, 0, 0, 2], port)));
    });
}

#[test]
fn numbers_are_asked_of_nobody() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.1");
        let server = server_of(&[]);
        for host in ["127.0.0.1", "127.1"] {
            resolver(&server).connect(host, port).unwrap();
        }
        if has_ipv6() {
            let (_v6, _v4, port) = listen_on_both();
            for host in ["::1", "[::1]"] {
                assert!(resolver(&server).connect(host, port).unwrap().peer_addr().unwrap().is_ipv6());
            }
        }
        assert!(server.asked().is_empty());
    });
}

#[test]
fn rfc_8305_section_5_a_refusal_starts_the_next_attempt_at_once() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.3");
        let _refusing = refusing("127.0.0.2", port);
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.3");
        assert_eq!(now() - began, Duration::ZERO);
    });
}

#[test]
fn rfc_8305_section_5_a_silent_address_holds_the_next_up_for_the_delay() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.4");
        let _silent = [Silent::at("127.0.0.2", port), Silent::at("127.0.0.3", port)];
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]]);
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.4");
        // The test's end checks that the two attempts that lost are gone, with their sockets.
        assert_eq!(now() - began, ATTEMPT_DELAY * 2);
    });
}

#[test]
fn every_address_that_failed_is_named() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.9");
        let _refusing = [refusing("127.0.0.2", port), refusing("127.0.0.3", port)];
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
        let error = resolver(&server).connect("host.example", port).unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::AllFailed));
        let tried: Vec<(String, io::ErrorKind)> =
            error.attempts().iter().map(|failed| (failed.address.to_string(), failed.error.kind())).collect();
        let refused = io::ErrorKind::ConnectionRefused;
        assert_eq!(tried, [(format!("127.0.0.2:{port}"), refused), (format!("127.0.0.3:{port}"), refused)]);
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot connect to host.example, port {port}: ")), "{text}");
        assert!(
            text.contains(&format!("127.0.0.2:{port}: ")) && text.contains(&format!("127.0.0.3:{port}: ")),
            "{text}"
        );
        assert_eq!(io::Error::from(error).kind(), refused);
    });
}

#[test]
fn a_call_ends_at_its_limit_and_names_what_was_under_way() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.9");
        let _silent = [Silent::at("127.0.0.2", port), Silent::at("127.0.0.3", port)];
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
        let began = now();
        let options = ConnectOptions { timeout: 2 * SECOND, ..ConnectOptions::default() };
        let error = resolver(&server).connect_with("host.example", port, &options).unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::TimedOut { limit } if *limit == 2 * SECOND));
        assert_eq!(now() - began, 2 * SECOND);
        let times: Vec<Duration> = error.attempts().iter().map(|failed| failed.took).collect();
        assert_eq!(times, [2 * SECOND, 2 * SECOND - ATTEMPT_DELAY]);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn an_attempt_ends_at_its_own_limit() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.9");
        let _silent = Silent::at("127.0.0.2", port);
        let server = server_of(&[[127, 0, 0, 2]]);
        let began = now();
        let error = resolver(&server).connect("host.example", port).unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::AllFailed));
        assert_eq!(error.attempts()[0].error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(now() - began, ConnectOptions::default().attempt_timeout);
    });
}

#[test]
fn a_cancelled_call_closes_all_its_attempts() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.9");
        let _silent = [Silent::at("127.0.0.2", port), Silent::at("127.0.0.3", port)];
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
        let resolver = resolver(&server);
        let ended = with_timeout(SECOND, || resolver.connect("host.example", port).map(drop));
        assert!(ended.is_err());
    });
}

#[test]
fn a_call_that_is_cancelled_at_any_moment_leaves_nothing_behind() {
    for moment in 0..40 {
        test::run(move || {
            let (_listener, port) = listen("127.0.0.3");
            let _refusing = refusing("127.0.0.2", port);
            let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
            let resolver = resolver(&server);
            let call = spawn(move || resolver.connect("host.example", port).map(drop));
            for _ in 0..moment {
                yield_now();
            }
            call.cancel();
            // It has ended by the cancellation, or had won before.
            let _ = call.join();
        });
    }
}

#[test]
fn under_any_schedule_one_connection_comes_about_and_nothing_is_left() {
    for seed in support::seeds(60) {
        test::Test::new().seed(seed).run(move || {
            let (_listener, port) = listen("127.0.0.4");
            let _refusing = refusing("127.0.0.2", port);
            let _silent = Silent::at("127.0.0.3", port);
            let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]]);
            let resolver = resolver(&server);
            let calls: Vec<_> = (0..3)
                .map(|_| {
                    let resolver = resolver.clone();
                    spawn(move || resolver.connect("host.example", port).map(|stream| stream.peer_addr().unwrap()))
                })
                .collect();
            for call in calls {
                assert_eq!(call.join().unwrap().unwrap(), SocketAddr::from(([127, 0, 0, 4], port)));
            }
        });
    }
}

/// Answers for A at once, and for AAAA with ::1 after a time.
fn slow_for_ipv6(delay: Duration) -> PrivateServer {
    PrivateServer::start(move |asked| match asked.record_type {
        RecordType::A => vec![Act::Send(asked.address([127, 0, 0, 1]))],
        _ => vec![Act::after(delay, Act::Send(asked.address_v6("::1")))],
    })
}

#[test]
fn rfc_8305_section_3_ipv4_waits_for_the_answer_with_ipv6() {
    if !has_ipv6() {
        return;
    }
    test::run(|| {
        let (_v6, _v4, port) = listen_on_both();
        let server = slow_for_ipv6(30 * MILLISECOND);
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert!(stream.peer_addr().unwrap().is_ipv6());
        assert_eq!(now() - began, 30 * MILLISECOND);
    });
}

#[test]
fn rfc_8305_section_3_ipv4_waits_no_longer_than_the_resolution_delay() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.1");
        let server = slow_for_ipv6(3 * SECOND);
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert!(stream.peer_addr().unwrap().is_ipv4());
        assert_eq!(now() - began, RESOLUTION_DELAY);
    });
}

#[test]
fn rfc_8305_section_3_ipv6_does_not_wait_for_ipv4() {
    if !has_ipv6() {
        return;
    }
    test::run(|| {
        let (_v6, _v4, port) = listen_on_both();
        let server = PrivateServer::start(|asked| match asked.record_type {
            RecordType::AAAA => vec![Act::Send(asked.address_v6("::1"))],
            _ => vec![Act::after(3 * SECOND, Act::Send(asked.address([127, 0, 0, 1])))],
        });
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert!(stream.peer_addr().unwrap().is_ipv6());
        assert_eq!(now() - began, Duration::ZERO);
    });
}

#[test]
fn rfc_8305_section_3_an_address_that_comes_late_joins_the_race() {
    if !has_ipv6() {
        return;
    }
    test::run(|| {
        let (v6, v4, port) = listen_on_both();
        drop(v4);
        let _silent = Silent::at("127.0.0.1", port);
        let server = slow_for_ipv6(100 * MILLISECOND);
        let began = now();
        let stream = resolver(&server).connect("host.example", port).unwrap();
        assert!(stream.peer_addr().unwrap().is_ipv6());
        // IPv4 was started when its wait was over; the next attempt is due after the delay.
        assert_eq!(now() - began, RESOLUTION_DELAY + ATTEMPT_DELAY);
        drop(v6);
    });
}

#[test]
fn only_addresses_of_the_family_asked_for_are_tried() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.1");
        let server = slow_for_ipv6(Duration::ZERO);
        let options = ConnectOptions { family: Family::V4, ..ConnectOptions::default() };
        let stream = resolver(&server).connect_with("host.example", port, &options).unwrap();
        assert!(stream.peer_addr().unwrap().is_ipv4());
        assert!(server.asked().iter().all(|asked| asked.record_type == RecordType::A));
        let error = resolver(&server).connect_with("::1", port, &options).unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::NoAddress));
    });
}

#[test]
fn no_more_addresses_are_tried_than_allowed() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.4");
        let _refusing = [refusing("127.0.0.2", port), refusing("127.0.0.3", port)];
        let server = server_of(&[[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]]);
        let race = RaceOptions { max_addresses: 2, ..RaceOptions::default() };
        let options = ConnectOptions { race, ..ConnectOptions::default() };
        let error = resolver(&server).connect_with("host.example", port, &options).unwrap_err();
        assert_eq!(error.attempts().len(), 2);
    });
}

#[test]
fn a_host_that_does_not_exist_is_told_by_the_lookup() {
    test::run(|| {
        let server = PrivateServer::start(|asked| vec![Act::Send(asked.no_such_name("example.", 60))]);
        let error = resolver(&server).connect("host.example", 80).unwrap_err();
        assert!(
            matches!(error.kind(), ConnectErrorKind::Lookup(lookup) if matches!(lookup.kind(), LookupErrorKind::NoSuchName))
        );
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_zone_that_is_no_interface_cannot_be_connected_to() {
    test::run(|| {
        let error = Resolver::new(Config::default()).connect("fe80::1%no-such-if", 80).unwrap_err();
        assert!(matches!(error.kind(), ConnectErrorKind::NoAddress));
    });
}

/// SRV records of any name, and one address for all hosts.
fn service_of(servers: &'static [(u16, &'static str)], port: u16) -> PrivateServer {
    PrivateServer::start(move |asked| {
        let reply = match asked.record_type {
            RecordType::SRV => asked.answer(servers.iter().map(|&(priority, target)| {
                let target = Name::from_ascii(target).unwrap();
                RData::SRV(SRV::new(priority, 1, port, target))
            })),
            RecordType::A => {
                let last = if asked.name.to_ascii().starts_with("good") { 4 } else { 3 };
                asked.address([127, 0, 0, last])
            }
            _ => asked.no_data("example.", 60),
        };
        vec![Act::Send(reply)]
    })
}

#[test]
fn rfc_2782_servers_of_a_service_are_tried_by_priority() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.4");
        let _refusing = refusing("127.0.0.3", port);
        let server = service_of(&[(20, "good.example."), (10, "bad.example.")], port);
        let options = ConnectOptions::default();
        let stream = resolver(&server).connect_service("_x._tcp.example.", &options).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), SocketAddr::from(([127, 0, 0, 4], port)));
        let asked: Vec<String> = server.asked().iter().map(|asked| asked.name.to_ascii()).collect();
        assert_eq!(asked[..2], ["_x._tcp.example.", "bad.example."]);
    });
}

#[test]
fn rfc_2782_a_service_with_no_server_in_reach_names_them_all() {
    test::run(|| {
        let (_listener, port) = listen("127.0.0.9");
        let _refusing = [refusing("127.0.0.3", port), refusing("127.0.0.4", port)];
        let server = service_of(&[(20, "good.example."), (10, "bad.example.")], port);
        let error = resolver(&server).connect_service("_x._tcp.example.", &ConnectOptions::default()).unwrap_err();
        let ConnectErrorKind::Servers(servers) = error.kind() else { panic!("{error}") };
        let hosts: Vec<&str> = servers.iter().map(|server| server.host()).collect();
        assert_eq!(hosts, ["bad.example.", "good.example."]);
        assert!(error.to_string().contains(&format!("127.0.0.4:{port}: ")), "{error}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn rfc_2782_a_root_target_says_that_the_service_is_not_offered() {
    test::run(|| {
        let server = service_of(&[(0, ".")], 0);
        let error = resolver(&server).connect_service("_x._tcp.example.", &ConnectOptions::default()).unwrap_err();
        let ConnectErrorKind::Lookup(lookup) = error.kind() else { panic!("{error}") };
        assert!(matches!(lookup.kind(), LookupErrorKind::NoService));
    });
}

#[test]
fn outside_coroutines_addresses_are_tried_one_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // ::1 comes first and refuses.
    let stream = Resolver::new(Config::default()).connect("localhost", port).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
}
