//! The only call of a connection is written at once, without the connection's writer: as far as the transport takes it.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::io;
use std::time::Duration;

use grapeshot_core::{WaitLimit, sleep, spawn, stats, test};
use grapeshot_net::Shutdown;
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_rpc::{CallError, CallerExt, Connection, Limits, Outcome, Router, Transport};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

fn service() -> Router {
    Router::new().method("length", |(text,): (String,)| Ok(text.len())).method("later", |(text,): (String,)| {
        sleep(SECOND);
        Ok(text)
    })
}

/// A transport that takes so many bytes at once.
struct Taking {
    stream: MemoryStream,
    at_once: usize,
}

impl Transport for Taking {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.stream.read_within(buf, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.at_once.min(bytes.len()) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => self.stream.try_write(&bytes[..count]),
        }
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

#[test]
fn a_lone_call_and_its_answer_need_no_writer() {
    test::run(|| {
        let before = stats().coroutines;
        let (mut peer, server) = Peer::of(service(), Limits::default());
        peer.request(1, "length", vec!["four".into()]);
        assert_eq!(peer.result(1), 4.into());
        assert_eq!(stats().coroutines, before + 2, "the reader, and whoever ran the method");
        let call = spawn(move || server.call::<usize>("length", &("four",)));
        let request = peer.next().unwrap();
        assert_eq!(request[..3], [0.into(), 0.into(), "length".into()]);
        assert_eq!(stats().coroutines, before + 3, "and the caller");
        peer.send(vec![1.into(), 0.into(), rmpv::Value::Nil, 4.into()]);
        assert_eq!(call.join().unwrap().unwrap(), 4);
    });
}

#[test]
fn what_is_not_taken_at_once_follows() {
    test::run(|| {
        for at_once in [0, 1, 5, 100, usize::MAX] {
            let (near, far) = memory::Builder::new().capacity(1000).pair();
            let far = Taking { stream: far, at_once };
            let near = Taking { stream: near, at_once };
            let _server = Connection::over(far).service(service()).accept().unwrap();
            let client = Connection::over(near).open().unwrap();
            for length in [0, 1, 10, 100, 1000, 100_000] {
                assert_eq!(client.call::<usize>("length", &("x".repeat(length),)).unwrap(), length);
                // Its answer is long as well, and comes when another has been on its way for a while.
                let later = spawn({
                    let client = client.clone();
                    move || client.call::<String>("later", &("x".repeat(length),)).unwrap().len()
                });
                sleep(SECOND / 2);
                assert_eq!(client.call::<usize>("length", &("four",)).unwrap(), 4);
                assert_eq!(later.join().unwrap(), length);
            }
        }
    });
}

#[test]
fn a_call_of_which_nothing_was_taken_was_not_sent_and_else_its_outcome_is_unknown() {
    for (at_once, outcome) in [(0, Outcome::NotRun), (3, Outcome::Unknown)] {
        // This one and the reader: there can be no writer for the rest, which ends the connection.
        test::Test::new().max_coroutines(2).run(move || {
            let (near, _far) = memory::pair();
            let client = Connection::over(Taking { stream: near, at_once }).accept().unwrap();
            let error = client.call::<usize>("length", &("four",)).unwrap_err();
            assert_eq!(error.outcome(), outcome, "{error:?}");
            assert_eq!(matches!(error, CallError::NotSent { .. }), at_once == 0, "{error:?}");
        });
    }
}
