//! The buffers that all connections of a thread share: one holds some only while bytes go through it.
//!
//! # Invariants
//!
//! - A buffer is initialised over its whole length, once, so that using it costs no clearing.
//! - What a thread keeps for later is bounded.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// What is read at a time at most, behind the beginning of a record that waits for its end.
pub(super) const READ_SIZE: usize = 64 << 10;

/// The size of a fresh buffer: what is read at a time, or four records with their overhead, and a record before them.
const BUFFER_SIZE: usize = READ_SIZE + (20 << 10);

/// How many buffers a thread keeps.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer borrowed from the thread; empty ones cost nothing.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// A buffer of some size.
    pub(super) fn take() -> Buffer {
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Buffer(kept.unwrap_or_else(|| vec![0; BUFFER_SIZE]))
    }

    /// Makes it at least this long.
    pub(super) fn reserve(&mut self, len: usize) {
        if self.0.is_empty() {
            *self = Buffer::take();
        }
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.len() != BUFFER_SIZE {
            return;
        }
        // At the end of the thread there may be nowhere to put it.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}
