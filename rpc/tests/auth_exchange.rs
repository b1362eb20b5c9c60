//! Mutual authentication, step by step: who is let in, and every way to be kept out (BEA-9).
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_rpc::auth::{AuthError, AuthKey, Guard, KeyError, Keys, MAX_KEYS, authenticate};
use grapeshot_rpc::proto::auth::{AuthFault, ClientExchange, Labels, PROOF_BYTES, Prover, ServerExchange};
use grapeshot_rpc::{CallError, Caller, Encoded, Failure, OpenCall, Request, StreamError};

const LIMIT: Duration = Duration::from_secs(5);

fn key() -> AuthKey {
    AuthKey::new(b"sixteen bytes it").unwrap()
}

fn other_key() -> AuthKey {
    AuthKey::new(b"sixteen others, ").unwrap()
}

/// A caller whose calls a closure answers.
struct Answering<F>(RefCell<F>);

impl<F: FnMut(&str, &[u8]) -> Result<Encoded, CallError>> Answering<F> {
    fn new(answer: F) -> Answering<F> {
        Answering(RefCell::new(answer))
    }
}

impl<F: FnMut(&str, &[u8]) -> Result<Encoded, CallError>> Caller for Answering<F> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        (self.0.borrow_mut())(request.method, request.params)
    }

    fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
        unreachable!("authentication sends no notifications")
    }

    fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        unreachable!("authentication opens no streams: {:?}", StreamError::Unsupported)
    }
}

fn guarded(guard: &mut Guard) -> impl FnMut(&str, &[u8]) -> Result<Encoded, CallError> {
    |method, params| guard.handle(method, params).unwrap().map_err(CallError::Failed)
}

/// A list of one binary, as the steps carry it.
fn step(bytes: &[u8]) -> Vec<u8> {
    [&[0x91, 0xc4, bytes.len() as u8], bytes].concat()
}

fn binary(bytes: &[u8]) -> Encoded {
    Encoded::from_bytes([&[0xc4, bytes.len() as u8], bytes].concat())
}

#[test]
fn two_that_know_the_key_are_sure_of_each_other() {
    test::run(|| {
        let mut guard = Guard::new(key().named("billing"), LIMIT);
        authenticate(&Answering::new(guarded(&mut guard)), &key(), LIMIT).unwrap();
        assert!(guard.is_proven());
        assert_eq!(guard.key(), Some("billing"));
        assert_eq!(guard.deadline(), None);
        assert!(guard.handle("add", &[0x90]).is_none(), "calls are for the service now");
    });
}

#[test]
fn nothing_but_hello_passes_before_the_proof() {
    test::run(|| {
        let mut guard = Guard::new(key(), LIMIT);
        for method in ["add", "$/methods", "$/auth", "$/auth.begin2", ""] {
            let refused = guard.handle(method, &[0x90]).unwrap().unwrap_err();
            assert_eq!(refused.code, Failure::UNAUTHENTICATED, "{method}");
        }
        assert!(guard.handle("$/hello", &[0x90]).is_none());
        guard.handle("$/auth.begin", &step(&[1; 32])).unwrap().unwrap();
        assert_eq!(guard.handle("add", &[0x90]).unwrap().unwrap_err().code, Failure::UNAUTHENTICATED);
        assert!(!guard.has_failed(), "to ask too early is no guess");
    });
}

#[test]
fn a_client_with_another_key_is_refused_and_gets_no_second_guess() {
    test::run(|| {
        let mut guard = Guard::new(key(), LIMIT);
        let refused = authenticate(&Answering::new(guarded(&mut guard)), &other_key(), LIMIT).unwrap_err();
        assert!(
            matches!(&refused, AuthError::Refused(failure) if failure.code == Failure::UNAUTHENTICATED),
            "{refused}"
        );
        assert!(guard.has_failed());
        let again = authenticate(&Answering::new(guarded(&mut guard)), &key(), LIMIT).unwrap_err();
        assert!(matches!(again, AuthError::Refused(_)), "also with the right key");
        assert!(!guard.is_proven());
    });
}

