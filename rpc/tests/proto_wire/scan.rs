use grapeshot_rpc::proto::{Scan, ScanError, Scanner};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use crate::values::{any_value, encoded, nested_arrays};

const LIMIT: usize = 1 << 20;

fn scan(bytes: &[u8]) -> Result<Scan, ScanError> {
    Scanner::new(LIMIT, 64).scan(bytes)
}

/// One value of every format, with bodies at and beside the ends of their lengths.
fn every_format() -> Vec<Vec<u8>> {
    let with_body = |head: &[u8], body: usize| [head, &vec![0x2a; body]].concat();
    vec![
        vec![0x00],
        vec![0x7f],
        vec![0xe0],
        vec![0xff],
        vec![0xc0],
        vec![0xc2],
        vec![0xc3],
        vec![0x80],
        vec![0x90],
        vec![0xa0],
        with_body(&[0x81], 2),
        with_body(&[0x8f], 30),
        with_body(&[0x9f], 15),
        with_body(&[0xbf], 31),
        with_body(&[0xc4, 0], 0),
        with_body(&[0xc4, 255], 255),
        with_body(&[0xc5, 1, 0], 256),
        with_body(&[0xc6, 0, 1, 0, 0], 65_536),
        with_body(&[0xc7, 3, 9], 3),
        with_body(&[0xc8, 1, 0, 9], 256),
        with_body(&[0xc9, 0, 1, 0, 0, 9], 65_536),
        with_body(&[0xca], 4),
        with_body(&[0xcb], 8),
        with_body(&[0xcc], 1),
        with_body(&[0xcd], 2),
        with_body(&[0xce], 4),
        with_body(&[0xcf], 8),
        with_body(&[0xd0], 1),
        with_body(&[0xd1], 2),
        with_body(&[0xd2], 4),
        with_body(&[0xd3], 8),
        with_body(&[0xd4, 9], 1),
        with_body(&[0xd5, 9], 2),
        with_body(&[0xd6, 9], 4),
        with_body(&[0xd7, 9], 8),
        with_body(&[0xd8, 9], 16),
        with_body(&[0xd9, 40], 40),
        with_body(&[0xda, 1, 0], 256),
        with_body(&[0xdb, 0, 0, 0, 3], 3),
        with_body(&[0xdc, 0, 20], 20),
        with_body(&[0xdd, 0, 0, 1, 0], 256),
        with_body(&[0xde, 0, 20], 40),
        with_body(&[0xdf, 0, 0, 1, 0], 512),
    ]
}

#[test]
fn every_format_ends_where_rmpv_says() {
    for bytes in every_format() {
        let mut rest = &bytes[..];
        rmpv::decode::read_value(&mut rest).expect("a value");
        assert!(rest.is_empty(), "{bytes:x?}");
        assert_eq!(scan(&bytes), Ok(Scan::Complete(bytes.len())), "{bytes:x?}");
    }
}

#[test]
fn every_format_may_come_byte_by_byte() {
    for bytes in every_format() {
        let mut scanner = Scanner::new(LIMIT, 64);
        for end in 0..bytes.len() {
            assert_eq!(scanner.scan(&bytes[..end]), Ok(Scan::NeedMore), "{end} bytes of {bytes:x?}");
        }
        assert_eq!(scanner.scan(&bytes), Ok(Scan::Complete(bytes.len())));
    }
}

#[test]
fn a_message_ends_before_the_next_one() {
    let mut scanner = Scanner::new(LIMIT, 64);
    let bytes = [0x92, 0x01, 0x91, 0xc0, 0x90, 0x05, 0x92];
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Complete(4)));
    assert_eq!(scanner.scan(&bytes[4..]), Ok(Scan::Complete(1)));
    assert_eq!(scanner.scan(&bytes[5..]), Ok(Scan::Complete(1)));
    assert_eq!(scanner.scan(&bytes[6..]), Ok(Scan::NeedMore));
}

