//! Items of streams, found at one look: a stream is mostly small items, each with a message around it.
//!
//! What is found here is what [`Scanner`](super::Scanner) and [`Message::parse`] find; what is not is left to them.

use super::head::{Head, head};
use super::message::{CALLEE_ITEM, CALLER_ITEM, Message};

/// Messages with items of one stream, one behind the other: an iterator over the items, which borrow from them.
///
/// It ends before the first message that is another one, or is not whole, or has an item that holds other values.
///
/// ```
/// use grapeshot_rpc::proto::ItemRun;
///
/// let bytes = [0x93, 0x06, 0x01, 0x2a, 0x93, 0x06, 0x01, 0x2b, 0x93, 0x06];
/// let mut run = ItemRun::at_start(&bytes, 1000).expect("it begins with an item");
/// assert_eq!((run.is_from_callee(), run.id()), (true, 1));
/// assert!(run.by_ref().eq([&[0x2a], &[0x2b]]));
/// assert_eq!(run.passed(), 8);
/// ```
#[derive(Clone, Debug)]
pub struct ItemRun<'b> {
    bytes: &'b [u8],
    passed: usize,
    max_bytes: usize,
    head: ItemHead,
    /// The first bytes of all, if there are as many.
    first_word: u64,
}

impl<'b> ItemRun<'b> {
    /// The messages at the start of `bytes` that have at most so many bytes each, if the first is an item.
    /// There may be none, as it need not be whole.
    #[inline]
    pub fn at_start(bytes: &'b [u8], max_bytes: usize) -> Option<ItemRun<'b>> {
        let head = ItemHead::at_start(bytes)?;
        let first_word = bytes.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
        Some(ItemRun { bytes, passed: 0, max_bytes, head, first_word })
    }

    /// Whether the callee sends them, and not the caller.
    #[inline]
    pub fn is_from_callee(&self) -> bool {
        self.head.kind == CALLEE_ITEM
    }

    /// The number of the call that they belong to.
    #[inline]
    pub fn id(&self) -> u32 {
        self.head.id
    }

    /// How many bytes the messages take whose items it has given.
    #[inline]
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Whether the next message begins as the first one does.
    #[inline]
    fn goes_on(&self, rest: &[u8]) -> bool {
        match rest.first_chunk() {
            // One look at a word instead of one at each part: a head has at most seven bytes.
            Some(word) => (u64::from_be_bytes(*word) ^ self.first_word) >> (64 - 8 * self.head.bytes) == 0,
            None => ItemHead::at_start(rest) == Some(self.head),
        }
    }
}

impl<'b> Iterator for ItemRun<'b> {
    type Item = &'b [u8];

    #[inline]
    fn next(&mut self) -> Option<&'b [u8]> {
        let rest = self.bytes.get(self.passed..)?;
        if !self.goes_on(rest) {
            return None;
        }
        let value = rest.get(self.head.bytes..)?;
        let Head::Scalar(length) = head(value) else { return None };
        let item = value.get(..length)?;
        let message_bytes = self.head.bytes + length;
        if message_bytes > self.max_bytes {
            return None;
        }
        self.passed += message_bytes;
        Some(item)
    }
}

/// The message in a frame that a [`Scanner`](super::Scanner) has found, if it is an item of any kind.
///
/// The scanner has seen that the frame is one array with three values in it, so what follows the second is the third.
#[inline]
pub fn whole_item(frame: &[u8]) -> Option<Message<'_>> {
    let head = ItemHead::at_start(frame)?;
    let (id, item) = (head.id, frame.get(head.bytes..)?);
    Some(if head.kind == CALLEE_ITEM { Message::CalleeItem { id, item } } else { Message::CallerItem { id, item } })
}

/// What comes before the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ItemHead {
    kind: u8,
    id: u32,
    bytes: usize,
}