#[test]
fn a_server_with_another_key_is_found_out() {
    test::run(|| {
        // It lets everybody in, so as to hear what they say.
        let mut nonce_of_client = [0; 32];
        let server = Answering::new(|method: &str, params: &[u8]| {
            let sent: [u8; 32] = params[3..].try_into().unwrap();
            if method == "$/auth.begin" {
                nonce_of_client = sent;
                return Ok(binary(&[9; 32]));
            }
            let message = [&b"grapeshot rpc 1 server"[..], &nonce_of_client, &[9; 32]].concat();
            Ok(binary(&other_key().sign(0, &message)))
        });
        let error = authenticate(&server, &key(), LIMIT).unwrap_err();
        assert!(matches!(error, AuthError::Unproven(AuthFault::WrongProof)), "{error}");
    });
}

#[test]
fn a_server_that_sends_back_what_it_gets_is_found_out_at_once() {
    test::run(|| {
        let mirror = Answering::new(|_: &str, params: &[u8]| Ok(Encoded::from_bytes(params[1..].to_vec())));
        let error = authenticate(&mirror, &key(), LIMIT).unwrap_err();
        assert!(matches!(error, AuthError::Unproven(AuthFault::Reflected)), "{error}");
    });
}

#[test]
fn a_server_that_sends_back_the_proof_alone_is_found_out() {
    test::run(|| {
        let server = Answering::new(|method: &str, params: &[u8]| match method {
            "$/auth.begin" => Ok(binary(&[9; 32])),
            _ => Ok(Encoded::from_bytes(params[1..].to_vec())),
        });
        let error = authenticate(&server, &key(), LIMIT).unwrap_err();
        assert!(matches!(error, AuthError::Unproven(AuthFault::Reflected)), "{error}");
    });
}

#[test]
fn a_client_cannot_prove_itself_with_what_a_server_proves_to_it() {
    // It opens two connections, and would have the server answer its own challenge: each label is for one direction.
    let prover = key();
    let mut victim = ServerExchange::new(Labels::CALLS);
    let challenge = victim.begin(&[1; 32], [2; 32]).unwrap();
    let message = [&b"grapeshot rpc 1 server"[..], &[1; 32], &challenge].concat();
    let proof_of_a_server = prover.sign(0, &message);
    assert_eq!(victim.prove(&proof_of_a_server, &prover), Err(AuthFault::WrongProof));
}

#[test]
fn a_proof_of_one_protocol_is_none_in_the_other() {
    let prover = key();
    let (mut client, begin) = ClientExchange::begin(Labels::OBJECTS, [1; 32]);
    let mut server = ServerExchange::new(Labels::CALLS);
    let challenge = server.begin(&begin, [2; 32]).unwrap();
    let proof = client.challenged(&challenge, &prover).unwrap();
    assert_eq!(server.prove(&proof, &prover), Err(AuthFault::WrongProof));
}

#[test]
fn what_was_overheard_proves_nothing_on_another_connection() {
    test::run(|| {
        let overheard = RefCell::new(Vec::new());
        let mut guard = Guard::new(key(), LIMIT);
        let listening = Answering::new(|method: &str, params: &[u8]| {
            overheard.borrow_mut().push((method.to_owned(), params.to_vec()));
            guard.handle(method, params).unwrap().map_err(CallError::Failed)
        });
        authenticate(&listening, &key(), LIMIT).unwrap();
        let mut other = Guard::new(key(), LIMIT);
        let answers: Vec<_> =
            overheard.borrow().iter().map(|(method, params)| other.handle(method, params).unwrap()).collect();
        assert_eq!(answers[1].as_ref().unwrap_err().code, Failure::UNAUTHENTICATED);
        assert!(other.has_failed());
    });
}

#[test]
fn a_second_beginning_makes_the_first_void() {
    let prover = key();
    let mut server = ServerExchange::new(Labels::CALLS);
    let (mut client, begin) = ClientExchange::begin(Labels::CALLS, [1; 32]);
    let challenge = server.begin(&begin, [2; 32]).unwrap();
    let stale = client.challenged(&challenge, &prover).unwrap();
    let (mut client, begin) = ClientExchange::begin(Labels::CALLS, [3; 32]);
    let challenge = server.begin(&begin, [4; 32]).unwrap();
    let fresh = client.challenged(&challenge, &prover).unwrap();
    assert_ne!(stale, fresh);
    client.finish(&server.prove(&fresh, &prover).unwrap(), &prover).unwrap();
    assert_eq!(server.proven_key(), Some(0));

    let mut server = ServerExchange::new(Labels::CALLS);
    server.begin(&[1; 32], [2; 32]).unwrap();
    server.begin(&[3; 32], [4; 32]).unwrap();
    assert_eq!(server.prove(&stale, &prover), Err(AuthFault::WrongProof));
}

