use std::borrow::Cow;
use std::time::Duration;

use grapeshot_rpc::Sequence;
use grapeshot_rpc::proto::{
    Message, Meta, MetaError, MetaLimits, MetaValue, Metadata, TraceContext, append_notification, append_request,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use rmpv::Value;

use crate::values::{decoded, encoded};

const LIMITS: MetaLimits = MetaLimits { pairs: 64, bytes: 8 << 10 };

fn bytes_of(meta: &Meta<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    meta.append(&mut bytes);
    bytes
}

fn full() -> Meta<'static> {
    let mut metadata = Metadata::new();
    metadata.set("user", MetaValue::Text("ann".to_owned()));
    metadata.set("token", MetaValue::Bytes(vec![0, 255]));
    Meta {
        remaining: Some(Duration::from_micros(1_500_000)),
        sequence: Some(Sequence { client: [7; 16], number: 12, lowest: 9 }),
        trace: Some(Cow::Owned(TraceContext { parent: "00-ab-cd-01".to_owned(), state: "a=b".to_owned() })),
        metadata: Cow::Owned(metadata),
        window: Some(4096),
    }
}

/// A map with our keys, as a peer would write it.
fn map(pairs: &[(u64, Value)]) -> Vec<u8> {
    encoded(&Value::Map(pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()))
}

#[test]
fn each_key_has_its_number_on_the_wire() {
    let user = Value::Map(vec![("user".into(), "ann".into()), ("token".into(), Value::Binary(vec![0, 255]))]);
    let expected = [
        (0, 1_500_000.into()),
        (1, Value::Binary(vec![7; 16])),
        (2, 12.into()),
        (3, 9.into()),
        (4, "00-ab-cd-01".into()),
        (5, "a=b".into()),
        (6, user),
        (7, 4096.into()),
    ];
    assert_eq!(bytes_of(&full()), map(&expected));
    assert_eq!(Meta::decode(&map(&expected), LIMITS), Ok(full()));
}

#[test]
fn what_is_absent_does_not_travel() {
    assert!(Meta::default().is_empty());
    assert_eq!(bytes_of(&Meta::default()), [0x80]);
    let meta = Meta { window: Some(0), ..Meta::default() };
    assert!(!meta.is_empty(), "a window of nothing still says that a stream is expected");
    assert_eq!(decoded(&bytes_of(&meta)), Value::Map(vec![(7.into(), 0.into())]));
    let trace = TraceContext { parent: "p".to_owned(), state: String::new() };
    let meta = Meta { trace: Some(Cow::Borrowed(&trace)), ..Meta::default() };
    assert_eq!(decoded(&bytes_of(&meta)), Value::Map(vec![(4.into(), "p".into())]));
}

#[test]
fn it_is_the_last_element_of_a_request_and_of_a_notification() {
    let (meta, mut out) = (full(), Vec::new());
    append_request(&mut out, 1, "f", &[0x90], Some(&meta));
    let Ok(Message::Request { meta: Some(bytes), .. }) = Message::parse(&out) else { panic!("a request: {out:x?}") };
    assert_eq!(Meta::decode(bytes, LIMITS), Ok(full()));
    out.clear();
    append_notification(&mut out, "f", &[0x90], Some(&meta));
    let Ok(Message::Notification { meta: Some(bytes), .. }) = Message::parse(&out) else { panic!("one: {out:x?}") };
    assert_eq!(Meta::decode(bytes, LIMITS), Ok(full()));
}

#[test]
fn the_time_left_is_rounded_down_and_never_overflows() {
    let sent = |remaining| {
        let bytes = bytes_of(&Meta { remaining: Some(remaining), ..Meta::default() });
        Meta::decode(&bytes, LIMITS).expect("a map").remaining
    };
    assert_eq!(sent(Duration::from_nanos(1999)), Some(Duration::from_micros(1)));
    assert_eq!(sent(Duration::ZERO), Some(Duration::ZERO));
    assert_eq!(sent(Duration::MAX), Some(Duration::from_micros(u64::MAX)));
}

#[test]
fn unknown_keys_are_ignored() {
    let later = Value::Map(vec![
        (99.into(), Value::Array(vec![1.into(), Value::Nil])),
        ("text".into(), Value::Map(vec![])),
        (Value::Nil, 3.into()),
        ((-1).into(), 3.into()),
        (7.into(), 5.into()),
    ]);
    let meta = Meta { window: Some(5), ..Meta::default() };
    assert_eq!(Meta::decode(&encoded(&later), LIMITS), Ok(meta));
}

#[test]
fn a_trace_state_without_a_trace_means_nothing() {
    assert_eq!(Meta::decode(&map(&[(5, "a=b".into())]), LIMITS), Ok(Meta::default()));
}

