//! Whatever a peer sends, a stream ends with data that is right or with an error, and never with a panic or a wait for ever.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use common::{NAME, client, client_config, pair, server, server_config};
use grapeshot_core::{spawn, test};
use grapeshot_net::memory::{self, Builder, Faults, MemoryStream};
use grapeshot_tls::{TlsError, TlsStream};
use proptest::prelude::*;

/// How long an end waits for the other once the handshake is done.
const PATIENCE: Duration = Duration::from_secs(5);

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A record of some kind, its length as it is or as it is said to be, or no record at all.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let body = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        2 => body(),
        4 => (20_u8..25, body()).prop_map(|(kind, body)| record(kind, body.len(), &body)),
        2 => (20_u8..25, any::<u16>(), body()).prop_map(|(kind, len, body)| record(kind, len.into(), &body)),
        4 => (any::<u8>(), any::<u16>(), body()).prop_map(|(kind, len, body)| {
            let message = [&[kind, 0], &len.to_be_bytes()[..], &body].concat();
            record(22, message.len(), &message)
        }),
        1 => any::<[u8; 2]>().prop_map(|alert| record(21, 2, &alert)),
    ]
}

fn record(kind: u8, len: usize, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &(len as u16).to_be_bytes()[..], body].concat()
}

/// Feeds an end with these, and answers how its handshake ended. It must end.
fn fed(stream: TlsStream<MemoryStream>, mut peer: MemoryStream, pieces: Vec<Vec<u8>>) -> io::Error {
    let feeding = spawn(move || {
        for piece in pieces {
            // An end that has failed takes no more.
            if peer.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = io::copy(&mut peer, &mut io::sink());
    });
    let error = stream.handshake().unwrap_err();
    assert_eq!(stream.handshake().unwrap_err().to_string(), error.to_string(), "it stays ended");
    drop(stream);
    feeding.join().unwrap();
    error
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_server_ends_whatever_it_is_told_first(pieces in prop::collection::vec(piece(), 0..8)) {
        test::run(move || {
            let (near, far) = memory::pair();
            let error = fed(server(far), near, pieces);
            assert!(TlsError::of(&error).is_some(), "{error}");
        });
    }

    #[test]
    fn a_client_ends_whatever_it_is_answered(pieces in prop::collection::vec(piece(), 0..8)) {
        test::run(move || {
            let (near, far) = memory::pair();
            let error = fed(client(near), far, pieces);
            assert!(TlsError::of(&error).is_some(), "{error}");
        });
    }
}

/// Sends a message and expects it back.
fn exchange(stream: &TlsStream<MemoryStream>, message: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    (&mut &*stream).write_all(message)?;
    let mut back = vec![0; message.len()];
    (&mut &*stream).read_exact(&mut back)?;
    assert!(back == message, "what came is not what was sent, and nobody said so");
    stream.close()
}

/// Sends so many bytes back.
fn echo(stream: &TlsStream<MemoryStream>, len: usize) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut received = vec![0; len];
    (&mut &*stream).read_exact(&mut received)?;
    (&mut &*stream).write_all(&received)?;
    // What the other end says last is looked at as well.
    match (&mut &*stream).read(&mut [0])? {
        0 => stream.close(),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// An error that says what was wrong, or that the other end says nothing any more.
fn is_named(error: &io::Error) -> bool {
    let gone = [ErrorKind::TimedOut, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::NotConnected];
    TlsError::of(error).is_some() || gone.contains(&error.kind())
}

/// Runs a connection in which bytes are spoiled on the way; what arrives is right, or somebody says that it is not.
fn run_spoiled(streams: (MemoryStream, MemoryStream), len: usize) {
    let (near, far) = pair(streams);
    let message: Vec<u8> = (0..len).map(|place| (place * 31) as u8).collect();
    let other = spawn(move || echo(&far, len));
    let asked = exchange(&near, &message);
    drop(near);
    let answered = other.join().unwrap();
    for error in [asked.as_ref().err(), answered.as_ref().err()].into_iter().flatten() {
        assert!(is_named(error), "{error:?}");
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn bytes_that_are_spoiled_on_the_way_are_noticed(
        seed in any::<u64>(),
        to_near in any::<bool>(),
        place in 0_u64..6000,
        count in 1_u64..40,
        longest in 1_usize..3000,
        len in 1_usize..4000,
    ) {
        test::run(move || {
            let spoiled = Faults::new().seed(seed).short_reads(longest).garbage(place..place + count);
            let whole = Faults::new().seed(!seed).short_reads(longest);
            let (near, far) = if to_near { (spoiled, whole) } else { (whole, spoiled) };
            run_spoiled(Builder::new().to_near(near).to_far(far).pair(), len);
        });
    }

    /// A conversation of another connection, recorded and played again in pieces, with bytes changed.
    #[test]
    fn a_recorded_conversation_with_changes_ends(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        size in 1_usize..2000,
        to_server in any::<bool>(),
    ) {
        test::run(move || {
            let (from_client, from_server) = recorded();
            let mut bytes = if to_server { from_client } else { from_server };
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
            let (near, far) = memory::pair();
            let error = if to_server { fed(server(far), near, pieces) } else { fed(client(near), far, pieces) };
            assert!(is_named(&error), "{error}");
        });
    }
}

/// What a client and a server have said to each other in a handshake.
fn recorded() -> (Vec<u8>, Vec<u8>) {
    thread_local! {
        static RECORDED: (Vec<u8>, Vec<u8>) = record_handshake();
    }
    RECORDED.with(Clone::clone)
}

fn record_handshake() -> (Vec<u8>, Vec<u8>) {
    let (near, middle_near) = memory::pair();
    let (middle_far, far) = memory::pair();
    let near = TlsStream::client(near, &client_config(), NAME).unwrap();
    let far = TlsStream::server(far, &server_config()).unwrap();
    let serving = spawn(move || echo(&far, 5));
    let asking = spawn(move || exchange(&near, b"hello"));
    let (one, other) = (std::rc::Rc::new(middle_near), std::rc::Rc::new(middle_far));
    let forth = spawn({
        let (one, other) = (one.clone(), other.clone());
        move || pass_on(&one, &other)
    });
    let back = pass_on(&other, &one);
    let forth = forth.join().unwrap();
    asking.join().unwrap().unwrap();
    serving.join().unwrap().unwrap();
    (forth, back)
}

/// Passes bytes on until they end, and keeps them.
fn pass_on(mut from: &MemoryStream, mut to: &MemoryStream) -> Vec<u8> {
    let (mut kept, mut buf) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buf) {
        kept.extend_from_slice(&buf[..count]);
        if to.write_all(&buf[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
    kept
}

/// A known weakness of rustls 0.23 (its issue 959): once close_notify has been said, a peer's fault would have it say an alert as well,
/// which its debug assertions forbid. The panic is the reader's own, and there is none in a release build.
#[test]
fn a_fault_after_close_notify_panics_with_debug_assertions_only() {
    test::run(|| {
        let (near, far) = memory::pair();
        let (middle_near, middle_far) = memory::pair();
        let (near, server) = (client(near), server(middle_far));
        let (far, middle_near) = (std::rc::Rc::new(far), std::rc::Rc::new(middle_near));
        let forth = spawn({
            let (far, middle_near) = (far.clone(), middle_near.clone());
            move || drop(pass_on(&far, &middle_near))
        });
        let back = spawn({
            let far = far.clone();
            move || drop(pass_on(&middle_near, &far))
        });
        let serving = spawn(move || server.handshake().map(|()| server));
        near.handshake().unwrap();
        let server = serving.join().unwrap().unwrap();
        let reading = spawn(move || {
            near.close_write().unwrap();
            (&near).read(&mut [0]).map(drop)
        });
        // No record, and not the server's.
        while (&server).read(&mut [0]).is_ok_and(|count| count > 0) {}
        (&*far).write_all(&[23, 3, 3, 0, 30]).unwrap();
        (&*far).write_all(&[7; 30]).unwrap();
        let read = reading.join();
        assert_eq!(read.is_err(), cfg!(debug_assertions), "{read:?}");
        if let Ok(read) = read {
            assert!(TlsError::of(&read.unwrap_err()).is_some());
        }
        drop(server);
        forth.join().unwrap();
        drop(far);
        back.join().unwrap();
    });
}
