//! DNS over TCP (RFC 7766), against a private server that stalls, splits, mixes up and hangs up.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::collections::HashSet;
use std::iter::repeat_n;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{JoinHandle, now, sleep, spawn, test, yield_now};
use grapeshot_dns::proto::Query;
use grapeshot_dns::transport::{ExchangeError, Notes, StreamOptions, Tcp, Transport};

use self::support::*;

type Answer = Result<Vec<String>, ExchangeError>;

/// A server and a transport that several coroutines use.
#[derive(Clone)]
struct Pair {
    tcp: Rc<Tcp>,
    server: Rc<PrivateServer>,
}

impl Pair {
    fn new(script: impl Fn(&Asked) -> Vec<Act> + 'static) -> Pair {
        Pair::with(StreamOptions::default(), script)
    }

    fn with(options: StreamOptions, script: impl Fn(&Asked) -> Vec<Act> + 'static) -> Pair {
        Pair { tcp: Rc::new(Tcp::new(options)), server: Rc::new(PrivateServer::start(script)) }
    }

    /// Asks for an address, for up to five seconds.
    fn ask(&self, name: &str) -> Answer {
        self.ask_noting(&query(name), &mut Notes::default())
    }

    fn ask_noting(&self, query: &Query, notes: &mut Notes) -> Answer {
        let reply = self.tcp.exchange_noting(&self.server.name_server(), query, now() + 5 * SECOND, notes);
        reply.map(|reply| addresses(&reply))
    }

    fn begin(&self, name: impl Into<String>) -> JoinHandle<Answer> {
        let (pair, name) = (self.clone(), name.into());
        spawn(move || pair.ask(&name))
    }
}

/// The address that the server gives to the question of that number.
fn numbered(asked: &Asked) -> Act {
    Act::Send(asked.address([192, 0, 2, asked.number as u8]))
}

/// A message as it goes over TCP.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

#[test]
fn a_reply_comes_back_with_what_it_took() {
    test::run(|| {
        let pair = Pair::new(|asked| vec![numbered(asked)]);
        let mut notes = Notes::default();
        assert_eq!(pair.ask_noting(&query("example.com."), &mut notes).unwrap(), ["192.0.2.0"]);
        let (sent, received) = (2 + 12 + 13 + 4 + 11, 12 + 13 + 4 + 16 + 11);
        assert_eq!((notes.sent, notes.received, notes.reused), (sent, received, false));
        assert_eq!(pair.ask_noting(&query("example.com."), &mut notes).unwrap(), ["192.0.2.1"]);
        assert_eq!((notes.reused, notes.reopened), (true, false));
        let stats = pair.tcp.stats();
        assert_eq!((stats.queries, stats.replies, stats.opened, stats.in_flight), (2, 2, 1, 0));
    });
}

/// RFC 7766, section 6.2.1: queries are pipelined on one connection.
#[test]
fn rfc7766_6_2_1_queries_share_one_connection_and_do_not_wait_for_each_other() {
    test::run(|| {
        let pair = Pair::new(|asked| vec![Act::after(SECOND, numbered(asked))]);
        let began = now();
        let asking: Vec<_> = (0..10).map(|index| pair.begin(format!("n{index}.example."))).collect();
        let answers: HashSet<_> = asking.into_iter().map(|asking| asking.join().unwrap().unwrap()).collect();
        assert_eq!(answers.len(), 10);
        assert_eq!(now() - began, SECOND);
        assert_eq!((pair.server.accepted(), pair.tcp.stats().opened), (1, 1));
        let ids: HashSet<_> = pair.server.asked().iter().map(|asked| asked.id).collect();
        assert_eq!(ids.len(), 10);
    });
}

/// RFC 7766, section 7: replies may come in any order.
#[test]
fn rfc7766_7_replies_come_in_any_order() {
    test::run(|| {
        let pair = Pair::new(|asked| {
            let delay = Duration::from_millis(100) * (10 - asked.number as u32);
            vec![Act::after(delay, numbered(asked))]
        });
        let asking: Vec<_> = (0..10).map(|index| pair.begin(format!("n{index}.example."))).collect();
        for asking in asking {
            asking.join().unwrap().unwrap();
        }
        // Each got the address that was made for its own name.
        let pair = Pair::new(|asked| {
            let number: u8 = asked.name.to_string().trim_start_matches('n').split('.').next().unwrap().parse().unwrap();
            let delay = Duration::from_millis(100) * u32::from(10 - number);
            vec![Act::after(delay, Act::Send(asked.address([192, 0, 2, number])))]
        });
        let asking: Vec<_> = (0..10).map(|index| pair.begin(format!("n{index}.example."))).collect();
        for (index, asking) in asking.into_iter().enumerate() {
            assert_eq!(asking.join().unwrap().unwrap(), [format!("192.0.2.{index}")]);
        }
    });
}

