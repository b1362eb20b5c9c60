//! Authentication on connections that make calls, against peers that are written by hand: what passes before the proof,
//! what ends a connection, and that the exchange is as documented.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are parts of tests")]

mod peer;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::auth::{AuthKey, Keys};
use grapeshot_rpc::proto::auth::{Nonce, Prover};
use grapeshot_rpc::{CloseReason, Connection, Context, Extensions, Failure, Limits, Router, Value};

use self::peer::Peer;

fn key() -> AuthKey {
    AuthKey::new(b"sixteen bytes it").unwrap().named("ours")
}

/// Counts how often it is called, in a cell that the test has as well.
fn counting() -> (Router, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    let service = Router::new().method("count", {
        let count = count.clone();
        move |()| {
            count.set(count.get() + 1);
            Ok::<_, Failure>(count.get())
        }
    });
    (service, count)
}

fn guarded(keys: impl Into<Keys>) -> (Peer, Connection, Rc<Cell<u32>>) {
    let (near, far) = memory::pair();
    let (service, count) = counting();
    let far = Connection::over(far).service(service).require_key(keys).accept().unwrap();
    (Peer::over(near), far, count)
}

/// Begins an exchange by hand; the server's nonce.
fn begin(peer: &mut Peer, id: u32, nonce: Nonce) -> Vec<u8> {
    peer.request(id, "$/auth.begin", vec![Value::Binary(nonce.to_vec())]);
    let Value::Binary(challenge) = peer.result(id) else { panic!("no nonce") };
    assert_eq!(challenge.len(), 32);
    challenge
}

/// What the documentation says a proof is.
fn proof(key: &AuthKey, side: &str, client: &[u8], server: &[u8]) -> Vec<u8> {
    key.sign(0, &[format!("grapeshot rpc 1 {side}").as_bytes(), client, server].concat()).to_vec()
}