impl ItemHead {
    #[inline]
    fn at_start(bytes: &[u8]) -> Option<ItemHead> {
        const ARRAY_OF_3: u8 = 0x93;
        let [ARRAY_OF_3, kind @ (CALLER_ITEM | CALLEE_ITEM), lead, rest @ ..] = bytes else { return None };
        let (id, digits) = match lead {
            0..=0x7f => (u32::from(*lead), 0),
            0xcc => (u32::from(*rest.first()?), 1),
            0xcd => (u32::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            0xce => (u32::from_be_bytes(*rest.first_chunk()?), 4),
            _ => return None,
        };
        Some(ItemHead { kind: *kind, id, bytes: 3 + digits })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Scan, Scanner, append_callee_item, append_caller_item, append_response};
    use super::*;

    /// The items at the start of `bytes`, and how many bytes their messages take.
    fn run(bytes: &[u8], max_bytes: usize) -> (Vec<&[u8]>, usize) {
        ItemRun::at_start(bytes, max_bytes).map_or((vec![], 0), |mut run| (run.by_ref().collect(), run.passed()))
    }

    #[test]
    fn only_items_are_found() {
        let mut answer = Vec::new();
        append_response(&mut answer, 1, &[0xc0]);
        assert!(ItemRun::at_start(&answer, 1000).is_none());
        assert_eq!(whole_item(&answer), None);
    }

    #[test]
    fn an_item_that_is_longer_than_the_limit_is_left_to_the_scanner() {
        let mut message = Vec::new();
        append_caller_item(&mut message, 1, &[0xa3, b'a', b'b', b'c']);
        assert_eq!(run(&message, message.len()).1, message.len());
        assert_eq!(run(&message, message.len() - 1), (vec![], 0));
    }

    #[test]
    fn a_length_that_lies_is_left_to_the_scanner() {
        let bytes = [0x93, CALLER_ITEM, 1, 0xdb, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(run(&bytes, usize::MAX), (vec![], 0));
    }

    #[test]
    fn an_item_with_values_in_it_is_found_in_its_frame_alone() {
        let mut message = Vec::new();
        append_callee_item(&mut message, 7, &[0x92, 1, 2]);
        assert_eq!(run(&message, 1000), (vec![], 0));
        assert_eq!(whole_item(&message), Some(Message::CalleeItem { id: 7, item: &[0x92, 1, 2] }));
    }

    #[test]
    fn a_run_ends_where_another_stream_begins_or_the_other_direction_does() {
        let mut bytes = Vec::new();
        append_callee_item(&mut bytes, 300, &[1]);
        append_callee_item(&mut bytes, 300, &[2]);
        let passed = bytes.len();
        let mut others = [bytes.clone(), bytes];
        append_callee_item(&mut others[0], 301, &[3]);
        append_caller_item(&mut others[1], 300, &[3]);
        for bytes in others {
            assert_eq!(run(&bytes, 1000), (vec![&[1][..], &[2]], passed));
        }
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
            if let (items, 1..) = run(&bytes, 16) {
                let Ok(Scan::Complete(length)) = scanned else { panic!("{scanned:?}") };
                let (Message::CallerItem { item, .. } | Message::CalleeItem { item, .. }) =
                    Message::parse(&bytes[..length]).unwrap()
                else {
                    panic!("no item");
                };
                prop_assert_eq!(items[0], item);
            }
            if let Ok(Scan::Complete(length)) = scanned && let Some(message) = whole_item(&bytes[..length]) {
                prop_assert_eq!(Message::parse(&bytes[..length]), Ok(message));
            }
        }

        #[test]
        fn every_item_is_found(
            id: u32,
            texts in prop::collection::vec(".{0,300}", 1..4),
            others in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let (mut items, mut bytes, mut ends) = (Vec::new(), Vec::new(), vec![0]);
            for text in texts {
                let mut item = Vec::new();
                rmp::encode::write_str(&mut item, &text).unwrap();
                append_callee_item(&mut bytes, id, &item);
                prop_assert_eq!(
                    whole_item(&bytes[ends[items.len()]..]),
                    Some(Message::CalleeItem { id, item: &item })
                );
                items.push(item);
                ends.push(bytes.len());
            }
            for cut in 0..bytes.len() {
                let whole = ends.iter().filter(|&&end| (1..=cut).contains(&end)).count();
                prop_assert_eq!(run(&bytes[..cut], 1000), (items[..whole].iter().map(|item| &**item).collect(), ends[whole]));
            }
            let length = bytes.len();
            bytes.extend(others);
            prop_assert_eq!(run(&bytes, 2000), (items.iter().map(|item| &**item).collect(), length));
        }
    }
}
