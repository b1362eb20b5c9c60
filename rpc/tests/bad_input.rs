//! Peers that break the protocol: what can be answered is answered and the connection goes on, what loses the place in the
//! stream ends this connection and no other, and always it is said what was wrong and where.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::{CallError, CallerExt, CloseReason, Connection, Extensions, Failure, Limits, Router, Value};

use self::peer::Peer;

fn service() -> Router {
    Router::new().method("echo", |(value,): (Value,)| Ok(value)).method("sleep", |(seconds,): (u64,)| {
        sleep(Duration::from_secs(seconds));
        Ok(())
    })
}

fn peer() -> (Peer, Connection) {
    let mut limits = Limits::default();
    limits.frame_bytes = 1000;
    limits.depth = 8;
    Peer::of(service(), limits)
}

/// Sends `bytes`, which the connection has to survive, and returns the code with which they are answered, if they are.
fn survives(bytes: &[u8]) -> Option<i64> {
    let (mut peer, _server) = peer();
    peer.send_bytes(bytes);
    peer.request(77, "echo", vec![5.into()]);
    let mut message = peer.next().unwrap();
    let mut code = None;
    if message[1] != 77.into() {
        assert_eq!(message[..2], [1.into(), 7.into()], "{bytes:x?}");
        code = message[2][0].as_i64();
        message = peer.next().unwrap();
    }
    assert_eq!(message, [1.into(), 77.into(), Value::Nil, 5.into()], "{bytes:x?}");
    code
}

/// Sends `bytes`, with which the connection has to end, and returns the code of the answer to call 7, if there is one.
fn ends(bytes: &[u8]) -> (Option<i64>, CloseReason) {
    let (mut peer, server) = peer();
    // What is wrong is found 10 bytes into the connection.
    peer.request(7, "echo", vec![1.into()]);
    peer.result(7);
    peer.send_bytes(bytes);
    let code = peer.next().map(|message| {
        assert_eq!(message[..2], [1.into(), 7.into()], "{bytes:x?}");
        message[2][0].as_i64().unwrap()
    });
    assert_eq!(peer.next(), None, "{bytes:x?}");
    drop(peer);
    (code, server.wait_closed())
}

fn bytes_of(elements: Vec<Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &Value::Array(elements)).unwrap();
    bytes
}

fn list(elements: Vec<Value>) -> Value {
    Value::Array(elements)
}

#[test]
fn a_request_that_is_wrong_is_answered_and_the_connection_goes_on() {
    test::run(|| {
        let request = |elements: Vec<Value>| [vec![0.into(), 7.into()], elements].concat();
        for (wrong, code) in [
            (request(vec!["nothing".into(), list(vec![])]), Failure::METHOD_NOT_FOUND),
            (request(vec!["sleep".into(), list(vec![])]), Failure::INVALID_PARAMS),
            (request(vec!["echo".into(), list(vec![1.into(), 2.into()])]), Failure::INVALID_PARAMS),
            (request(vec!["sleep".into(), list(vec!["long".into()])]), Failure::INVALID_PARAMS),
            (request(vec!["echo".into(), 5.into()]), Failure::INVALID_REQUEST),
            (request(vec!["echo".into(), Value::Map(vec![])]), Failure::INVALID_REQUEST),
            (request(vec![5.into(), list(vec![])]), Failure::INVALID_REQUEST),
            (request(vec!["echo".into()]), Failure::INVALID_REQUEST),
            (request(vec![]), Failure::INVALID_REQUEST),
            (request(vec!["echo".into(), list(vec![]), 1.into(), 2.into()]), Failure::INVALID_REQUEST),
            // Metadata that were not agreed on.
            (request(vec!["echo".into(), list(vec![1.into()]), Value::Map(vec![])]), Failure::INVALID_REQUEST),
            // A type of message that nobody knows, in a request's form.
            (vec![12.into(), 7.into(), "echo".into(), list(vec![])], Failure::INVALID_REQUEST),
        ] {
            assert_eq!(survives(&bytes_of(wrong.clone())), Some(code), "{wrong:?}");
        }
    });
}

