//! Items one behind the other in one buffer, which is kept for the next ones: none is an allocation of its own.
//!
//! ```text
//!   length │ item │ filled up to a word │ length │ item │ …
//! ```

/// How many bytes an item's length takes in a buffer: 2^48 is beyond every limit.
const LENGTH_BYTES: usize = 6;

/// Each item's place in a buffer begins at a multiple of this.
///
/// With six bytes of length, and two of its own head, a text of up to 255 bytes then begins at one as well. Whether it is
/// UTF-8 is looked at by words from there, and byte by byte before: of a text of 64 bytes that is half of the work.
const PLACE_BYTES: usize = 8;

/// What a place takes beside its item at most.
pub(super) const BESIDE_BYTES: usize = LENGTH_BYTES + PLACE_BYTES;

/// A buffer of items.
#[derive(Default)]
pub(super) struct Places {
    /// What lies behind `end` was written before, and will be again.
    bytes: Vec<u8>,
    end: usize,
}

impl Places {
    /// Appends an item.
    #[inline]
    pub(super) fn push(&mut self, item: &[u8]) {
        let start = self.end;
        let end = end_of_place(start + LENGTH_BYTES + item.len());
        if end > self.bytes.len() {
            self.grow(end);
        }
        let place = &mut self.bytes[start..end];
        // A whole word is quicker than six bytes, and the item comes over the rest of it.
        place[..PLACE_BYTES].copy_from_slice(&(item.len() as u64).to_le_bytes());
        place[LENGTH_BYTES..LENGTH_BYTES + item.len()].copy_from_slice(item);
        self.end = end;
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.bytes.resize(end.max(2 * self.bytes.len()), 0);
    }

    /// Where the item begins whose place begins at `position`, and its length; `None` behind the last.
    #[inline]
    pub(super) fn find(&self, position: usize) -> Option<(usize, usize)> {
        if position >= self.end {
            return None;
        }
        // The first two bytes of the item, or what its place is filled up with, are cut off again.
        let word = u64::from_le_bytes(*self.bytes.get(position..)?.first_chunk()?);
        let length = usize::try_from(word & ((1 << (8 * LENGTH_BYTES)) - 1)).ok()?;
        Some((position + LENGTH_BYTES, length))
    }

    /// The item that lies there.
    #[inline]
    pub(super) fn item(&self, start: usize, length: usize) -> &[u8] {
        &self.bytes[start..][..length]
    }

    /// Where the last place ends.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Forgets the items and keeps the buffer.
    pub(super) fn clear(&mut self) {
        self.end = 0;
    }

    /// How much memory the buffer takes.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Where the place of an item ends that ends there.
#[inline]
pub(super) fn end_of_place(end: usize) -> usize {
    // `next_multiple_of` asks whether it is one already.
    (end + PLACE_BYTES - 1) & !(PLACE_BYTES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_give_back_items_of_every_length_and_begin_texts_at_words() {
        let items: Vec<Vec<u8>> = (0..300).map(|length| vec![0xff; length]).collect();
        let mut places = Places::default();
        for _ in 0..2 {
            items.iter().for_each(|item| places.push(item));
            let mut position = 0;
            for item in &items {
                let (start, length) = places.find(position).unwrap();
                // A text of up to 255 bytes has a head of two.
                assert_eq!((start + 2) % size_of::<usize>(), 0);
                assert_eq!(places.item(start, length), item);
                let next = end_of_place(start + length);
                assert!(next - position <= item.len() + BESIDE_BYTES);
                position = next;
            }
            assert_eq!(places.find(position), None);
            // A used buffer is as good as a new one.
            places.clear();
        }
    }
}