#[test]
fn a_value_of_the_wrong_type_is_named_by_its_key() {
    let wrong = [
        (0, Value::from(-1)),
        (0, "soon".into()),
        (1, Value::Binary(vec![7; 15])),
        (1, "0123456789abcdef".into()),
        (2, Value::Nil),
        (3, 1.5.into()),
        (4, Value::Binary(vec![])),
        (5, 1.into()),
        (6, Value::Array(vec![])),
        (6, Value::Map(vec![(1.into(), "x".into())])),
        (6, Value::Map(vec![("x".into(), 1.into())])),
        (7, true.into()),
    ];
    for (key, value) in wrong {
        assert_eq!(Meta::decode(&map(&[(key, value.clone())]), LIMITS), Err(MetaError::WrongType { key }), "{value}");
    }
}

#[test]
fn half_a_sequence_number_is_refused() {
    let client = (1, Value::Binary(vec![7; 16]));
    assert_eq!(Meta::decode(&map(std::slice::from_ref(&client)), LIMITS), Err(MetaError::HalfSequence));
    assert_eq!(Meta::decode(&map(&[(2, 5.into())]), LIMITS), Err(MetaError::HalfSequence));
    let sequence = Meta::decode(&map(&[client, (2, 5.into())]), LIMITS).expect("whole").sequence;
    assert_eq!(sequence, Some(Sequence { client: [7; 16], number: 5, lowest: 0 }));
}

#[test]
fn bytes_and_pairs_are_limited() {
    let bytes = bytes_of(&full());
    let enough = MetaLimits { pairs: 2, bytes: bytes.len() };
    assert_eq!(Meta::decode(&bytes, enough), Ok(full()));
    let short = MetaLimits { bytes: bytes.len() - 1, ..enough };
    let error = MetaError::TooManyBytes { bytes: bytes.len(), limit: bytes.len() - 1 };
    assert_eq!(Meta::decode(&bytes, short), Err(error));
    let few = MetaLimits { pairs: 1, ..enough };
    assert_eq!(Meta::decode(&bytes, few), Err(MetaError::TooManyPairs { pairs: 2, limit: 1 }));
    // A map that says it has four billion pairs is refused before one is looked for.
    let lie = [0xdf, 0xff, 0xff, 0xff, 0xff];
    let refused = Meta::decode(&lie, LIMITS);
    assert!(matches!(refused, Err(MetaError::TooManyPairs { limit: 80, .. })), "{refused:?}");
}

#[test]
fn what_is_no_map_or_ends_early_is_refused() {
    assert_eq!(Meta::decode(&[0x90], LIMITS), Err(MetaError::NotAMap));
    assert_eq!(Meta::decode(&[], LIMITS), Err(MetaError::NotAMap));
    let bytes = bytes_of(&full());
    for end in 0..bytes.len() {
        assert!(Meta::decode(&bytes[..end], LIMITS).is_err(), "{end} bytes");
    }
}

#[test]
fn a_name_that_comes_twice_has_its_last_value() {
    let twice = Value::Map(vec![("x".into(), "first".into()), ("x".into(), "last".into())]);
    let meta = Meta::decode(&map(&[(6, twice)]), LIMITS).expect("a map");
    assert_eq!(meta.metadata.len(), 1);
    assert_eq!(meta.metadata.text("x"), Some("last"));
}

fn any_meta() -> impl Strategy<Value = Meta<'static>> {
    let sequence = (any::<[u8; 16]>(), any::<u64>(), any::<u64>()).prop_map(|(client, number, lowest)| Sequence {
        client,
        number,
        lowest,
    });
    let trace = ("\\PC{0,60}", "\\PC{0,60}").prop_map(|(parent, state)| Cow::Owned(TraceContext { parent, state }));
    let value =
        prop_oneof!["\\PC{0,60}".prop_map(MetaValue::Text), vec(any::<u8>(), 0..60).prop_map(MetaValue::Bytes),];
    let metadata = vec(("\\PC{0,20}", value), 0..20).prop_map(|pairs| {
        let mut metadata = Metadata::new();
        pairs.into_iter().for_each(|(name, value)| metadata.set(name, value));
        Cow::Owned(metadata)
    });
    let remaining = any::<u64>().prop_map(Duration::from_micros);
    (option::of(remaining), option::of(sequence), option::of(trace), metadata, option::of(any::<u64>())).prop_map(
        |(remaining, sequence, trace, metadata, window)| Meta { remaining, sequence, trace, metadata, window },
    )
}

proptest! {
    #[test]
    fn any_metadata_survive_the_way(meta in any_meta()) {
        let bytes = bytes_of(&meta);
        decoded(&bytes);
        let limits = MetaLimits { pairs: 20, bytes: bytes.len() };
        prop_assert_eq!(Meta::decode(&bytes, limits), Ok(meta));
    }

    #[test]
    fn any_bytes_are_refused_without_harm(bytes in vec(any::<u8>(), 0..80)) {
        let _ = Meta::decode(&bytes, LIMITS);
    }
}
