//! What a connection keeps on which nobody speaks: one coroutine and a small buffer.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{WaitLimit, sleep, stats, test};
use grapeshot_net::Shutdown;
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_rpc::{CallError, CallerExt, CloseReason, Connection, Limits, Outcome, Router, Transport};

use self::peer::Peer;

const PEERS: usize = 10;

/// Longer than a writer, a worker and a large buffer stay.
const QUIET: Duration = Duration::from_secs(3);

/// How large the buffer of a silent connection is at most, and that of one on which much comes.
const SMALL: usize = 2 << 10;
const LARGE: usize = 16 << 10;

fn lengths() -> Router {
    Router::new().method("length", |(text,): (String,)| Ok(text.len()))
}

#[test]
fn an_idle_connection_is_one_coroutine() {
    test::run(|| {
        let before = stats();
        let mut peers: Vec<_> = (0..PEERS).map(|_| Peer::of(lengths(), Limits::default())).collect();
        sleep(Duration::from_millis(1));
        assert_eq!(stats().coroutines, before.coroutines + PEERS, "nobody has spoken");
        // A later call finds all that it needs.
        for id in 0..3 {
            peers.iter_mut().for_each(|(peer, _)| peer.request(id, "length", vec!["four".into()]));
            peers.iter_mut().for_each(|(peer, _)| assert_eq!(peer.result(id), 4.into()));
            assert!(stats().coroutines > before.coroutines + PEERS, "the next call might come soon");
            sleep(QUIET);
            assert_eq!(stats().coroutines, before.coroutines + PEERS);
            assert_eq!(stats().stacks, before.stacks + PEERS);
        }
        assert!(peers.iter().all(|(_, connection)| !connection.is_closed()));
    });
}

#[test]
fn calls_in_pauses_of_any_length_are_sent_and_answered() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(lengths()).accept().unwrap();
        let near = Connection::over(near).service(lengths()).open().unwrap();
        // Around the two seconds after which a writer ends.
        for millis in [1990, 1999, 2000, 2001, 2010, 4000, 1] {
            assert_eq!(near.call::<usize>("length", &("four",)).unwrap(), 4);
            sleep(Duration::from_millis(millis));
            assert_eq!(far.call::<usize>("length", &("three",)).unwrap(), 5);
            sleep(Duration::from_millis(millis));
        }
    });
}

#[test]
fn what_is_told_after_a_silence_is_written_before_the_connection_closes() {
    test::run(|| {
        let (mut peer, connection) = Peer::of(lengths(), Limits::default());
        sleep(QUIET);
        connection.notify("farewell", &()).unwrap();
        connection.close();
        let message = peer.next().unwrap();
        assert_eq!(message[..2], [2.into(), "farewell".into()]);
        assert_eq!(peer.next(), None);
    });
}

#[test]
fn a_connection_without_a_coroutine_to_write_ends_and_says_of_its_call_that_it_was_not_sent() {
    // This one and the reader.
    test::Test::new().max_coroutines(2).run(|| {
        let (near, _far) = memory::pair();
        // It cannot write at once, which would need no such coroutine.
        let connection = Connection::over(Watched { stream: near, given: Rc::default() }).accept().unwrap();
        sleep(QUIET);
        let error = connection.call::<usize>("length", &("four",)).unwrap_err();
        assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotRun);
        assert!(matches!(connection.wait_closed(), CloseReason::Lost(_)));
    });
}

/// A transport that shows how large the buffer is that it is given to read into.
struct Watched {
    stream: MemoryStream,
    given: Rc<Cell<usize>>,
}

impl Transport for Watched {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.given.set(buf.len());
        self.stream.read_within(buf, limit)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        Transport::write_all_within(&self.stream, bytes, limit)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        self.stream.close();
    }
}

/// A peer of a connection, and how large a buffer that reads into.
fn watched(heartbeat: Option<Duration>) -> (Peer, Connection, Rc<Cell<usize>>) {
    let mut limits = Limits::default();
    limits.heartbeat = heartbeat;
    let (near, far) = memory::pair();
    let given = Rc::new(Cell::new(0));
    let transport = Watched { stream: far, given: given.clone() };
    let connection = Connection::over(transport).service(lengths()).limits(limits).accept().unwrap();
    sleep(Duration::from_millis(1));
    (Peer::over(near), connection, given)
}

/// Many small requests, and what they are as bytes at once.
fn flood(peer: &mut Peer) {
    const REQUESTS: u32 = 1000;
    for id in 0..REQUESTS {
        peer.request(id, "length", vec!["four".into()]);
    }
    for id in 0..REQUESTS {
        assert_eq!(peer.result(id), 4.into());
    }
}

#[test]
fn the_buffer_is_large_only_while_much_comes() {
    test::run(|| {
        // Whether or not there is something else for which the reader looks up.
        for heartbeat in [None, Limits::default().heartbeat] {
            let (mut peer, _connection, given) = watched(heartbeat);
            for _ in 0..2 {
                assert!(given.get() <= SMALL, "{}", given.get());
                flood(&mut peer);
                assert_eq!(given.get(), LARGE);
                sleep(QUIET);
            }
            // A message that is longer than either.
            peer.request(7, "length", vec!["x".repeat(100_000).into()]);
            assert_eq!(peer.result(7), 100_000.into());
            assert!(given.get() >= LARGE);
            sleep(QUIET);
            assert!(given.get() <= SMALL, "{}", given.get());
        }
    });
}

#[test]
fn a_part_of_a_message_is_kept_through_a_silence() {
    test::run(|| {
        let (mut peer, _connection, given) = watched(Limits::default().heartbeat);
        let text = "x".repeat(5000);
        let mut bytes = vec![0x94, 0x00, 0x07, 0xa6];
        bytes.extend_from_slice(b"length\x91\xda\x13\x88");
        bytes.extend_from_slice(text.as_bytes());
        let (first, rest) = bytes.split_at(4000);
        peer.send_bytes(first);
        sleep(QUIET);
        assert!(given.get() > SMALL, "{} bytes for the rest", given.get());
        peer.send_bytes(rest);
        assert_eq!(peer.result(7), 5000.into());
    });
}
