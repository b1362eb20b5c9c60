//! Records that wait to be sent, in order.

use super::buffers::Buffer;

/// Bytes between `start` and `end` of a buffer; none when there are no bytes.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Forgets bytes that have been sent, and gives the buffer back after the last.
    pub(super) fn sent(&mut self, count: usize) {
        self.start += count;
        if self.is_empty() {
            *self = Outgoing::default();
        }
    }

    /// Room for `len` bytes behind the others; [`put`](Self::put) says how many were put there.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        self.buffer.reserve(self.end + len);
        &mut self.buffer[self.end..]
    }

    pub(super) fn put(&mut self, count: usize) {
        self.end += count;
    }

    /// Puts bytes behind the others.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
            self.put(bytes.len());
        }
    }
}