/// A scanner that began again with each piece would need minutes for these.
#[test]
fn many_small_pieces_of_a_long_message_are_each_looked_at_once() {
    const VALUES: usize = 300_000;
    let mut bytes = vec![0xdd];
    bytes.extend_from_slice(&(VALUES as u32).to_be_bytes());
    bytes.resize(bytes.len() + VALUES, 0x01);
    let mut scanner = Scanner::new(LIMIT, 64);
    for end in 0..bytes.len() {
        assert_eq!(scanner.scan(&bytes[..end]), Ok(Scan::NeedMore));
    }
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Complete(bytes.len())));
}

#[test]
fn a_length_that_lies_is_refused_at_its_head() {
    let lies: &[&[u8]] = &[
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        // Just one byte too many.
        &[0xc6, 0x00, 0x0f, 0xff, 0xfc],
        &[0xdd, 0x00, 0x0f, 0xff, 0xfc],
        &[0xdf, 0x00, 0x07, 0xff, 0xfe],
    ];
    for head in lies {
        let error = scan(head).expect_err("a lie");
        assert!(matches!(error, ScanError::TooLarge { at: 0, bytes, limit: LIMIT } if bytes > LIMIT), "{error:?}");
        // The head alone is needed, and all of it.
        assert_eq!(scan(&head[..head.len() - 1]), Ok(Scan::NeedMore));
        // The refusal stays.
        let mut scanner = Scanner::new(LIMIT, 64);
        assert_eq!(scanner.scan(head), scanner.scan(head));
    }
    // With one byte less each of them is allowed.
    assert_eq!(scan(&[0xc6, 0x00, 0x0f, 0xff, 0xfb]), Ok(Scan::NeedMore));
    assert_eq!(scan(&[0xdd, 0x00, 0x0f, 0xff, 0xfb]), Ok(Scan::NeedMore));
    assert_eq!(scan(&[0xdf, 0x00, 0x07, 0xff, 0xfd]), Ok(Scan::NeedMore));
}

#[test]
fn arrays_that_lie_together_are_refused_before_their_values_come() {
    // Each array announces 400 values, and the second is the first one's first: 799 values and two heads of three bytes.
    let bytes = [0xdc, 0x01, 0x90, 0xdc, 0x01, 0x90];
    assert_eq!(Scanner::new(805, 64).scan(&bytes), Ok(Scan::NeedMore));
    assert_eq!(Scanner::new(804, 64).scan(&bytes), Err(ScanError::TooLarge { at: 3, bytes: 805, limit: 804 }));
}

#[test]
fn a_message_as_long_as_the_limit_is_allowed() {
    let bytes = [0x93, 0x01, 0xa2, b'h', b'i', 0xc0];
    assert_eq!(Scanner::new(6, 64).scan(&bytes), Ok(Scan::Complete(6)));
    assert_eq!(Scanner::new(5, 64).scan(&bytes), Err(ScanError::TooLarge { at: 2, bytes: 6, limit: 5 }));
}

#[test]
fn a_lower_limit_holds_from_the_next_head_on() {
    let mut scanner = Scanner::new(100, 64);
    assert_eq!(scanner.scan(&[0x92, 0x01]), Ok(Scan::NeedMore));
    scanner.set_max_bytes(3);
    assert_eq!(scanner.scan(&[0x92, 0x01, 0xcc]), Err(ScanError::TooLarge { at: 2, bytes: 4, limit: 3 }));
}

#[test]
fn depth_is_counted_for_arrays_and_maps_alike() {
    assert_eq!(scan(&nested_arrays(64)), Ok(Scan::Complete(65)));
    assert_eq!(scan(&nested_arrays(65)), Err(ScanError::TooDeep { at: 64, limit: 64 }));
    let maps = [0x81, 0x01].repeat(64);
    assert_eq!(scan(&maps), Ok(Scan::NeedMore));
    assert_eq!(scan(&[&maps[..], &[0x80]].concat()), Err(ScanError::TooDeep { at: 128, limit: 64 }));
    // One that follows another does not lie in it.
    let bytes = [&[0xdc, 0x03, 0xe8][..], &[0x91, 0x90].repeat(1000)].concat();
    assert_eq!(Scanner::new(LIMIT, 3).scan(&bytes), Ok(Scan::Complete(2003)));
}

