//! The bytes that wait to be sent: several small responses, or a piece of a large one.
//!
//! A [`Mark`] made before a response is begun lets it be taken back as long as no byte of it is out,
//! so that a handler that fails late can still be answered for.
//!
//! A write that fails, or that a cancellation cuts off, may have sent a part; nothing can follow it in good order.
//! So it is the last: every later one fails as well, whatever the handler makes of the error.
//!
//! A peer that takes a response more slowly than the [`Limits`] ask for is such a failure too.

use std::io;

use crate::Limits;
use crate::pace::Pace;
use crate::stream::Stream;

/// Bytes are gathered up to this many before they are written; pipelined responses share a write.
pub(crate) const GATHERED: usize = 32 << 10;

/// Up to this many bytes are copied behind those that wait; more are written from where they are.
const COPIED: usize = 16 << 10;

/// What waits to be sent on one connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    gathered: Vec<u8>,
    /// Rises with every write.
    writes: u64,
    /// A write has not come to its end.
    is_broken: bool,
    pace: Pace,
}

/// A place in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    len: usize,
    writes: u64,
}

impl Output {
    /// Begins to measure how fast the peer takes a response.
    pub(crate) fn begin_response(&mut self, limits: &Limits) {
        self.pace = Pace::new(limits);
    }

    pub(crate) fn len(&self) -> usize {
        self.gathered.len()
    }

    /// Where heads and chunk sizes are written to.
    pub(crate) fn gathered(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    /// Names the place where a response begins.
    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.gathered.len(), writes: self.writes }
    }

    /// Forgets what has been gathered since the mark, and says whether that was all there was.
    pub(crate) fn take_back(&mut self, mark: Mark) -> bool {
        let all_is_here = self.writes == mark.writes;
        // Everything from before the mark went out with the first write after it.
        self.gathered.truncate(if all_is_here { mark.len } else { 0 });
        all_is_here
    }

    /// Adds bytes; writes when many wait, and copies no large ones.
    #[inline]
    pub(crate) fn send(&mut self, stream: &Stream, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > COPIED {
            return self.write_with(stream, bytes);
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHERED { Ok(()) } else { self.flush(stream) }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self, stream: &Stream) -> io::Result<()> {
        if self.gathered.is_empty() { Ok(()) } else { self.write_with(stream, &[]) }
    }

    /// Writes what waits, and `bytes` after it.
    fn write_with(&mut self, stream: &Stream, bytes: &[u8]) -> io::Result<()> {
        self.writes += 1;
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write to this connection failed"));
        }
        let written = stream.write_paced(&self.gathered, bytes, &mut self.pace);
        self.gathered.clear();
        self.is_broken = written.is_err();
        written
    }

    /// Whether a write has failed or was cut off.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Forgets everything, for another connection.
    pub(crate) fn clear(&mut self) {
        self.gathered.clear();
        self.is_broken = false;
    }

    /// How much memory it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.gathered.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_out_can_be_taken_back() {
        let mut output = Output::default();
        output.gathered().extend_from_slice(b"whole");
        let mark = output.mark();
        output.gathered().extend_from_slice(b"half");
        assert!(output.take_back(mark));
        assert_eq!(output.gathered(), b"whole");
    }

    #[test]
    fn what_is_out_cannot_be_taken_back_and_the_rest_is_dropped() {
        let mut output = Output::default();
        output.gathered().extend_from_slice(b"whole");
        let mark = output.mark();
        (output.writes, output.gathered) = (1, b"the rest of what was begun".to_vec());
        assert!(!output.take_back(mark));
        assert_eq!(output.len(), 0);
    }
}
