//! Peers that have not proven who they are: whatever they send, they hold a connection no longer than the limit on its
//! opening, and little memory.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::io::Write;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_rpc::auth::AuthKey;
use grapeshot_rpc::proto::{HELLO_METHOD, Hello};
use grapeshot_rpc::{CallerExt, CloseReason, Connection, Failure, Limits, Router, Value};

use self::peer::Peer;

/// What a peer has at most, before it is proven: [`Limits::opening_timeout`], and what closing takes.
const OPENING: Duration = Duration::from_secs(5);
const CLOSING: Duration = Duration::from_secs(2);

/// How much of an unproven peer is read, as the documentation of [`Limits::frame_bytes`] says.
const UNPROVEN_BYTES: usize = 16 << 10;

fn key() -> AuthKey {
    AuthKey::new(b"a key that both of them know").unwrap()
}

fn guarded(far: MemoryStream) -> Connection {
    let service = Router::new().method("length", |(text,): (String,)| Ok(text.len()));
    Connection::over(far).service(service).require_key(key()).accept().unwrap()
}

fn message(elements: Vec<Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &Value::Array(elements)).unwrap();
    bytes
}

fn hello() -> Vec<u8> {
    let mut params = Vec::new();
    Hello::default().append_params(&mut params);
    let params = rmpv::decode::read_value(&mut &params[..]).unwrap();
    message(vec![0.into(), 1.into(), HELLO_METHOD.into(), params])
}

/// Sends `bytes` again and again in pauses until the connection is over, and says why and when that was.
/// The peer reads what is answered, or does not.
fn pester(bytes: &[u8], pause: Duration, reads: bool) -> (CloseReason, Duration) {
    let (near, far) = memory::pair();
    let connection = guarded(far);
    let began = now();
    let (near, bytes) = (std::rc::Rc::new(near), bytes.to_vec());
    let reader = reads.then(|| {
        let near = near.clone();
        spawn(move || std::io::copy(&mut &*near, &mut std::io::sink()))
    });
    let writer = spawn(move || {
        while (&*near).write_all(&bytes).is_ok() {
            sleep(pause);
        }
    });
    let reason = connection.wait_closed();
    let took = now() - began;
    writer.join().unwrap();
    if let Some(reader) = reader {
        let _ = reader.join().unwrap();
    }
    (reason, took)
}

#[test]
fn who_keeps_on_sending_has_no_more_time_than_who_is_silent() {
    test::run(|| {
        let junk = message(vec![0.into(), 7.into(), "length".into(), Value::Array(vec![])]);
        for bytes in [hello(), message(vec![9.into(), 1.into()]), junk, message(vec![12.into()])] {
            for pause in [Duration::from_secs(1), Duration::from_millis(700)] {
                let (reason, took) = pester(&bytes, pause, true);
                assert!(matches!(reason, CloseReason::NotProven { limit } if limit == OPENING), "{bytes:x?}: {reason}");
                assert!(took <= OPENING + CLOSING, "{bytes:x?}: {took:?}");
            }
        }
    });
}

#[test]
fn who_sends_as_fast_as_it_can_is_left_soon() {
    test::run(|| {
        let junk = message(vec![0.into(), 7.into(), "length".into(), Value::Array(vec![])]);
        let item = message(vec![4.into(), 7.into(), "x".into()]);
        for bytes in [hello(), message(vec![9.into(), 1.into()]), junk, message(vec![12.into()]), item] {
            let (reason, took) = pester(&bytes.repeat(100), Duration::ZERO, true);
            assert!(reason.is_peers_fault(), "{reason}");
            assert!(reason.to_string().contains("16384 bytes"), "{reason}");
            assert!(took <= OPENING + CLOSING, "{took:?}");
        }
    });
}

#[test]
fn who_reads_no_answers_has_no_more_time_either() {
    test::run(|| {
        // The pipe is full of answers after a moment.
        for pause in [Duration::ZERO, Duration::from_millis(10)] {
            let (reason, took) = pester(&hello().repeat(100), pause, false);
            assert!(reason.is_peers_fault(), "{reason}");
            assert!(took <= OPENING + CLOSING, "{took:?}");
        }
    });
}

#[test]
fn a_byte_a_second_is_not_enough() {
    test::run(|| {
        let (reason, took) = pester(&[0x91], Duration::from_secs(1), true);
        assert!(matches!(reason, CloseReason::NotProven { .. }), "{reason}");
        assert!(took <= OPENING + CLOSING, "{took:?}");
    });
}

#[test]
fn a_message_that_is_large_is_refused_at_its_head_before_the_proof() {
    test::run(|| {
        let (near, far) = memory::pair();
        let connection = guarded(far);
        let mut peer = Peer::over(near);
        let large = message(vec![0.into(), 7.into(), "length".into(), Value::Array(vec!["x".repeat(20_000).into()])]);
        peer.send_bytes(&large[..100]);
        let (code, text) = peer.failure(7);
        assert_eq!(code, Failure::UNAUTHENTICATED, "{text}");
        assert_eq!(peer.next(), None);
        drop(peer);
        let reason = connection.wait_closed();
        assert!(matches!(reason, CloseReason::Malformed { at: 0, .. }), "{reason}");
        assert!(reason.to_string().contains(&UNPROVEN_BYTES.to_string()), "{reason}");
    });
}

#[test]
fn after_the_proof_messages_may_be_large_and_the_connection_old() {
    test::run(|| {
        let (near, far) = memory::pair();
        let _far = guarded(far);
        let near = Connection::over(near).key(key()).open().unwrap();
        sleep(10 * OPENING);
        for _ in 0..3 {
            assert_eq!(near.call::<usize>("length", &("x".repeat(1 << 20),)).unwrap(), 1 << 20);
        }
    });
}

#[test]
fn a_large_call_may_come_right_behind_the_proof() {
    test::run(|| {
        use grapeshot_rpc::proto::auth::Prover;
        let (near, far) = memory::pair();
        let _far = guarded(far);
        let mut peer = Peer::over(near);
        peer.request(1, "$/auth.begin", vec![Value::Binary(vec![5; 32])]);
        let Value::Binary(challenge) = peer.result(1) else { panic!("no nonce") };
        let proof = key().sign(0, &[b"grapeshot rpc 1 client", &[5; 32][..], &challenge].concat());
        let prove = vec![0.into(), 2.into(), "$/auth.prove".into(), Value::Array(vec![Value::Binary(proof.to_vec())])];
        let large = vec![0.into(), 3.into(), "length".into(), Value::Array(vec!["x".repeat(100_000).into()])];
        let together = [message(prove), message(large)].concat();
        peer.send_bytes(&together);
        peer.result(2);
        assert_eq!(peer.result(3), 100_000.into());
    });
}

#[test]
fn the_limit_on_messages_holds_before_the_proof_where_it_is_lower() {
    test::run(|| {
        let (near, far) = memory::pair();
        let mut limits = Limits::default();
        limits.frame_bytes = 1000;
        let connection = Connection::over(far).limits(limits).require_key(key()).accept().unwrap();
        let mut peer = Peer::over(near);
        peer.request(7, "length", vec!["x".repeat(2000).into()]);
        assert_eq!(peer.failure(7).0, Failure::TOO_LARGE);
        assert_eq!(peer.next(), None);
        drop(peer);
        assert!(matches!(connection.wait_closed(), CloseReason::TooLarge { limit: 1000, .. }));
    });
}
