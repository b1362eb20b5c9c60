//! Items of streams, found at one look: a stream is mostly small items, each with a message around it.
//!
//! What is found here is what [`Scanner`](super::Scanner) and [`Message::parse`] find; what is not is left to them.

use super::head::{Head, head};
use super::message::{CALLEE_ITEM, CALLER_ITEM, Message};

/// The message at the start of `bytes`, and its length, if it is an item that holds no other values, and whole, and has
/// no more than so many bytes.
///
/// ```
/// use grapeshot_rpc::proto::{Message, first_item};
///
/// let bytes = [0x93, 0x06, 0x01, 0x2a, 0x93, 0x06];
/// assert_eq!(first_item(&bytes, 1000), Some((Message::CalleeItem { id: 1, item: &[0x2a] }, 4)));
/// assert_eq!(first_item(&bytes[4..], 1000), None);
/// ```
#[inline]
pub fn first_item(bytes: &[u8], max_bytes: usize) -> Option<(Message<'_>, usize)> {
    let (kind, id, start) = item_head(bytes)?;
    let Head::Scalar(length) = head(bytes.get(start..)?) else { return None };
    let end = start.checked_add(length).filter(|&end| end <= max_bytes)?;
    Some((item(kind, id, bytes.get(start..end)?), end))
}

/// The message in a frame that a [`Scanner`](super::Scanner) has found, if it is an item of any kind.
///
/// The scanner has seen that the frame is one array with three values in it, so what follows the second is the third.
#[inline]
pub fn whole_item(frame: &[u8]) -> Option<Message<'_>> {
    let (kind, id, start) = item_head(frame)?;
    Some(item(kind, id, frame.get(start..)?))
}

/// Type, number of the call, and where the item begins.
#[inline]
fn item_head(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    const ARRAY_OF_3: u8 = 0x93;
    let [ARRAY_OF_3, kind @ (CALLER_ITEM | CALLEE_ITEM), lead, rest @ ..] = bytes else { return None };
    let (id, digits) = match lead {
        0..=0x7f => (u32::from(*lead), 0),
        0xcc => (u32::from(*rest.first()?), 1),
        0xcd => (u32::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        0xce => (u32::from_be_bytes(*rest.first_chunk()?), 4),
        _ => return None,
    };
    Some((*kind, id, 3 + digits))
}

#[inline]
fn item(kind: u8, id: u32, item: &[u8]) -> Message<'_> {
    match kind {
        CALLER_ITEM => Message::CallerItem { id, item },
        _ => Message::CalleeItem { id, item },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Scan, Scanner, append_callee_item, append_caller_item, append_response};
    use super::*;

    #[test]
    fn only_items_are_found() {
        let mut answer = Vec::new();
        append_response(&mut answer, 1, &[0xc0]);
        assert_eq!(first_item(&answer, 1000), None);
        assert_eq!(whole_item(&answer), None);
    }

    #[test]
    fn an_item_that_is_longer_than_the_limit_is_left_to_the_scanner() {
        let mut message = Vec::new();
        append_caller_item(&mut message, 1, &[0xa3, b'a', b'b', b'c']);
        assert!(first_item(&message, message.len()).is_some());
        assert_eq!(first_item(&message, message.len() - 1), None);
    }

    #[test]
    fn a_length_that_lies_is_left_to_the_scanner() {
        let bytes = [0x93, CALLER_ITEM, 1, 0xdb, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(first_item(&bytes, usize::MAX), None);
    }

    #[test]
    fn an_item_with_values_in_it_is_found_in_its_frame_alone() {
        let mut message = Vec::new();
        append_callee_item(&mut message, 7, &[0x92, 1, 2]);
        assert_eq!(first_item(&message, 1000), None);
        assert_eq!(whole_item(&message), Some(Message::CalleeItem { id: 7, item: &[0x92, 1, 2] }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_the_scanner_finds(
            start in prop::sample::select(vec![0x93_u8, 0x92, 0x94]),
            kind in 0_u8..12,
            rest in prop::collection::vec(any::<u8>(), 0..24),
        ) {
            let bytes = [&[start, kind], &*rest].concat();
            let scanned = Scanner::new(16, 8).scan(&bytes);
            if let Some((message, length)) = first_item(&bytes, 16) {
                prop_assert_eq!(scanned, Ok(Scan::Complete(length)));
                prop_assert_eq!(Message::parse(&bytes[..length]), Ok(message));
            }
            if let Ok(Scan::Complete(length)) = scanned && let Some(message) = whole_item(&bytes[..length]) {
                prop_assert_eq!(Message::parse(&bytes[..length]), Ok(message));
            }
        }

        #[test]
        fn every_item_is_found(id: u32, text in ".{0,300}", others in prop::collection::vec(any::<u8>(), 0..5)) {
            let mut value = Vec::new();
            rmp::encode::write_str(&mut value, &text).unwrap();
            let mut bytes = Vec::new();
            append_callee_item(&mut bytes, id, &value);
            let length = bytes.len();
            bytes.extend(others);
            let expected = Message::CalleeItem { id, item: &value };
            prop_assert_eq!(first_item(&bytes, length), Some((expected, length)));
            prop_assert_eq!(whole_item(&bytes[..length]), Some(expected));
            prop_assert!((0..length).all(|cut| first_item(&bytes[..cut], length).is_none()));
        }
    }
}
