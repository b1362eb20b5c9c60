use grapeshot_rpc::proto::{Concerns, MalformedMessage, Message, MessageFault, Scan, Scanner};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assume, proptest};
use proptest::sample::{Index, select};
use rmpv::Value;

use crate::message::{append, every_message};
use crate::values::{any_value, encoded};

#[track_caller]
fn refused(bytes: &[u8]) -> MalformedMessage {
    match Message::parse(bytes) {
        Ok(message) => panic!("{bytes:x?} is taken for {message:?}"),
        Err(malformed) => malformed,
    }
}

#[track_caller]
fn assert_refused(bytes: &[u8], fault: MessageFault, at: usize, concerns: Concerns) {
    assert_eq!(refused(bytes), MalformedMessage { fault, at, concerns }, "{bytes:x?}");
}

#[test]
fn what_is_no_message_at_all_ends_the_connection() {
    let connection = Concerns::Connection;
    assert_refused(b"G", MessageFault::NotAnArray, 0, connection);
    assert_refused(&[0x81, 0x00, 0x01], MessageFault::NotAnArray, 0, connection);
    assert_refused(&[0xc0], MessageFault::NotAnArray, 0, connection);
    assert_refused(&[0x90], MessageFault::NoType, 1, connection);
    assert_refused(&[0x91, 0xc0], MessageFault::NoType, 1, connection);
    assert_refused(&[0x91, 0xff], MessageFault::NoType, 1, connection);
}

#[test]
fn bytes_that_no_scanner_found_end_the_connection() {
    let connection = Concerns::Connection;
    assert_refused(&[], MessageFault::Truncated, 0, connection);
    assert_refused(&[0x94, 0x00, 0x01, 0xa3, b'n'], MessageFault::Truncated, 3, connection);
    assert_refused(&[0x91, 0x0b, 0x00, 0x00], MessageFault::Trailing { bytes: 2 }, 2, connection);
    assert_refused(&[0x94, 0x00, 0x01, 0xa1, b'f', 0x91, 0xc1], MessageFault::Reserved, 5, connection);
}

#[test]
fn a_request_with_a_readable_id_is_answered() {
    let peer = Concerns::Request(7);
    assert_refused(&[0x92, 0x00, 0x07], MessageFault::Arity { found: 2 }, 3, peer);
    assert_refused(&[0x93, 0x00, 0x07, 0xa1, b'f'], MessageFault::Arity { found: 3 }, 3, peer);
    let six = [0x96, 0x00, 0x07, 0xa1, b'f', 0x90, 0x80, 0xc0];
    assert_refused(&six, MessageFault::Arity { found: 6 }, 3, peer);
    assert_refused(&[0x94, 0x00, 0x07, 0x01, 0x90], MessageFault::Method, 3, peer);
    assert_refused(&[0x94, 0x00, 0x07, 0xa2, 0xc3, 0x28, 0x90], MessageFault::MethodNotUtf8, 3, peer);
    assert_refused(&[0x94, 0x00, 0x07, 0xc4, 0x02, 0xc3, 0x28, 0x90], MessageFault::MethodNotUtf8, 3, peer);
    for params in [&[0xc0][..], &[0x05], &[0x80], &[0xa1, b'x']] {
        let request = [&[0x94, 0x00, 0x07, 0xa1, b'f'], params].concat();
        assert_refused(&request, MessageFault::Params, 5, peer);
    }
    assert_refused(&[0x95, 0x00, 0x07, 0xa1, b'f', 0x90, 0xc0], MessageFault::Meta, 6, peer);
}

#[test]
fn a_request_whose_id_nobody_can_read_ends_the_connection() {
    let connection = Concerns::Connection;
    assert_refused(&[0x91, 0x00], MessageFault::Arity { found: 1 }, 2, connection);
    assert_refused(&[0x94, 0x00, 0xc0, 0xa1, b'f', 0x90], MessageFault::Id, 2, connection);
    assert_refused(&[0x94, 0x00, 0xff, 0xa1, b'f', 0x90], MessageFault::Id, 2, connection);
    let beyond = [0x94, 0x00, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xa1, b'f', 0x90];
    assert_refused(&beyond, MessageFault::Id, 2, connection);
}

#[test]
fn a_malformed_answer_concerns_the_one_who_waits_for_it() {
    assert_refused(&[0x93, 0x01, 0x07, 0xc0], MessageFault::Arity { found: 3 }, 3, Concerns::Response(7));
    let five = [0x95, 0x01, 0x07, 0xc0, 0x01, 0x02];
    assert_refused(&five, MessageFault::Arity { found: 5 }, 3, Concerns::Response(7));
    assert_refused(&[0x94, 0x01, 0xc0, 0xc0, 0xc0], MessageFault::Id, 2, Concerns::Connection);
}