#[test]
fn a_method_that_is_not_utf8_is_answered() {
    test::run(|| {
        assert_eq!(survives(&[0x94, 0x00, 0x07, 0xa2, 0xff, 0xfe, 0x90]), Some(Failure::INVALID_REQUEST));
    });
}

#[test]
fn what_needs_no_answer_is_dropped_when_it_is_wrong() {
    test::run(|| {
        for wrong in [
            vec![2.into(), "nothing".into(), list(vec![])],
            vec![2.into(), "echo".into()],
            vec![2.into(), 5.into(), list(vec![])],
            vec![3.into()],
            vec![3.into(), "seven".into()],
            vec![3.into(), 7.into()],
            vec![4.into(), 7.into(), 1.into()],
            vec![5.into(), 7.into(), Value::Nil],
            vec![6.into(), 7.into(), 1.into()],
            vec![7.into(), 7.into(), 1.into()],
            vec![8.into(), 7.into(), "many".into()],
            vec![10.into(), 7.into()],
            vec![12.into()],
            vec![200.into(), 7.into()],
        ] {
            assert_eq!(survives(&bytes_of(wrong.clone())), None, "{wrong:?}");
        }
    });
}

#[test]
fn an_answer_that_nobody_asked_for_is_dropped_but_not_many() {
    test::run(|| {
        assert_eq!(survives(&bytes_of(vec![1.into(), 7.into(), Value::Nil, 1.into()])), None);
        let stray = bytes_of(vec![1.into(), 7.into(), Value::Nil, 1.into()]);
        let (code, reason) = ends(&stray.repeat(100));
        assert_eq!(code, None);
        assert!(matches!(&reason, CloseReason::Malformed { reason, .. } if reason.contains("asked")), "{reason}");
    });
}

#[test]
fn a_second_request_with_an_id_in_flight_is_refused_and_the_first_unharmed() {
    test::run(|| {
        let (mut peer, _server) = peer();
        peer.request(7, "sleep", vec![1.into()]);
        peer.request(7, "echo", vec![2.into()]);
        let (code, text) = peer.failure(7);
        assert_eq!(code, Failure::INVALID_REQUEST);
        assert!(text.contains("7 is in flight"), "{text}");
        assert_eq!(peer.result(7), Value::Nil);
        // And the id is free again.
        peer.request(7, "echo", vec![3.into()]);
        assert_eq!(peer.result(7), Value::from(3));
    });
}