#[test]
fn who_is_proven_stays_so() {
    test::run(|| {
        let mut guard = Guard::new(key(), LIMIT);
        authenticate(&Answering::new(guarded(&mut guard)), &key(), LIMIT).unwrap();
        let again = guard.handle("$/auth.begin", &step(&[1; 32])).unwrap().unwrap_err();
        assert_eq!(again.code, Failure::INVALID_REQUEST);
        let again = guard.handle("$/auth.prove", &step(&[1; 32])).unwrap().unwrap_err();
        assert_eq!(again.code, Failure::INVALID_REQUEST);
        assert!(guard.is_proven() && !guard.has_failed());
    });
}

#[test]
fn steps_out_of_turn_are_refused() {
    let prover = key();
    let mut server = ServerExchange::new(Labels::CALLS);
    assert_eq!(server.prove(&[0; 32], &prover), Err(AuthFault::OutOfTurn));
    let (mut client, _) = ClientExchange::begin(Labels::CALLS, [1; 32]);
    assert_eq!(client.finish(&[0; 32], &prover), Err(AuthFault::OutOfTurn));
    assert_eq!(client.challenged(&[2; 32], &prover), Err(AuthFault::OutOfTurn), "it is over");
}

#[test]
fn a_nonce_or_proof_of_another_length_is_refused_whatever_the_length() {
    test::run(|| {
        for length in (0..=64).filter(|&length| length != PROOF_BYTES) {
            let bytes = vec![7; length];
            let mut guard = Guard::new(key(), LIMIT);
            let refused = guard.handle("$/auth.begin", &step(&bytes)).unwrap().unwrap_err();
            assert_eq!(refused.code, Failure::INVALID_PARAMS, "a nonce of {length}");
            assert!(!guard.has_failed(), "it may try again");
            guard.handle("$/auth.begin", &step(&[1; 32])).unwrap().unwrap();
            let refused = guard.handle("$/auth.prove", &step(&bytes)).unwrap().unwrap_err();
            assert_eq!(refused.code, Failure::INVALID_PARAMS, "a proof of {length}");
            assert!(!guard.is_proven());
        }
    });
}

