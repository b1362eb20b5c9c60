//! A value as deep as the limit allows fits on the stack of whichever coroutine has to do with it, without optimisation too.

use std::io::{Read, Write};

use grapeshot_core::{spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::{CallError, CallerExt, CloseReason, Connection, Encoded, Extensions, Limits, Router, Value};

/// Arrays of one in each other, with nil in the innermost.
fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; depth];
    bytes.push(0xc0);
    bytes
}

fn encoded(value: &Value) -> Vec<u8> {
    Encoded::of(value).map(Encoded::into_bytes).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// `[0, 7, "echo", params]`, where the parameters are so many arrays in each other.
fn deep_call(depth: usize) -> Vec<u8> {
    [&[0x94, 0x00, 0x07, 0xa4, b'e', b'c', b'h', b'o'], &nested_arrays(depth)[..]].concat()
}

#[test]
fn a_method_takes_and_gives_back_what_is_as_deep_as_the_limit() {
    test::run(|| {
        let (mut near, far) = memory::pair();
        let echo = Router::new().method("echo", |(value,): (Value,)| Ok(value));
        let _far = Connection::over(far).service(echo).accept().unwrap();
        // The array of the message and that of the parameters count, too.
        let deepest = Limits::default().depth - 1;
        near.write_all(&deep_call(deepest)).unwrap();
        let expected = [&[0x94, 0x01, 0x07, 0xc0], &nested_arrays(deepest - 1)[..]].concat();
        let mut answer = vec![0; expected.len()];
        near.read_exact(&mut answer).unwrap();
        assert_eq!(answer, expected);
    });
}

#[test]
fn an_answer_and_an_error_may_be_as_deep_as_the_limit() {
    test::run(|| {
        let (near, mut far) = memory::pair();
        let deepest = nested_arrays(Limits::default().depth - 1);
        let near = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        let peer = spawn(move || {
            let id = encoded(&rmpv::decode::read_value(&mut far).unwrap()[1]);
            far.write_all(&[&[0x94, 0x01], &id[..], &[0xc0], &deepest].concat()).unwrap();
            let id = encoded(&rmpv::decode::read_value(&mut far).unwrap()[1]);
            far.write_all(&[&[0x94, 0x01], &id[..], &deepest, &[0xc0]].concat()).unwrap();
        });
        let answer = near.call::<Value>("deep", &()).unwrap();
        assert!(format!("{answer:?} {answer}").contains("[[["));
        let error = near.call::<Value>("deep", &()).unwrap_err();
        let CallError::Failed(failure) = &error else { panic!("{error:?}") };
        assert_eq!(failure.data, answer);
        peer.join().unwrap();
    });
}

#[test]
fn what_is_deeper_ends_the_connection_and_the_caller_is_told() {
    test::run(|| {
        let (mut near, far) = memory::pair();
        let far = Connection::over(far).service(Router::new()).accept().unwrap();
        near.write_all(&deep_call(Limits::default().depth)).unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).unwrap();
        assert_eq!(answer[..3], [0x94, 0x01, 0x07]);
        assert!(String::from_utf8_lossy(&answer).contains("lie in each other"));
        drop(near);
        assert!(matches!(far.wait_closed(), CloseReason::Malformed { .. }));
    });
}
