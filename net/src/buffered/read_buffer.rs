//! Bytes that have been read and not been handed out.

use std::io::{self, Read};

/// What one read asks the stream for, at least.
pub(super) const BLOCK: usize = 8192;

/// `storage[start..end]` has been read; what follows is room.
#[derive(Default)]
pub(super) struct ReadBuffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// Takes bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // One long line is no reason to keep its room for ever.
            if self.storage.len() > 8 * BLOCK {
                self.storage = Vec::new();
            }
        }
    }

    /// Takes bytes off the front, as many as there are and at most `count`.
    pub(super) fn take_front(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.bytes().len());
        let taken = self.bytes()[..count].to_vec();
        self.consume(count);
        taken
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.take_front(usize::MAX)
    }

    /// Puts bytes in front of the others.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.start {
            self.start -= bytes.len();
            self.storage[self.start..self.start + bytes.len()].copy_from_slice(bytes);
            return;
        }
        self.storage = [bytes, self.bytes()].concat();
        (self.start, self.end) = (0, self.storage.len());
    }

    /// Reads once, and says how many bytes came; zero at the end of the stream.
    pub(super) fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let read = loop {
            match stream.read(&mut self.storage[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        Ok(read)
    }

    fn make_room(&mut self) {
        if self.storage.len() - self.end >= BLOCK {
            return;
        }
        self.storage.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // Twice the size, so that the bytes of a long line are moved a few times and not once per block.
        let size = (self.end + BLOCK).max(2 * self.end);
        if self.storage.len() - self.end < BLOCK {
            self.storage.resize(size, 0);
        }
    }
}
