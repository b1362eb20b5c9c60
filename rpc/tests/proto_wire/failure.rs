use grapeshot_rpc::proto::{MAX_FAILURE_BYTES, append_failure, read_failure};
use grapeshot_rpc::{Failure, Value};
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::values::{any_value, decoded, encoded};

fn list(elements: &[Value]) -> Value {
    Value::Array(elements.to_vec())
}

fn read(value: &Value) -> Failure {
    read_failure(&encoded(value))
}

#[test]
fn it_is_written_as_neovim_reads_it() {
    let mut out = Vec::new();
    append_failure(&mut out, &Failure::new(Failure::METHOD_NOT_FOUND, "no such method"));
    assert_eq!(decoded(&out), list(&[(-32601).into(), "no such method".into()]));
    out.clear();
    append_failure(&mut out, &Failure::new(7, "full").with_data(list(&[1.into()])));
    assert_eq!(decoded(&out), list(&[7.into(), "full".into(), list(&[1.into()])]));
}

#[test]
fn negative_codes_have_their_shortest_form() {
    for code in [-1, -32, -33, -128, -129, -32_768, -32_769, i64::from(i32::MIN), i64::from(i32::MIN) - 1, i64::MIN] {
        let mut out = Vec::new();
        append_failure(&mut out, &Failure::new(code, ""));
        assert_eq!(out, encoded(&list(&[code.into(), "".into()])), "{code}");
        assert_eq!(read_failure(&out).code, code);
    }
}

/// `:help rpc` of Neovim: the error is `[0, "…"]` for an exception and `[1, "…"]` for a validation.
#[test]
fn an_error_of_neovim_is_read() {
    assert_eq!(read(&list(&[1.into(), "Invalid buffer id: 9".into()])), Failure::new(1, "Invalid buffer id: 9"));
}

#[test]
fn a_text_is_the_message() {
    assert_eq!(read(&"out of fish".into()), Failure::new(Failure::UNNAMED, "out of fish"));
}

#[test]
fn a_map_is_read_as_json_rpc_writes_it() {
    let value = Value::Map(vec![
        ("message".into(), "full".into()),
        ("code".into(), 7.into()),
        ("data".into(), list(&[Value::Nil])),
        ("more".into(), 1.into()),
    ]);
    assert_eq!(read(&value), Failure::new(7, "full").with_data(list(&[Value::Nil])));
    let only_code = Value::Map(vec![("code".into(), (-32602).into())]);
    assert_eq!(read(&only_code).code, Failure::INVALID_PARAMS);
    let only_message = Value::Map(vec![("message".into(), "full".into())]);
    assert_eq!(read(&only_message), Failure::new(Failure::UNNAMED, "full"));
}

#[test]
fn any_other_value_is_data() {
    let others = [
        true.into(),
        5.into(),
        list(&[]),
        list(&["full".into(), 5.into()]),
        list(&[5.into(), "full".into(), Value::Nil, Value::Nil]),
        list(&[u64::MAX.into(), "full".into()]),
        Value::Map(vec![("reason".into(), "full".into())]),
        Value::Ext(4, vec![1]),
    ];
    for value in others {
        let failure = read(&value);
        assert_eq!((failure.code, &failure.data), (Failure::UNNAMED, &value));
        assert!(!failure.message.is_empty());
    }
}

/// As a value, each nil takes forty times its byte.
#[test]
fn large_data_are_dropped_and_the_rest_is_kept() {
    let data = list(&vec![Value::Nil; MAX_FAILURE_BYTES]);
    let failure = read(&list(&[7.into(), "full".into(), data.clone()]));
    assert_eq!((failure.code, failure.data), (7, Value::Nil));
    assert!(failure.message.starts_with("full (its data have "), "{}", failure.message);
    let failure = read(&data);
    assert_eq!((failure.code, failure.data), (Failure::UNNAMED, Value::Nil));
}

proptest! {
    #[test]
    fn any_failure_survives_the_way(code in any::<i64>(), message in "\\PC{0,80}", data in any_value()) {
        let failure = Failure::new(code, message).with_data(data);
        let mut out = Vec::new();
        append_failure(&mut out, &failure);
        decoded(&out);
        prop_assert_eq!(read_failure(&out), failure);
    }

    #[test]
    fn any_bytes_are_some_failure(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        read_failure(&bytes);
    }
}
