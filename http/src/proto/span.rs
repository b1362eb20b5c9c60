//! A range of bytes in a connection's read buffer, in half the room of a `Range<usize>`.

/// The bytes from `start` up to `end`.
///
/// Four bytes each are enough, since a head is at most [`crate::Limits::MAX_HEAD_BYTES`] long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Where `part`, a slice of `buf`, lies in it.
    #[inline]
    pub(super) fn of(buf: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr() - buf.as_ptr().addr();
        Self::new(start, start + part.len())
    }

    #[inline]
    pub(super) fn of_buf(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }
}
