//! What two sides agree on when they meet, and how a peer is spoken to that knows nothing of it.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::io;
use std::time::Duration;

use grapeshot_core::{now, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::auth::AuthKey;
use grapeshot_rpc::proto::{Extension, ExtensionSet};
use grapeshot_rpc::{CallOptions, CallerExt, Connection, Extensions, Failure, Limits, Router, Value};

use self::peer::Peer;

fn service() -> Router {
    Router::new().method("echo", |(value,): (Value,)| Ok(value))
}

/// Opens a connection to a peer that answers its hello with `answer`, or not at all.
fn open_to_a_peer_that_says(extensions: Extensions, answer: Option<(Value, Value)>) -> (io::Result<Connection>, Peer) {
    let (near, far) = memory::pair();
    let opening = spawn(move || Connection::over(near).extensions(extensions).open());
    let mut peer = Peer::over(far);
    let hello = peer.next().unwrap();
    assert_eq!((&hello[0], &hello[2]), (&0.into(), &"$/hello".into()));
    if let Some((error, result)) = answer {
        peer.send(vec![1.into(), hello[1].clone(), error, result]);
    }
    (opening.join().unwrap(), peer)
}

#[test]
fn two_of_us_use_every_extension() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        assert_eq!((near.extensions(), far.extensions()), (ExtensionSet::all(), ExtensionSet::all()));
    });
}

#[test]
fn the_hello_names_the_side_its_extensions_and_its_limits() {
    test::run(|| {
        let (near, far) = memory::pair();
        let opening = spawn(move || Connection::over(near).name("a test").open());
        let mut peer = Peer::over(far);
        let hello = peer.next().unwrap();
        let said = hello[3][0].as_map().unwrap().clone();
        let value = |name: &str| said.iter().find(|(key, _)| key.as_str() == Some(name)).unwrap().1.clone();
        assert_eq!((value("version"), value("name")), (1.into(), "a test".into()));
        let all = ["meta", "cancel", "streams", "ping", "goaway"].map(Value::from);
        assert_eq!(value("extensions"), Value::Array(all.into()));
        assert_eq!(value("limits")["in_flight"], Value::from(256));
        drop(peer);
        assert!(opening.join().unwrap().is_err());
    });
}

#[test]
fn a_peer_that_answers_with_an_error_is_spoken_to_plainly() {
    test::run(|| {
        let error = ("no such method".into(), Value::Nil);
        let (connection, mut peer) = open_to_a_peer_that_says(Extensions::Agree, Some(error));
        let connection = connection.unwrap();
        assert!(connection.extensions().is_empty());
        let options = CallOptions { timeout: Some(Duration::from_secs(1)), ..CallOptions::default() };
        assert!(connection.call_with::<()>(&options, "slow", &(1,)).is_err());
        // Four elements, so no time left; and no cancel after it.
        assert_eq!(peer.next().unwrap()[2..], ["slow".into(), Value::Array(vec![1.into()])]);
        connection.notify("bye", &()).unwrap();
        assert_eq!(peer.next().unwrap(), [2.into(), "bye".into(), Value::Array(vec![])]);
    });
}

#[test]
fn a_peer_that_says_nothing_is_taken_for_a_plain_one_after_a_while() {
    test::run(|| {
        let began = now();
        let (connection, _peer) = open_to_a_peer_that_says(Extensions::Agree, None);
        assert!(connection.unwrap().extensions().is_empty());
        assert_eq!(now() - began, Limits::default().opening_timeout);
    });
}

#[test]
fn an_answer_that_is_no_hello_is_that_of_a_plain_peer() {
    test::run(|| {
        let (connection, _peer) = open_to_a_peer_that_says(Extensions::Agree, Some((Value::Nil, 42.into())));
        assert!(connection.unwrap().extensions().is_empty());
    });
}

#[test]
fn only_what_both_have_named_is_used() {
    test::run(|| {
        let some = Value::Map(vec![
            ("version".into(), 7.into()),
            ("extensions".into(), Value::Array(vec!["teleport".into(), "cancel".into()])),
            ("colour".into(), "grey".into()),
        ]);
        let (connection, mut peer) = open_to_a_peer_that_says(Extensions::Agree, Some((Value::Nil, some)));
        let connection = connection.unwrap();
        assert_eq!(connection.extensions(), [Extension::Cancel].into_iter().collect());
        let options = CallOptions { timeout: Some(Duration::from_secs(1)), ..CallOptions::default() };
        assert!(connection.call_with::<()>(&options, "slow", &()).is_err());
        let request = peer.next().unwrap();
        assert_eq!(request.len(), 4);
        assert_eq!(peer.next().unwrap(), [3.into(), request[1].clone()]);
    });
}