#[test]
fn malformed_messages_that_ask_for_no_answer_are_dropped() {
    let nobody = Concerns::Nobody;
    assert_refused(&[0x92, 0x02, 0xa1, b'f'], MessageFault::Arity { found: 2 }, 2, nobody);
    assert_refused(&[0x93, 0x02, 0x01, 0x90], MessageFault::Method, 2, nobody);
    assert_refused(&[0x93, 0x02, 0xa1, b'f', 0x80], MessageFault::Params, 4, nobody);
    assert_refused(&[0x94, 0x02, 0xa1, b'f', 0x90, 0x90], MessageFault::Meta, 5, nobody);
    assert_refused(&[0x92, 0x03, 0xc0], MessageFault::Id, 2, nobody);
    assert_refused(&[0x91, 0x03], MessageFault::Arity { found: 1 }, 2, nobody);
    assert_refused(&[0x92, 0x04, 0x01], MessageFault::Arity { found: 2 }, 2, nobody);
    assert_refused(&[0x93, 0x07, 0x01, 0xff], MessageFault::Number, 3, nobody);
    assert_refused(&[0x92, 0x09, 0xa0], MessageFault::Number, 2, nobody);
    assert_refused(&[0x92, 0x0b, 0x00], MessageFault::Arity { found: 2 }, 2, nobody);
}

#[test]
fn an_unknown_type_is_answered_only_if_it_looks_like_a_request() {
    let unknown = MessageFault::UnknownType { kind: 12 };
    assert_refused(&[0x94, 0x0c, 0x07, 0xa1, b'f', 0x90], unknown, 2, Concerns::Request(7));
    assert_refused(&[0x94, 0x0c, 0x07, 0xc0, 0x90], unknown, 2, Concerns::Nobody);
    assert_refused(&[0x92, 0x0c, 0x07], unknown, 2, Concerns::Nobody);
    assert_refused(&[0x91, 0x0c], unknown, 2, Concerns::Nobody);
    // A type whose low byte is that of a request is no request.
    let large = [0x94, 0xcd, 0x01, 0x00, 0x07, 0xa1, b'f', 0x90];
    assert_refused(&large, MessageFault::UnknownType { kind: 256 }, 4, Concerns::Request(7));
}

#[test]
fn errors_say_what_and_where() {
    let error = refused(&[0x94, 0x00, 0x07, 0xa1, b'f', 0xc0]);
    assert_eq!(error.to_string(), "the parameters are an array (byte 5 of the message)");
    let error = refused(&[0x91, 0x0c]);
    assert_eq!(error.to_string(), "there is no message of the type 12 (byte 2 of the message)");
}

#[test]
fn a_message_that_is_cut_anywhere_is_never_taken() {
    for (message, value) in every_message() {
        let bytes = encoded(&value);
        for end in 0..bytes.len() {
            assert_eq!(refused(&bytes[..end]).concerns, Concerns::Connection, "{end} bytes of {message:?}");
        }
    }
}

proptest! {
    /// Whatever is read from spoiled bytes is written again as bytes that mean the same.
    #[test]
    fn spoiled_bytes_are_refused_or_mean_what_they_say(
        (message, value) in select(every_message()), at in any::<Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let scanned = Scanner::new(1 << 16, 16).scan(&bytes);
        match Message::parse(&bytes) {
            Ok(read) => {
                prop_assert_eq!(scanned, Ok(Scan::Complete(bytes.len())));
                let mut again = Vec::new();
                append(&mut again, &read);
                let without_meta = !matches!(
                    read,
                    Message::Request { meta: Some(_), .. } | Message::Notification { meta: Some(_), .. }
                );
                // An answer with an error is written without a result.
                let has_both = matches!(read, Message::Response { error: Some(_), result, .. } if result != [0xc0]);
                if without_meta && !has_both {
                    prop_assert_eq!(Message::parse(&again), Ok(read), "spoiled: {:?}", message);
                }
            }
            Err(error) => prop_assert!(error.at <= bytes.len()),
        }
    }

    #[test]
    fn any_bytes_are_refused_without_harm(bytes in vec(any::<u8>(), 0..60)) {
        if let Err(error) = Message::parse(&bytes) {
            prop_assert!(error.at <= bytes.len());
        }
    }

    /// Any value that a scanner found is a message or refused, never taken for cut.
    #[test]
    fn whole_values_are_never_taken_for_cut(elements in vec(any_value(), 0..6), kind in 0_u8..14) {
        let mut message = vec![Value::from(kind)];
        message.extend(elements);
        if let Err(error) = Message::parse(&encoded(&Value::Array(message))) {
            let is_cut = matches!(
                error.fault,
                MessageFault::Truncated | MessageFault::Trailing { .. } | MessageFault::Reserved
            );
            prop_assert!(!is_cut, "{}", error);
        }
    }

    #[test]
    fn requests_survive_the_way(
        id in any::<u32>(), method in "\\PC{0,300}", params in vec(any_value(), 0..4),
    ) {
        let params = encoded(&Value::Array(params));
        let request = Message::Request { id, method: &method, params: &params, meta: None };
        let mut bytes = Vec::new();
        append(&mut bytes, &request);
        prop_assert_eq!(Message::parse(&bytes), Ok(request));
    }

    #[test]
    fn answers_survive_the_way(id in any::<u32>(), error in any_value(), result in any_value()) {
        prop_assume!(error != Value::Nil);
        let (error, result) = (encoded(&error), encoded(&result));
        let mut bytes = Vec::new();
        let success = Message::Response { id, error: None, result: &result };
        append(&mut bytes, &success);
        prop_assert_eq!(Message::parse(&bytes), Ok(success));
        bytes.clear();
        let failure = Message::Response { id, error: Some(&error), result: &[0xc0] };
        append(&mut bytes, &failure);
        prop_assert_eq!(Message::parse(&bytes), Ok(failure));
    }
}
