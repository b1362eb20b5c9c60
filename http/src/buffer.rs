//! The bytes of a connection that have been read and not yet used.

use std::io;

/// What a buffer starts with, and how much is asked of the socket at a time.
pub(crate) const BLOCK: usize = 8 << 10;

/// A growable window on a stream. Invariant: `start <= end <= bytes.len()`.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether the last read could have added more.
    pub(crate) fn has_room(&self) -> bool {
        self.end < self.bytes.len()
    }

    /// Marks the first `len` unread bytes as used.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Adds unread bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Lets `read` add to the unread bytes; the buffer doubles when it is full, up to `most` bytes.
    pub(crate) fn fill(&mut self, most: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let unread = self.end - self.start;
        let wanted = if unread * 2 > self.bytes.len() { (unread * 2).clamp(BLOCK, most.max(BLOCK)) } else { BLOCK };
        self.make_room(wanted.saturating_sub(unread).max(1));
        let read = read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// Makes sure that `len` more bytes fit.
    fn make_room(&mut self, len: usize) {
        if self.bytes.len() - self.end >= len {
            return;
        }
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.bytes.len() - self.end < len {
            self.bytes.resize((self.end + len).max(BLOCK), 0);
        }
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// How much memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_with(buffer: &mut Buffer, most: usize, byte: u8) -> usize {
        buffer
            .fill(most, |room| {
                room.fill(byte);
                Ok(room.len())
            })
            .unwrap()
    }

    #[test]
    fn a_full_buffer_doubles_up_to_its_bound() {
        let mut buffer = Buffer::default();
        assert_eq!(fill_with(&mut buffer, 4 * BLOCK, 1), BLOCK);
        assert_eq!(fill_with(&mut buffer, 4 * BLOCK, 2), BLOCK);
        assert_eq!(fill_with(&mut buffer, 4 * BLOCK, 3), 2 * BLOCK);
        assert_eq!(buffer.unread().len(), 4 * BLOCK);
    }

    #[test]
    fn unread_bytes_survive_moving_to_the_front() {
        let mut buffer = Buffer::default();
        fill_with(&mut buffer, BLOCK, 7);
        buffer.consume(BLOCK - 3);
        fill_with(&mut buffer, BLOCK, 8);
        assert_eq!(&buffer.unread()[..4], [7, 7, 7, 8]);
    }

    #[test]
    fn a_used_up_buffer_starts_over() {
        let mut buffer = Buffer::default();
        buffer.append(b"abc");
        buffer.consume(3);
        assert!(buffer.is_empty());
        assert_eq!(fill_with(&mut buffer, BLOCK, 1), BLOCK);
    }
}
