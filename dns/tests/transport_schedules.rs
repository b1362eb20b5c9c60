//! Many exchanges under many schedules, with a moody server, and with limits and cancellations wherever chance puts them.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{JoinError, now, random_u64, sleep, spawn, stats, with_timeout};
use grapeshot_dns::transport::{ExchangeError, StreamOptions, Tcp, Transport, Udp, UdpOptions};

use self::support::*;

/// A number below `bound`, from the test's seed.
fn random(bound: u64) -> u64 {
    random_u64() % bound
}

fn milliseconds(bound: u64) -> Duration {
    Duration::from_millis(random(bound))
}

/// The address that goes with a name of the form `n7.example.`.
fn address_of(asked: &Asked) -> [u8; 4] {
    let name = asked.name.to_string();
    let number: u16 = name.trim_start_matches('n').split('.').next().unwrap().parse().unwrap();
    let [high, low] = number.to_be_bytes();
    [192, 0, high, low]
}

/// Answers properly most of the time, at some time; sometimes not, twice, with something else before, or with rubbish.
fn moody(asked: &Asked) -> Vec<Act> {
    let proper = Act::after(milliseconds(60), Act::Send(asked.address(address_of(asked))));
    let forged = [203, 0, 113, 9];
    match random(12) {
        0 => Vec::new(),
        1 => vec![proper.clone(), proper],
        2 => vec![Act::Send(with_id(asked.address(forged), random(65_536) as u16)), proper],
        3 => vec![Act::after(milliseconds(40), Act::Send(asked.wrong_question(forged))), proper],
        4 => vec![Act::Send(garbage(asked.id, 40))],
        5 if asked.via == Via::Udp => vec![Act::FromElsewhere(asked.address(forged)), proper],
        5 if random(6) == 0 => vec![Act::Close],
        6 if asked.via == Via::Tcp && random(6) == 0 => vec![Act::after(milliseconds(60), Act::Close), proper],
        _ => vec![proper],
    }
}

/// Asks a few times, and checks that no answer is that to another's question.
fn client(transport: &dyn Transport, server: &PrivateServer, first: u16) {
    for number in first..first + 6 {
        let [high, low] = number.to_be_bytes();
        let query = query(&format!("n{number}.example."));
        let deadline = now() + Duration::from_millis(1 + random(100));
        let exchange = || transport.exchange(&server.name_server(), &query, deadline);
        let ended = if random(3) == 0 { with_timeout(milliseconds(50), exchange).ok() } else { Some(exchange()) };
        assert!(now() <= deadline, "{:?} late", now() - deadline);
        match ended {
            Some(Ok(reply)) => assert_eq!(addresses(&reply), [format!("192.0.{high}.{low}")]),
            Some(Err(ExchangeError::TimedOut | ExchangeError::Malformed(_) | ExchangeError::Busy { .. })) | None => {}
            Some(Err(ExchangeError::Closed | ExchangeError::Failed { .. })) => assert_eq!(transport.name(), "TCP"),
            Some(Err(error)) => panic!("{error}"),
        }
        sleep(milliseconds(10));
    }
}

/// Lets many clients loose on a transport, and cancels some.
fn run(seed: u64, transport: impl Fn() -> Rc<dyn Transport> + 'static) {
    Test::new().seed(seed).run(move || {
        let (transport, server) = (transport(), Rc::new(PrivateServer::start(moody)));
        let clients: Vec<_> = (0..24)
            .map(|index| {
                let (transport, server) = (transport.clone(), server.clone());
                spawn(move || client(&*transport, &server, index * 6))
            })
            .collect();
        let doomed: Vec<_> = clients.iter().map(|client| client.coroutine()).filter(|_| random(4) == 0).collect();
        for coroutine in doomed {
            sleep(milliseconds(20));
            coroutine.cancel();
        }
        for client in clients {
            // A cancelled one has no result; a panic of any other is the test's.
            if let Err(JoinError::Panicked(panic)) = client.join() {
                panic!("{panic}");
            }
        }
        let ended = transport.stats();
        assert_eq!(ended.in_flight, 0, "seed {seed}: {ended:?}");
        assert!(ended.replies > 10, "seed {seed}: {ended:?}");
        drop(transport);
        sleep(10 * SECOND);
        // The server's own socket and listener.
        assert_eq!((stats().registrations, stats().timers), (2, 0), "seed {seed}");
    });
}

#[test]
fn over_udp_every_reply_goes_where_it_belongs_whatever_the_order() {
    for seed in support::seeds(8) {
        run(seed, move || {
            Rc::new(Udp::new(UdpOptions {
                in_flight: 5 + seed as usize % 8 * 3,
                sockets: 1 + seed as usize % 4,
                queries_per_port: 20,
                seed: Some(seed),
                ..UdpOptions::default()
            }))
        });
    }
}

#[test]
fn over_tcp_every_reply_goes_where_it_belongs_whatever_the_order() {
    for seed in support::seeds(8) {
        run(seed, move || {
            Rc::new(Tcp::new(StreamOptions {
                in_flight: 5 + seed as usize % 8 * 3,
                idle_timeout: Duration::from_millis(1 + seed % 8 * 10),
                seed: Some(seed),
            }))
        });
    }
}