#[test]
fn extensions_that_are_required_are_missed() {
    test::run(|| {
        let error = ("no such method".into(), Value::Nil);
        let (connection, mut peer) = open_to_a_peer_that_says(Extensions::Required, Some(error));
        assert_eq!(connection.unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(peer.next(), None);
    });
}

#[test]
fn a_connection_without_extensions_says_no_hello_and_answers_one() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service()).extensions(Extensions::Off).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        assert!(near.extensions().is_empty() && far.extensions().is_empty());
        assert_eq!(near.call::<u8>("echo", &(7,)).unwrap(), 7);
    });
}

#[test]
fn a_plain_peer_needs_no_hello() {
    test::run(|| {
        let (mut peer, server) = Peer::of(service(), Limits::default());
        // By hand, as another library writes it: [0, 1, "echo", [5]].
        peer.send_bytes(&[0x94, 0x00, 0x01, 0xa4, b'e', b'c', b'h', b'o', 0x91, 0x05]);
        assert_eq!(peer.result(1), Value::from(5));
        assert!(server.extensions().is_empty());
    });
}

#[test]
fn a_hello_that_cannot_be_read_is_answered() {
    test::run(|| {
        let (mut peer, _server) = Peer::of(service(), Limits::default());
        peer.request(1, "$/hello", vec![5.into()]);
        assert_eq!(peer.failure(1).0, Failure::INVALID_PARAMS);
        peer.request(2, "echo", vec![6.into()]);
        assert_eq!(peer.result(2), Value::from(6));
    });
}

#[test]
fn the_methods_are_listed() {
    test::run(|| {
        let (near, far) = memory::pair();
        let _far = Connection::over(far).service(service()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let methods = near.methods().unwrap();
        assert_eq!(methods.iter().map(|method| method.name.as_str()).collect::<Vec<_>>(), ["echo"]);
    });
}

#[test]
fn both_sides_prove_that_they_know_the_key() {
    test::run(|| {
        let key = AuthKey::new(b"a key that both of them know").unwrap().named("both");
        let (near, far) = memory::pair();
        let service = Router::new()
            .method_with_context("who", |context: &grapeshot_rpc::Context, ()| Ok(context.peer().key.clone()));
        let _far = Connection::over(far).service(service).require_key(key.clone()).accept().unwrap();
        let near = Connection::over(near).key(key).open().unwrap();
        assert_eq!(near.call::<Option<String>>("who", &()).unwrap().as_deref(), Some("both"));
    });
}

#[test]
fn without_the_proof_nothing_is_answered() {
    test::run(|| {
        let key = AuthKey::new(b"a key that both of them know").unwrap();
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service()).require_key(key).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let began = now();
        for method in ["echo", "$/methods", "nothing"] {
            let error = near.call::<()>(method, &(1,)).unwrap_err();
            assert_eq!(error.failure().unwrap().code, Failure::UNAUTHENTICATED, "{method}");
        }
        far.wait_closed();
        assert_eq!(now() - began, Limits::default().opening_timeout);
    });
}

#[test]
fn a_wrong_key_is_refused_and_the_connection_closed() {
    test::run(|| {
        let key = AuthKey::new(b"a key that both of them know").unwrap();
        let wrong = AuthKey::new(b"a key that is another one altogether").unwrap();
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service()).require_key(key).accept().unwrap();
        let began = now();
        let error = Connection::over(near).key(wrong).open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        far.wait_closed();
        assert_eq!(now(), began);
    });
}

#[test]
fn the_list_of_methods_is_a_call_that_may_be_forbidden() {
    test::run(|| {
        let (near, far) = memory::pair();
        let forbid = |_: &grapeshot_rpc::Context, method: &str| Err(Failure::new(Failure::FORBIDDEN, method));
        let _far = Connection::over(far).service(service()).authorize(forbid).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let error = near.methods().unwrap_err();
        assert_eq!(error.failure().unwrap(), &Failure::new(Failure::FORBIDDEN, "$/methods"));
    });
}