/// RFC 7766, section 8: a message may arrive in pieces, and the length in two of them.
#[test]
fn rfc7766_8_a_reply_may_come_byte_by_byte() {
    test::run(|| {
        let pair = Pair::new(|asked| {
            let bytes = framed(&asked.address([192, 0, 2, 1]));
            let pieces = bytes.iter().zip(1..);
            pieces.map(|(&byte, at)| Act::after(Duration::from_millis(10) * at, Act::Raw(vec![byte]))).collect()
        });
        assert_eq!(pair.ask("example.com.").unwrap(), ["192.0.2.1"]);
    });
}

#[test]
fn the_longest_reply_there_can_be_is_taken() {
    test::run(|| {
        let pair = Pair::new(|asked| {
            // 244 texts of 255 letters, and one that fills up what is left.
            let mut reply = asked.head(245);
            for count in repeat_n(255, 244).chain([65_535 - 29 - 244 * 268 - 13]) {
                reply.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9]);
                reply.extend_from_slice(&(count as u16 + 1).to_be_bytes());
                reply.push(count as u8);
                reply.extend(repeat_n(b'x', count));
            }
            assert_eq!(reply.len(), 65_535);
            vec![Act::Send(reply)]
        });
        assert_eq!(pair.ask("example.com.").unwrap().len(), 245);
    });
}

/// RFC 7766, section 6.2.3: the client closes what it does not use.
#[test]
fn rfc7766_6_2_3_an_idle_connection_is_closed() {
    test::run(|| {
        let pair = Pair::new(|asked| vec![Act::after(SECOND, numbered(asked))]);
        pair.ask("example.com.").unwrap();
        sleep(4 * SECOND);
        // It was used a second ago when this reply has come, so the five seconds begin anew.
        pair.ask("example.com.").unwrap();
        assert_eq!(pair.server.open_connections(), 1);
        sleep(4 * SECOND);
        assert_eq!(pair.server.open_connections(), 1);
        sleep(2 * SECOND);
        assert_eq!(pair.server.open_connections(), 0);
        pair.ask("example.com.").unwrap();
        assert_eq!((pair.server.accepted(), pair.server.open_connections()), (2, 1));
        sleep(10 * SECOND);
        assert_eq!(pair.server.open_connections(), 0);
    });
}

#[test]
fn a_transport_that_is_dropped_closes_its_connections() {
    test::run(|| {
        let Pair { tcp, server } = Pair::new(|asked| vec![numbered(asked)]);
        tcp.exchange(&server.name_server(), &query("example.com."), now() + SECOND).unwrap();
        assert_eq!(server.open_connections(), 1);
        drop(tcp);
        sleep(Duration::from_millis(1));
        assert_eq!(server.open_connections(), 0);
    });
}

/// RFC 7766, section 6.2.4: servers close as well, and may do so while a query is on its way.
#[test]
fn rfc7766_6_2_4_a_connection_that_the_server_has_closed_is_opened_again() {
    test::run(|| {
        let pair = Pair::new(|asked| match asked.number {
            0 => vec![numbered(asked), Act::Close],
            1 => vec![numbered(asked)],
            2 => vec![Act::Reset],
            _ => vec![numbered(asked)],
        });
        pair.ask("example.com.").unwrap();
        sleep(SECOND);
        let mut notes = Notes::default();
        assert_eq!(pair.ask_noting(&query("example.com."), &mut notes).unwrap(), ["192.0.2.1"]);
        assert!(notes.reused && notes.reopened, "{notes:?}");
        assert_eq!(pair.ask("example.com.").unwrap(), ["192.0.2.3"]);
        assert_eq!(pair.server.accepted(), 3);
    });
}

#[test]
fn a_server_that_hangs_up_on_a_new_connection_is_an_error() {
    test::run(|| {
        let pair = Pair::new(|_| vec![Act::Close]);
        let error = pair.ask("example.com.").unwrap_err();
        assert!(matches!(error, ExchangeError::Closed), "{error}");
        assert_eq!(pair.server.asked().len(), 1);
    });
}

