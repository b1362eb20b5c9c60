use grapeshot_rpc::proto::{Extension, ExtensionSet, Hello, HelloError, HelloLimits, MAX_HELLO_BYTES};
use proptest::prelude::{any, proptest};
use rmpv::Value;

use crate::values::encoded;

fn full() -> Hello {
    Hello {
        version: 1,
        name: "fish".to_owned(),
        extensions: ExtensionSet::all(),
        limits: HelloLimits { frame_bytes: 16 << 20, in_flight: 256, window_bytes: 65_536 },
    }
}

fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    hello.append(&mut bytes);
    bytes
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
}

fn list(names: &[&str]) -> Value {
    Value::Array(names.iter().map(|name| (*name).into()).collect())
}

#[test]
fn it_is_a_map_with_names_as_keys() {
    let limits = map(&[("frame_bytes", (16 << 20).into()), ("in_flight", 256.into()), ("window_bytes", 65_536.into())]);
    let expected = map(&[
        ("version", 1.into()),
        ("name", "fish".into()),
        ("extensions", list(&["meta", "cancel", "streams", "ping", "goaway"])),
        ("limits", limits),
    ]);
    assert_eq!(bytes_of(&full()), encoded(&expected));
    assert_eq!(Hello::decode(&encoded(&expected)), Ok(full()));
}

#[test]
fn in_a_request_it_is_the_only_parameter() {
    let mut params = Vec::new();
    full().append_params(&mut params);
    assert_eq!(params[0], 0x91);
    assert_eq!(params[1..], bytes_of(&full()));
    assert_eq!(Hello::decode_params(&params), Ok(full()));
    assert_eq!(Hello::decode_params(&[0x90]), Err(HelloError::NotAMap));
    assert_eq!(Hello::decode_params(&[0x91, 0xc0]), Err(HelloError::NotAMap));
}

#[test]
fn what_is_unknown_or_absent_does_no_harm() {
    let later = map(&[
        ("version", 2.into()),
        ("extensions", list(&["teleport", "ping"])),
        ("limits", map(&[("in_flight", 8.into()), ("patience", "none".into())])),
        ("motto", list(&["a", "b"])),
    ]);
    let hello = Hello::decode(&encoded(&later)).expect("a map");
    assert_eq!(hello.version, 2);
    assert_eq!(hello.name, "");
    assert_eq!(hello.extensions, [Extension::Ping].into_iter().collect());
    assert_eq!(hello.limits, HelloLimits { in_flight: 8, ..HelloLimits::UNSAID });
    // Keys need not be text, nor text UTF-8.
    let odd = Value::Map(vec![(5.into(), Value::Nil), ("version".into(), 1.into())]);
    assert_eq!(Hello::decode(&encoded(&odd)), Ok(Hello::default()));
    let odder = [&[0x82, 0xa2, 0xc3, 0x28, 0xc0, 0xa7][..], b"version", &[0x01]].concat();
    assert_eq!(Hello::decode(&odder), Ok(Hello::default()));
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |key: &'static str, value: Value| {
        let bytes = encoded(&map(&[("version", 1.into()), (key, value)]));
        assert_eq!(Hello::decode(&bytes), Err(HelloError::WrongType { key }));
    };
    wrong("name", 5.into());
    wrong("version", "1".into());
    wrong("extensions", "meta".into());
    wrong("extensions", Value::Array(vec![1.into()]));
    let limits = encoded(&map(&[("version", 1.into()), ("limits", map(&[("in_flight", (-1).into())]))]));
    assert_eq!(Hello::decode(&limits), Err(HelloError::WrongType { key: "in_flight" }));
    assert_eq!(Hello::decode(&[0x80]), Err(HelloError::NoVersion));
    assert_eq!(Hello::decode(&[0x90]), Err(HelloError::NotAMap));
    assert_eq!(Hello::decode(&[]), Err(HelloError::NotAMap));
}

#[test]
fn one_that_is_cut_anywhere_is_refused() {
    let bytes = bytes_of(&full());
    for end in 0..bytes.len() {
        assert!(Hello::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn a_long_one_is_refused() {
    let name = "x".repeat(MAX_HELLO_BYTES);
    let long = Hello { name, ..full() };
    let refused = Hello::decode(&bytes_of(&long));
    assert!(matches!(refused, Err(HelloError::TooLarge { bytes }) if bytes > MAX_HELLO_BYTES), "{refused:?}");
    let mut params = Vec::new();
    long.append_params(&mut params);
    assert!(matches!(Hello::decode_params(&params), Err(HelloError::TooLarge { .. })));
}

#[test]
fn both_use_what_both_have_named_within_the_lower_limits() {
    let ours = Hello { extensions: [Extension::Meta, Extension::Cancel].into_iter().collect(), ..full() };
    let theirs = Hello {
        extensions: [Extension::Cancel, Extension::Streams].into_iter().collect(),
        limits: HelloLimits { frame_bytes: 1000, in_flight: 1000, window_bytes: u64::MAX },
        ..full()
    };
    let agreed = ours.agree(&theirs);
    assert_eq!(agreed, theirs.agree(&ours));
    assert_eq!(agreed.extensions.iter().collect::<Vec<_>>(), [Extension::Cancel]);
    assert_eq!(agreed.limits, HelloLimits { frame_bytes: 1000, in_flight: 256, window_bytes: 65_536 });
}

#[test]
fn a_set_knows_what_is_in_it() {
    assert!(ExtensionSet::PLAIN.is_empty());
    assert_eq!(ExtensionSet::default(), ExtensionSet::PLAIN);
    let set: ExtensionSet = [Extension::GoAway, Extension::Meta].into_iter().collect();
    assert!(set.contains(Extension::GoAway) && !set.contains(Extension::Streams));
    assert_eq!(format!("{set:?}"), r#"{"meta", "goaway"}"#);
    assert_eq!(ExtensionSet::all().iter().count(), Extension::ALL.len());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Hello::decode(&bytes);
        let _ = Hello::decode_params(&bytes);
    }
}