#[test]
fn a_client_that_is_written_by_hand_gets_in_and_can_tell_who_the_server_is() {
    test::run(|| {
        let (mut peer, _far, count) = guarded(key());
        let challenge = begin(&mut peer, 1, [5; 32]);
        peer.request(2, "$/auth.prove", vec![Value::Binary(proof(&key(), "client", &[5; 32], &challenge))]);
        assert_eq!(peer.result(2), Value::Binary(proof(&key(), "server", &[5; 32], &challenge)));
        peer.request(3, "count", vec![]);
        assert_eq!(peer.result(3), 1.into());
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn a_call_that_comes_right_behind_the_proof_runs_and_one_before_it_does_not() {
    test::run(|| {
        let (mut peer, _far, count) = guarded(key());
        peer.request(1, "count", vec![]);
        assert_eq!(peer.failure(1).0, Failure::UNAUTHENTICATED);
        peer.send(vec![2.into(), "count".into(), Value::Array(vec![])]);
        let challenge = begin(&mut peer, 2, [5; 32]);
        peer.request(3, "$/auth.prove", vec![Value::Binary(proof(&key(), "client", &[5; 32], &challenge))]);
        peer.request(4, "count", vec![]);
        peer.next().unwrap();
        assert_eq!(peer.result(4), 1.into(), "neither the call nor the notification before the proof has run");
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn a_wrong_proof_is_answered_and_then_the_connection_ends_with_what_came_behind_it_not_run() {
    test::run(|| {
        let (mut peer, far, count) = guarded(key());
        let challenge = begin(&mut peer, 1, [5; 32]);
        let other = AuthKey::new(b"sixteen others, ").unwrap();
        peer.request(2, "$/auth.prove", vec![Value::Binary(proof(&other, "client", &[5; 32], &challenge))]);
        peer.request(3, "count", vec![]);
        peer.request(4, "$/auth.prove", vec![Value::Binary(proof(&key(), "client", &[5; 32], &challenge))]);
        assert_eq!(peer.failure(2).0, Failure::UNAUTHENTICATED);
        assert_eq!(peer.next(), None, "nothing more is answered");
        drop(peer);
        assert!(matches!(far.wait_closed(), CloseReason::ProofFailed { .. }));
        assert_eq!(count.get(), 0);
    });
}

#[test]
fn what_was_overheard_on_one_connection_does_not_open_another() {
    test::run(|| {
        let (mut first, _far, _) = guarded(key());
        let challenge = begin(&mut first, 1, [5; 32]);
        let overheard = proof(&key(), "client", &[5; 32], &challenge);
        first.request(2, "$/auth.prove", vec![Value::Binary(overheard.clone())]);
        first.result(2);

        let (mut second, _far, _) = guarded(key());
        assert_ne!(begin(&mut second, 1, [5; 32]), challenge, "a nonce is used once");
        second.request(2, "$/auth.prove", vec![Value::Binary(overheard)]);
        assert_eq!(second.failure(2).0, Failure::UNAUTHENTICATED);
    });
}

#[test]
fn a_second_beginning_restarts() {
    test::run(|| {
        let (mut peer, _far, _) = guarded(key());
        begin(&mut peer, 1, [5; 32]);
        let challenge = begin(&mut peer, 2, [6; 32]);
        peer.request(3, "$/auth.prove", vec![Value::Binary(proof(&key(), "client", &[6; 32], &challenge))]);
        assert_eq!(peer.result(3), Value::Binary(proof(&key(), "server", &[6; 32], &challenge)));
    });
}

#[test]
fn who_begins_and_does_not_prove_anything_is_cut_off_at_the_limit() {
    test::run(|| {
        let (mut peer, far, _) = guarded(key());
        let began = now();
        begin(&mut peer, 1, [5; 32]);
        assert_eq!(peer.next(), None);
        assert_eq!(now() - began, Duration::from_secs(5));
        drop(peer);
        assert!(matches!(far.wait_closed(), CloseReason::NotProven { limit } if limit == Duration::from_secs(5)));
    });
}

#[test]
fn the_key_decides_what_its_holder_may_call() {
    test::run(|| {
        let keys = Keys::new([key(), AuthKey::new(b"sixteen others, ").unwrap().named("theirs")]).unwrap();
        for (own, may) in [(b"sixteen bytes it", true), (b"sixteen others, ", false)] {
            let (near, far) = memory::pair();
            let authorize = |context: &Context, method: &str| match context.peer().key.as_deref() {
                Some("ours") => Ok(()),
                name => Err(Failure::new(Failure::FORBIDDEN, format!("{method} is not for {name:?}"))),
            };
            let setup = Connection::over(far).service(counting().0).require_key(&keys).authorize(authorize);
            let _far = setup.accept().unwrap();
            let near = Connection::over(near).key(AuthKey::new(own).unwrap()).open().unwrap();
            let called = grapeshot_rpc::CallerExt::call::<u32>(&near, "count", &());
            assert_eq!(called.is_ok(), may, "{called:?}");
        }
    });
}

#[test]
fn a_server_that_cannot_prove_itself_is_left() {
    test::run(|| {
        let (near, far) = memory::pair();
        let client = spawn(move || Connection::over(near).key(key()).limits(Limits::default()).open().map(drop));
        // It answers all that it is asked with what it was sent.
        let mut server = Peer::over(far);
        while let Some(message) = server.next() {
            let [kind, id, method, params] = &message[..] else { continue };
            if kind.as_u64() != Some(0) {
                continue;
            }
            let answer = match method.as_str() {
                Some("$/hello") => vec![1.into(), id.clone(), "no such method".into(), Value::Nil],
                _ => vec![1.into(), id.clone(), Value::Nil, params[0].clone()],
            };
            server.send(answer);
        }
        let error = client.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("sent back"), "{error}");
    });
}

#[test]
fn nothing_runs_for_a_server_that_has_not_proven_itself() {
    test::run(|| {
        let (near, far) = memory::pair();
        let (service, count) = counting();
        let client = spawn(move || Connection::over(near).service(service).key(key()).open().map(drop));
        let mut server = Peer::over(far);
        server.request(7, "count", vec![]);
        server.send(vec![2.into(), "count".into(), Value::Array(vec![])]);
        server.request(8, "$/methods", vec![]);
        assert!(client.join().unwrap().is_err(), "it does not answer what it is asked");
        assert_eq!(count.get(), 0);
        while let Some(message) = server.next() {
            assert_ne!((&message[0], &message[2]), (&1.into(), &Value::Nil), "no result: {message:?}");
        }
    });
}

#[test]
fn a_server_may_call_right_behind_its_proof() {
    test::run(|| {
        let (near, far) = memory::pair();
        let (service, count) = counting();
        let client = spawn(move || {
            let connection = Connection::over(near).service(service).key(key()).extensions(Extensions::Off).open()?;
            Ok::<_, std::io::Error>(connection.wait_closed())
        });
        let mut server = Peer::over(far);
        // A call before the proof waits for it.
        server.request(6, "count", vec![]);
        let begin = server.next().unwrap();
        let nonce = begin[3][0].as_slice().unwrap().to_vec();
        server.send(vec![1.into(), begin[1].clone(), Value::Nil, Value::Binary(vec![9; 32])]);
        let prove = server.next().unwrap();
        assert_eq!(count.get(), 0);
        let answer = Value::Binary(proof(&key(), "server", &nonce, &[9; 32]));
        let mut together = Vec::new();
        let proven = Value::Array(vec![1.into(), prove[1].clone(), Value::Nil, answer]);
        let call = Value::Array(vec![0.into(), 7.into(), "count".into(), Value::Array(vec![])]);
        rmpv::encode::write_value(&mut together, &proven).unwrap();
        rmpv::encode::write_value(&mut together, &call).unwrap();
        server.send_bytes(&together);
        // In whatever order.
        let mut answered = [server.next().unwrap(), server.next().unwrap()].map(|answer| answer[1].as_u64().unwrap());
        answered.sort_unstable();
        assert_eq!((answered, count.get()), ([6, 7], 2));
        drop(server);
        assert!(matches!(client.join().unwrap().unwrap(), CloseReason::PeerEnded));
    });
}