/// Once for each query, and not for ever.
#[test]
fn a_server_that_always_hangs_up_is_an_error() {
    test::run(|| {
        let pair = Pair::new(|asked| if asked.number == 0 { vec![numbered(asked)] } else { vec![Act::Close] });
        pair.ask("example.com.").unwrap();
        let error = pair.ask("example.com.").unwrap_err();
        assert!(matches!(error, ExchangeError::Closed), "{error}");
        assert_eq!((pair.server.asked().len(), pair.server.accepted()), (3, 2));
    });
}

/// All whose replies are lost open one connection together.
#[test]
fn all_who_lose_a_connection_share_the_next() {
    test::run(|| {
        let pair = Pair::new(|asked| match (asked.connection, asked.number) {
            (0, 0) => vec![numbered(asked)],
            (0, 10) => vec![Act::Close],
            (0, _) => Vec::new(),
            _ => vec![numbered(asked)],
        });
        pair.ask("first.example.").unwrap();
        let asking: Vec<_> = (0..10).map(|index| pair.begin(format!("n{index}.example."))).collect();
        for asking in asking {
            asking.join().unwrap().unwrap();
        }
        assert_eq!(pair.server.accepted(), 2);
    });
}

#[test]
fn a_server_that_stalls_ends_at_the_deadline_and_is_connected_to_anew() {
    test::run(|| {
        let pair = Pair::new(|asked| if asked.connection == 0 { Vec::new() } else { vec![numbered(asked)] });
        let began = now();
        assert!(matches!(pair.ask("example.com."), Err(ExchangeError::TimedOut)));
        assert_eq!(now() - began, 5 * SECOND);
        pair.ask("example.com.").unwrap();
        assert_eq!((pair.server.accepted(), pair.tcp.stats().in_flight), (2, 0));
    });
}

/// A caller in a hurry says nothing about the server.
#[test]
fn a_short_deadline_does_not_cost_the_connection() {
    test::run(|| {
        let pair = Pair::new(|asked| vec![Act::after(Duration::from_millis(500), numbered(asked))]);
        let soon = now() + Duration::from_millis(100);
        let ended = pair.tcp.exchange(&pair.server.name_server(), &query("example.com."), soon);
        assert!(matches!(ended, Err(ExchangeError::TimedOut)));
        assert_eq!(now(), soon);
        pair.ask("example.com.").unwrap();
        assert_eq!(pair.server.accepted(), 1);
    });
}

/// Whoever opened a connection need not live to see it close.
#[test]
fn a_connection_whose_only_query_was_cancelled_is_closed_when_idle() {
    test::run(|| {
        let pair = Pair::new(|_| Vec::new());
        let asking = pair.begin("example.com.");
        sleep(SECOND);
        assert_eq!(pair.server.open_connections(), 1);
        asking.cancel();
        assert!(asking.join().is_err());
        sleep(11 * SECOND);
        assert_eq!(pair.server.open_connections(), 0);
    });
}

/// One slow name does not cost the others their connection.
#[test]
fn a_connection_on_which_others_are_answered_outlives_a_query_that_is_not() {
    test::run(|| {
        let pair = Pair::new(|asked| if asked.number == 0 { Vec::new() } else { vec![numbered(asked)] });
        let slow = pair.begin("slow.example.");
        sleep(SECOND);
        pair.ask("example.com.").unwrap();
        assert!(matches!(slow.join().unwrap(), Err(ExchangeError::TimedOut)));
        pair.ask("example.com.").unwrap();
        assert_eq!(pair.server.accepted(), 1);
    });
}

#[test]
fn that_nobody_listens_is_known_at_once() {
    test::run(|| {
        let pair = Pair::new(|_| Vec::new());
        let Pair { tcp, server } = pair;
        let mut server = Rc::into_inner(server).unwrap();
        server.stop();
        let began = now();
        let error = tcp.exchange(&server.name_server(), &query("example.com."), now() + SECOND).unwrap_err();
        assert!(error.is_refused(), "{error}");
        assert_eq!(now(), began);
    });
}

#[test]
fn a_deadline_that_has_passed_is_an_error_and_no_panic() {
    test::run(|| {
        let pair = Pair::new(|_| Vec::new());
        let ended = pair.tcp.exchange(&pair.server.name_server(), &query("example.com."), now());
        assert!(matches!(ended, Err(ExchangeError::TimedOut)));
    });
}

/// What belongs to nobody is ignored on a connection as well.
#[test]
fn replies_to_nobody_are_ignored() {
    test::run(|| {
        let pair = Pair::new(|asked| {
            let forged = with_id(asked.address([203, 0, 113, 9]), asked.id ^ 1);
            vec![Act::Send(forged), Act::Send(asked.wrong_question([203, 0, 113, 9])), numbered(asked)]
        });
        let mut notes = Notes::default();
        assert_eq!(pair.ask_noting(&query("example.com."), &mut notes).unwrap(), ["192.0.2.0"]);
        assert_eq!((notes.ignored, pair.tcp.stats().ignored), (2, 2));
    });
}

