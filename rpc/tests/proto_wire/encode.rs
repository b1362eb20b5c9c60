use grapeshot_rpc::proto::{
    Message, Meta, append_notification, append_ping, append_request, append_request_with, append_response,
    append_response_with,
};
use rmpv::Value;
use std::time::Duration;

use crate::values::{decoded, encoded};

#[test]
fn a_request_written_in_place_is_the_same_as_one_written_from_bytes() {
    let meta = Meta { remaining: Some(Duration::from_millis(3)), ..Meta::default() };
    for meta in [None, Some(&meta)] {
        let (mut whole, mut in_place) = (vec![0xaa], vec![0xaa]);
        append_request(&mut whole, 900, "add", &[0x91, 0x05], meta);
        let written = append_request_with(&mut in_place, 900, "add", meta, |out| {
            out.extend_from_slice(&[0x91, 0x05]);
            Ok::<(), ()>(())
        });
        assert_eq!(written, Ok(()));
        assert_eq!(in_place, whole);
    }
}

#[test]
fn an_answer_written_in_place_is_the_same_as_one_written_from_bytes() {
    let (mut whole, mut in_place) = (Vec::new(), Vec::new());
    append_response(&mut whole, 70_000, &[0x93, 1, 2, 3]);
    let written = append_response_with(&mut in_place, 70_000, |out| {
        out.extend_from_slice(&[0x93, 1, 2, 3]);
        Ok::<(), ()>(())
    });
    assert_eq!(written, Ok(()));
    assert_eq!(in_place, whole);
}

#[test]
fn a_value_that_cannot_be_written_leaves_nothing_behind() {
    let mut out = Vec::new();
    append_ping(&mut out, 1);
    let before = out.clone();
    let half = |out: &mut Vec<u8>| {
        out.extend_from_slice(&[0x92, 0x01]);
        Err("half way")
    };
    assert_eq!(append_request_with(&mut out, 1, "f", None, half), Err("half way"));
    assert_eq!(out, before);
    assert_eq!(append_response_with(&mut out, 1, half), Err("half way"));
    assert_eq!(out, before);
}

#[test]
fn methods_of_every_length_are_written_as_rmpv_writes_them() {
    for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536, 70_000] {
        let method = "m".repeat(length);
        let mut out = Vec::new();
        append_notification(&mut out, &method, &[0x90], None);
        let value = Value::Array(vec![2.into(), method.as_str().into(), Value::Array(vec![])]);
        assert!(out == encoded(&value), "a method of {length} bytes");
        let read = Message::Notification { method: &method, params: &[0x90], meta: None };
        assert!(Message::parse(&out) == Ok(read), "a method of {length} bytes");
    }
}

#[test]
fn numbers_of_every_length_are_written_as_rmpv_writes_them() {
    let ends = [0x7f, 0xff, 0xffff, 0xffff_ffff, u64::MAX - 1];
    for number in ends.into_iter().flat_map(|end| [end - 1, end, end + 1]) {
        let mut out = Vec::new();
        append_ping(&mut out, number);
        assert_eq!(out, encoded(&Value::Array(vec![9.into(), number.into()])), "{number}");
        assert_eq!(Message::parse(&out), Ok(Message::Ping { number }));
    }
}

#[test]
fn messages_stand_behind_each_other_in_the_buffer() {
    let mut out = Vec::new();
    append_request(&mut out, 1, "f", &[0x90], None);
    let first = out.len();
    append_response(&mut out, 2, &[0xc3]);
    let call = Value::Array(vec![0.into(), 1.into(), "f".into(), Value::Array(vec![])]);
    let answer = Value::Array(vec![1.into(), 2.into(), Value::Nil, true.into()]);
    assert_eq!(decoded(&out[..first]), call);
    assert_eq!(decoded(&out[first..]), answer);
}