#[test]
fn a_proof_with_one_bit_changed_is_wrong_wherever_the_bit_is() {
    let prover = key();
    for bit in 0..PROOF_BYTES * 8 {
        let mut server = ServerExchange::new(Labels::CALLS);
        let (mut client, begin) = ClientExchange::begin(Labels::CALLS, [1; 32]);
        let mut proof = client.challenged(&server.begin(&begin, [2; 32]).unwrap(), &prover).unwrap();
        proof[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(server.prove(&proof, &prover), Err(AuthFault::WrongProof), "bit {bit}");
        assert!(server.has_failed());
    }
}

#[test]
fn parameters_that_are_no_list_of_one_binary_are_refused_truncated_at_every_point() {
    test::run(|| {
        let whole = step(&[7; 32]);
        let mut bad: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        bad.push([&whole[..], &[0xc0]].concat());
        bad.push(vec![0x90]);
        bad.push([&[0x92], &whole[1..], &[0xc0]].concat());
        bad.push([&[0x91, 0xd9, 32], &[b'x'; 32][..]].concat());
        bad.push(vec![0x91, 0xc6, 0xff, 0xff, 0xff, 0xff]);
        bad.push([&[0x91, 0xc5, 0xff, 0xff], &[7; 65535][..]].concat());
        for params in bad {
            let mut guard = Guard::new(key(), LIMIT);
            let refused = guard.handle("$/auth.begin", &params).unwrap().unwrap_err();
            assert_eq!(refused.code, Failure::INVALID_PARAMS, "{params:02x?}");
        }
        // The longer forms of a binary and of a list say the same.
        let mut guard = Guard::new(key(), LIMIT);
        let long = [&[0xdd, 0, 0, 0, 1, 0xc6, 0, 0, 0, 32], &[7; 32][..]].concat();
        assert!(guard.handle("$/auth.begin", &long).unwrap().is_ok());
    });
}

#[test]
fn an_answer_that_is_no_nonce_is_malformed() {
    test::run(|| {
        for answer in [vec![0xc0], vec![0xc4, 31], [&[0xc4, 33][..], &[7; 33]].concat(), vec![0x90], vec![]] {
            let server = Answering::new(|_: &str, _: &[u8]| Ok(Encoded::from_bytes(answer.clone())));
            let error = authenticate(&server, &key(), LIMIT).unwrap_err();
            assert!(matches!(error, AuthError::Malformed(_)), "{error}");
        }
    });
}

#[test]
fn a_server_without_authentication_is_said_to_have_none() {
    test::run(|| {
        let server = Answering::new(|_: &str, _: &[u8]| {
            Err(CallError::Failed(Failure::new(Failure::METHOD_NOT_FOUND, "no such method")))
        });
        assert!(matches!(authenticate(&server, &key(), LIMIT).unwrap_err(), AuthError::NotOffered));
    });
}

#[test]
fn a_lost_connection_is_no_refusal() {
    test::run(|| {
        let server = Answering::new(|_: &str, _: &[u8]| {
            let cause = Arc::new(std::io::ErrorKind::ConnectionReset.into());
            Err(CallError::OutcomeUnknown { cause })
        });
        let error = authenticate(&server, &key(), LIMIT).unwrap_err();
        assert!(matches!(error, AuthError::Lost(_)));
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_limit_is_one_for_both_steps() {
    test::run(|| {
        let began = now();
        /// Takes 3 s for each step, unless the caller gives up before.
        struct Slow;
        impl Caller for Slow {
            fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
                let limit = request.options.timeout.unwrap();
                let takes = Duration::from_secs(3);
                sleep(takes.min(limit));
                if limit < takes {
                    return Err(CallError::TimedOut { limit, sent: true });
                }
                Ok(binary(&[9; 32]))
            }
            fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
                unreachable!()
            }
            fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
                unreachable!()
            }
        }
        let error = authenticate(&Slow, &key(), LIMIT).unwrap_err();
        assert!(matches!(error, AuthError::TimedOut { limit: LIMIT }), "{error}");
        assert_eq!(now() - began, LIMIT);
    });
}

#[test]
fn a_client_that_is_too_slow_is_refused_with_the_right_key() {
    test::run(|| {
        let mut guard = Guard::new(key(), LIMIT);
        let server = Answering::new(|method: &str, params: &[u8]| {
            sleep(Duration::from_secs(3));
            guard.handle(method, params).unwrap().map_err(CallError::Failed)
        });
        let error = authenticate(&server, &key(), Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, AuthError::Refused(_)), "{error}");
        assert!(error.to_string().contains("5s"), "{error}");
        assert!(guard.has_failed() && !guard.is_proven());
    });
}

#[test]
fn any_of_several_keys_lets_in_and_is_named() {
    test::run(|| {
        let keys = Keys::new([key().named("old"), other_key().named("new")]).unwrap();
        for (own, name) in [(key(), "old"), (other_key(), "new")] {
            let mut guard = Guard::new(&keys, LIMIT);
            authenticate(&Answering::new(guarded(&mut guard)), &own, LIMIT).unwrap();
            assert_eq!(guard.key(), Some(name));
        }
    });
}

#[test]
fn sets_of_keys_have_one_at_least_and_a_limit() {
    assert_eq!(Keys::new([]).unwrap_err(), KeyError::NoKeys);
    assert!(Keys::new((0..MAX_KEYS).map(|_| key())).is_ok());
    assert_eq!(Keys::new((0..).map(|_| key())).unwrap_err(), KeyError::TooMany);
}

#[test]
fn a_key_that_can_be_guessed_is_refused_and_none_is_printed() {
    assert_eq!(AuthKey::new(b"fifteen bytes i").unwrap_err(), KeyError::TooShort { bytes: 15 });
    let printed = format!("{:?} {:?}", key(), Keys::from(key()));
    assert!(!printed.contains("sixteen"), "{printed}");
    // HMAC of "sixteen bytes it" has no chance to be in there either: a key prints its name alone.
    assert_eq!(printed, "AuthKey(\"key\") Keys { keys: [AuthKey(\"key\")] }");
}