/// RFC 7766, section 8: a length without room for a header leaves nothing to hold on to.
#[test]
fn a_length_that_no_message_has_ends_the_connection() {
    test::run(|| {
        let pair = Pair::new(|asked| match asked.connection {
            0 => vec![Act::Raw(framed(b"short"))],
            _ => vec![numbered(asked)],
        });
        let error = pair.ask("example.com.").unwrap_err();
        assert!(matches!(error, ExchangeError::Closed), "{error}");
        pair.ask("example.com.").unwrap();
        assert_eq!(pair.server.accepted(), 2);
    });
}

#[test]
fn broken_replies_are_named_errors_and_leave_the_connection() {
    test::run(|| {
        let breakages: [fn(&Asked) -> Vec<u8>; 4] =
            [Asked::pointer_loop, Asked::oversize_name, Asked::lying_counts, |asked| garbage(asked.id, 3000)];
        let count = breakages.len();
        let pair = Pair::new(move |asked| vec![Act::Send(breakages[asked.number](asked))]);
        for _ in 0..count {
            let error = pair.ask("example.com.").unwrap_err();
            assert!(matches!(error, ExchangeError::Malformed(_)), "{error}");
        }
        assert_eq!(pair.server.accepted(), 1);
    });
}

/// What the one who was cancelled had read of a reply is there for the next.
#[test]
fn a_reader_that_is_cancelled_in_the_middle_of_a_message_loses_nothing() {
    test::run(|| {
        let pair = Pair::new(|asked| {
            let bytes = framed(&asked.address([192, 0, 2, asked.number as u8]));
            let (head, tail) = bytes.split_at(20);
            match asked.number {
                0 => Vec::new(),
                _ => vec![Act::Raw(head.to_vec()), Act::after(2 * SECOND, Act::Raw(tail.to_vec()))],
            }
        });
        let reader = pair.begin("reader.example.");
        yield_now();
        let other = pair.begin("other.example.");
        sleep(SECOND);
        reader.cancel();
        assert!(reader.join().is_err());
        assert_eq!(other.join().unwrap().unwrap(), ["192.0.2.1"]);
        assert_eq!((pair.server.accepted(), pair.tcp.stats().in_flight), (1, 0));
    });
}

#[test]
fn whoever_is_cancelled_while_connecting_lets_the_next_connect() {
    test::run(|| {
        let pair = Pair::new(|asked| vec![numbered(asked)]);
        let asking: Vec<_> = (0..3).map(|index| pair.begin(format!("n{index}.example."))).collect();
        // The first is connecting, the others wait for it.
        yield_now();
        asking[0].cancel();
        asking[1].cancel();
        let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().ok().map(Result::unwrap)).collect();
        assert_eq!((&answers[0], &answers[1]), (&None, &None));
        assert!(answers[2].is_some());
        assert_eq!(pair.tcp.stats().in_flight, 0);
    });
}

/// DNS-4, for connections too.
#[test]
fn those_beyond_the_limit_wait_for_one_to_end() {
    test::run(|| {
        let options = StreamOptions { in_flight: 1, ..StreamOptions::default() };
        let pair = Pair::with(options, |asked| vec![Act::after(SECOND, numbered(asked))]);
        let began = now();
        let asking: Vec<_> = (0..3).map(|index| pair.begin(format!("n{index}.example."))).collect();
        for asking in asking {
            asking.join().unwrap().unwrap();
        }
        assert_eq!(now() - began, 3 * SECOND);
        assert_eq!(pair.tcp.stats().waits_for_room, 2);
    });
}

/// Without a runtime a call blocks its thread, and nobody can close what is idle: the next call does.
#[test]
fn outside_a_coroutine_it_works_and_blocks_the_thread() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = grapeshot_dns::NameServer::from(listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).unwrap();
            message[2] |= 0x80;
            stream.write_all(&framed(&message)).unwrap();
        }
    });
    let tcp = Tcp::new(StreamOptions { idle_timeout: Duration::ZERO, ..StreamOptions::default() });
    for _ in 0..2 {
        tcp.exchange(&server, &query("example.com."), now() + 30 * SECOND).unwrap();
    }
    answering.join().unwrap();
    assert_eq!(tcp.stats().opened, 2);
}