#[test]
fn a_depth_bomb_costs_nothing() {
    let bytes = nested_arrays(LIMIT * 4);
    assert_eq!(scan(&bytes), Err(ScanError::TooDeep { at: 64, limit: 64 }));
    // Even where the limit on depth allows it, nothing recurses.
    let depth = LIMIT * 3;
    assert_eq!(Scanner::new(usize::MAX, depth).scan(&nested_arrays(depth)), Ok(Scan::Complete(depth + 1)));
}

#[test]
fn the_byte_that_is_never_used_is_refused_where_it_stands() {
    assert_eq!(scan(&[0xc1]), Err(ScanError::Reserved { at: 0 }));
    assert_eq!(scan(&[0x92, 0x01, 0xc1]), Err(ScanError::Reserved { at: 2 }));
    // In a body it is a byte as all others.
    assert_eq!(scan(&[0xc4, 0x01, 0xc1]), Ok(Scan::Complete(3)));
}

#[test]
fn errors_say_what_and_where() {
    let large = ScanError::TooLarge { at: 3, bytes: 805, limit: 804 };
    assert_eq!(large.to_string(), "the message has 805 bytes or more, as byte 3 says, and 804 are the limit");
    let deep = ScanError::TooDeep { at: 64, limit: 64 };
    assert_eq!(deep.to_string(), "more than 64 arrays and maps lie in each other at byte 64 of the message");
    let reserved = ScanError::Reserved { at: 2 };
    assert_eq!(reserved.to_string(), "byte 2 of the message is 0xc1, with which no MessagePack value begins");
}

proptest! {
    #[test]
    fn any_value_ends_where_rmpv_says_however_it_comes(value in any_value(), cuts in vec(any::<Index>(), 0..6)) {
        let bytes = encoded(&value);
        let followed = [&bytes[..], &[0x91, 0xc0]].concat();
        prop_assert_eq!(scan(&followed), Ok(Scan::Complete(bytes.len())));
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        ends.sort_unstable();
        let mut scanner = Scanner::new(LIMIT, 64);
        for end in ends {
            prop_assert_eq!(scanner.scan(&bytes[..end]), Ok(Scan::NeedMore));
        }
        prop_assert_eq!(scanner.scan(&followed), Ok(Scan::Complete(bytes.len())));
    }

    #[test]
    fn a_value_as_long_as_the_limit_is_allowed_and_a_longer_one_refused(value in any_value()) {
        let bytes = encoded(&value);
        prop_assert_eq!(Scanner::new(bytes.len(), 64).scan(&bytes), Ok(Scan::Complete(bytes.len())));
        let refused = Scanner::new(bytes.len() - 1, 64).scan(&bytes);
        let is_too_large = matches!(refused, Err(ScanError::TooLarge { bytes: least, .. }) if least <= bytes.len());
        prop_assert!(is_too_large, "{:?}", refused);
    }

    #[test]
    fn any_bytes_end_where_rmpv_says(bytes in vec(any::<u8>(), 0..60)) {
        let mut rest = &bytes[..];
        let second = rmpv::decode::read_value(&mut rest).ok().map(|_| bytes.len() - rest.len());
        match scan(&bytes) {
            Ok(Scan::Complete(length)) => prop_assert_eq!(Some(length), second),
            Ok(Scan::NeedMore) => prop_assert_eq!(None, second),
            // rmpv takes 0xc1 for nil, and knows no limit on bytes that it does not read.
            Err(ScanError::Reserved { at }) => prop_assert_eq!(bytes[at], 0xc1),
            Err(ScanError::TooLarge { bytes, .. }) => {
                prop_assert!(bytes > LIMIT);
                prop_assert_eq!(None, second);
            }
            Err(ScanError::TooDeep { .. }) => prop_assert!(false, "sixty bytes are not that deep"),
        }
    }
}
