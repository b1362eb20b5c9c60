use grapeshot_rpc::proto::{
    Concerns, Message, append_callee_item, append_caller_end, append_caller_item, append_cancel, append_error_response,
    append_go_away, append_grant_to_callee, append_grant_to_caller, append_notification, append_ping, append_pong,
    append_request, append_response, peek_call,
};
use rmpv::Value;

use crate::values::{decoded, encoded};

/// Appends any message but one with metadata, which only `Meta` can write.
pub(crate) fn append(out: &mut Vec<u8>, message: &Message<'_>) {
    match *message {
        Message::Request { id, method, params, .. } => append_request(out, id, method, params, None),
        Message::Response { id, error: None, result } => append_response(out, id, result),
        Message::Response { id, error: Some(error), .. } => append_error_response(out, id, error),
        Message::Notification { method, params, .. } => append_notification(out, method, params, None),
        Message::Cancel { id } => append_cancel(out, id),
        Message::CallerItem { id, item } => append_caller_item(out, id, item),
        Message::CallerEnd { id, error } => append_caller_end(out, id, error),
        Message::CalleeItem { id, item } => append_callee_item(out, id, item),
        Message::GrantToCaller { id, bytes } => append_grant_to_caller(out, id, bytes),
        Message::GrantToCallee { id, bytes } => append_grant_to_callee(out, id, bytes),
        Message::Ping { number } => append_ping(out, number),
        Message::Pong { number } => append_pong(out, number),
        Message::GoAway => append_go_away(out),
    }
}

/// One message of each type, and the value it has on the wire.
pub(crate) fn every_message() -> Vec<(Message<'static>, Value)> {
    const NIL: &[u8] = &[0xc0];
    const PARAMS: &[u8] = &[0x92, 0x01, 0xa1, b'x'];
    const ERROR: &[u8] = &[0x92, 0x05, 0xa3, b'b', b'a', b'd'];
    let params = || Value::Array(vec![1.into(), "x".into()]);
    let error = || Value::Array(vec![5.into(), "bad".into()]);
    let array = Value::Array;
    vec![
        (
            Message::Request { id: 7, method: "add", params: PARAMS, meta: None },
            array(vec![0.into(), 7.into(), "add".into(), params()]),
        ),
        (
            Message::Response { id: u32::MAX, error: None, result: PARAMS },
            array(vec![1.into(), u32::MAX.into(), Value::Nil, params()]),
        ),
        (
            Message::Response { id: 300, error: Some(ERROR), result: NIL },
            array(vec![1.into(), 300.into(), error(), Value::Nil]),
        ),
        (
            Message::Notification { method: "nvim_input", params: &[0x90], meta: None },
            array(vec![2.into(), "nvim_input".into(), array(vec![])]),
        ),
        (Message::Cancel { id: 200 }, array(vec![3.into(), 200.into()])),
        (Message::CallerItem { id: 7, item: PARAMS }, array(vec![4.into(), 7.into(), params()])),
        (Message::CallerEnd { id: 7, error: None }, array(vec![5.into(), 7.into(), Value::Nil])),
        (Message::CallerEnd { id: 7, error: Some(ERROR) }, array(vec![5.into(), 7.into(), error()])),
        // A stream of nothings is a stream all the same.
        (Message::CalleeItem { id: 7, item: NIL }, array(vec![6.into(), 7.into(), Value::Nil])),
        (Message::GrantToCaller { id: 7, bytes: 65_536 }, array(vec![7.into(), 7.into(), 65_536.into()])),
        (Message::GrantToCallee { id: 7, bytes: u64::MAX }, array(vec![8.into(), 7.into(), u64::MAX.into()])),
        (Message::Ping { number: 1 << 40 }, array(vec![9.into(), (1_u64 << 40).into()])),
        (Message::Pong { number: 0 }, array(vec![10.into(), 0.into()])),
        (Message::GoAway, array(vec![11.into()])),
    ]
}