#[test]
fn what_loses_the_place_in_the_stream_ends_the_connection() {
    test::run(|| {
        // How each begins: a request with the id 7 and the method "echo".
        const HEAD: &[u8] = &[0x94, 0x00, 0x07, 0xa4, b'e', b'c', b'h', b'o'];
        let after = |rest: &[u8]| [HEAD, rest].concat();
        for (wrong, code, what) in [
            (vec![0xc1], None, "0xc1"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None, "array"),
            (vec![0x05], None, "array"),
            (vec![0x90], None, "type"),
            (vec![0x94, 0x00, 0xff, 0xa1, b'x', 0x90], None, "id"),
            (after(&[0x91, 0xc1]), Some(Failure::PARSE), "0xc1"),
            // Deeper than the limit.
            (after(&[0x91; 20]), Some(Failure::PARSE), "8 arrays"),
            // Lengths that lie: of a list, of bytes, of a map, of a text.
            (after(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Some(Failure::TOO_LARGE), "1000"),
            (after(&[0x91, 0xc6, 0xff, 0xff, 0xff, 0xff]), Some(Failure::TOO_LARGE), "1000"),
            (after(&[0x91, 0xdf, 0xff, 0xff, 0xff, 0xff]), Some(Failure::TOO_LARGE), "1000"),
            (after(&[0x91, 0xdb, 0x00, 0x00, 0x10, 0x00]), Some(Failure::TOO_LARGE), "1000"),
        ] {
            let (answered, reason) = ends(&wrong);
            assert_eq!(answered, code, "{wrong:x?}: {reason}");
            assert!(reason.is_peers_fault(), "{reason}");
            let text = reason.to_string();
            assert!(text.contains(what) && text.contains("after 10 bytes"), "{wrong:x?}: {text}");
        }
    });
}

#[test]
fn an_answer_that_is_too_large_is_told_to_its_caller() {
    test::run(|| {
        let (near, far) = memory::pair();
        let mut limits = Limits::default();
        limits.frame_bytes = 1000;
        let near = Connection::over(near).limits(limits).extensions(Extensions::Off).open().unwrap();
        let calls = [1, 2].map(|_| {
            let near = near.clone();
            spawn(move || near.call::<Value>("large", &()))
        });
        let mut peer = Peer::over(far);
        let (first, _second) = (peer.next().unwrap(), peer.next().unwrap());
        peer.send(vec![1.into(), first[1].clone(), Value::Nil, "x".repeat(2000).into()]);
        let [large, other] = calls.map(|call| call.join().unwrap().unwrap_err());
        assert!(matches!(large, CallError::TooLarge { limit: 1000, sent: true, .. }), "{large:?}");
        assert!(matches!(other, CallError::OutcomeUnknown { .. }), "{other:?}");
        assert!(matches!(near.wait_closed(), CloseReason::TooLarge { limit: 1000, .. }));
    });
}

#[test]
fn an_answer_of_a_wrong_form_is_told_to_its_caller_and_the_connection_goes_on() {
    test::run(|| {
        let (near, far) = memory::pair();
        let near = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        let mut peer = Peer::over(far);
        let call = |method: &'static str| {
            let near = near.clone();
            spawn(move || near.call::<i64>(method, &()))
        };
        let three_elements = call("first");
        let id = peer.next().unwrap()[1].clone();
        peer.send(vec![1.into(), id, Value::Nil]);
        let error = three_elements.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Malformed { .. }), "{error:?}");
        let wrong_type = call("second");
        let id = peer.next().unwrap()[1].clone();
        peer.send(vec![1.into(), id, Value::Nil, "no number".into()]);
        let error = wrong_type.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Malformed { .. }), "{error:?}");
        let right = call("third");
        let id = peer.next().unwrap()[1].clone();
        peer.send(vec![1.into(), id, Value::Nil, 5.into()]);
        assert_eq!(right.join().unwrap().unwrap(), 5);
    });
}

#[test]
fn an_end_within_a_message_is_told_from_one_between_two() {
    test::run(|| {
        let (mut peer, server) = peer();
        peer.request(1, "echo", vec![1.into()]);
        peer.result(1);
        peer.send_bytes(&[0x94, 0x00]);
        drop(peer);
        assert!(matches!(server.wait_closed(), CloseReason::Truncated { bytes: 2 }));
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_harms_no_other() {
    test::run(|| {
        let (mut good, _good) = peer();
        good.request(1, "sleep", vec![1.into()]);
        let (mut bad, _bad) = peer();
        bad.send_bytes(&[0xc1]);
        assert_eq!(bad.next(), None);
        assert_eq!(good.result(1), Value::Nil);
    });
}

#[test]
fn messages_may_come_one_byte_at_a_time() {
    test::run(|| {
        let (near, far) = memory::Builder::new()
            .to_far(memory::Faults::new().short_reads(1))
            .to_near(memory::Faults::new().short_writes(1))
            .pair();
        let _far = Connection::over(far).service(service()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let text = "many bytes".repeat(100);
        assert_eq!(near.call::<String>("echo", &(&text,)).unwrap(), text);
    });
}

#[test]
fn garbage_of_any_kind_ends_in_a_reason_and_in_nothing_worse() {
    test::run(|| {
        let mut state = 1_u64;
        let mut next = move || {
            // xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..200 {
            let mut bytes = bytes_of(vec![0.into(), 1.into(), "echo".into(), list(vec!["text".into()])]).repeat(20);
            for _ in 0..1 + next() % 5 {
                let position = next() as usize % bytes.len();
                bytes[position] = next() as u8;
            }
            let (mut peer, server) = peer();
            peer.send_bytes(&bytes);
            peer.stream().shutdown(grapeshot_net::Shutdown::Write).unwrap();
            while peer.next().is_some() {}
            server.wait_closed();
        }
    });
}