#[test]
fn every_message_is_written_as_the_value_it_stands_for() {
    for (message, value) in every_message() {
        let mut bytes = Vec::new();
        append(&mut bytes, &message);
        assert_eq!(decoded(&bytes), value);
        // rmpv writes every number in its shortest form, and so do we.
        assert_eq!(bytes, encoded(&value), "{message:?}");
    }
}

#[test]
fn every_message_is_read_as_what_was_written() {
    for (message, value) in every_message() {
        assert_eq!(Message::parse(&encoded(&value)), Ok(message));
    }
}

#[test]
fn metadata_are_the_fifth_element_of_a_request_and_the_fourth_of_a_notification() {
    let request = [0x95, 0x00, 0x01, 0xa1, b'f', 0x90, 0x81, 0x00, 0x05];
    let read = Message::Request { id: 1, method: "f", params: &[0x90], meta: Some(&[0x81, 0x00, 0x05]) };
    assert_eq!(Message::parse(&request), Ok(read));
    let notification = [0x94, 0x02, 0xa1, b'f', 0x90, 0x80];
    let read = Message::Notification { method: "f", params: &[0x90], meta: Some(&[0x80]) };
    assert_eq!(Message::parse(&notification), Ok(read));
}

#[test]
fn numbers_may_have_any_form_that_is_not_negative() {
    let forms: &[&[u8]] = &[
        &[0x05],
        &[0xcc, 5],
        &[0xcd, 0, 5],
        &[0xce, 0, 0, 0, 5],
        &[0xcf, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0xd0, 5],
        &[0xd1, 0, 5],
        &[0xd2, 0, 0, 0, 5],
        &[0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
    ];
    for form in forms {
        let cancel = [&[0x92, 0x03][..], form].concat();
        assert_eq!(Message::parse(&cancel), Ok(Message::Cancel { id: 5 }), "{form:x?}");
    }
    // Heads that are longer than they need to be mean the same, too: this is how C++'s library of old writes arrays.
    let request = [0xdd, 0, 0, 0, 4, 0xcc, 0, 0xce, 0, 0, 0, 9, 0xdb, 0, 0, 0, 1, b'f', 0xdc, 0, 0];
    let read = Message::Request { id: 9, method: "f", params: &[0xdc, 0, 0], meta: None };
    assert_eq!(Message::parse(&request), Ok(read));
}

#[test]
fn the_call_of_a_message_that_is_not_whole_is_known_from_its_first_bytes() {
    let request = [0x94, 0x00, 0xce, 0x00, 0x01, 0x00, 0x00, 0xa1, b'f', 0xc6, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(peek_call(&request), Some(Concerns::Request(65_536)));
    assert_eq!(peek_call(&[0x94, 0x01, 0x07]), Some(Concerns::Response(7)));
    for end in 0..7 {
        assert_eq!(peek_call(&request[..end]), None, "{end} bytes");
    }
    // No answer is due to these, and none to an id beyond 32 bits.
    assert_eq!(peek_call(&[0x92, 0x03, 0x07]), None);
    assert_eq!(peek_call(&[0x94, 0x00, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0]), None);
    assert_eq!(peek_call(b"GET / HTTP/1.1\r\n"), None);
}

/// pynvim names the first method that it calls by bytes.
#[test]
fn a_method_may_be_named_by_bytes_that_are_text() {
    let request = [0x94, 0x00, 0x07, 0xc4, 0x03, b'n', b'o', b'p', 0x90];
    let nop = Message::Request { id: 7, method: "nop", params: &[0x90], meta: None };
    assert_eq!(Message::parse(&request), Ok(nop));
    let notification = [0x93, 0x02, 0xc5, 0x00, 0x01, b'n', 0x90];
    assert_eq!(Message::parse(&notification), Ok(Message::Notification { method: "n", params: &[0x90], meta: None }));
}
