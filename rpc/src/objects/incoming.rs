//! Frames out of a stream: a buffer that grows as bytes come, not as they are announced.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use super::error::ObjectError;
use crate::proto::Framed;

/// The least that is asked of the stream at a time.
const LEAST_READ: usize = 4 << 10;

/// A buffer that is larger than this is given back when it is empty.
const KEPT: usize = 64 << 10;

/// What has come and has not been taken.
///
/// A read that is cut off loses nothing: what it did not fill does not count.
#[derive(Default)]
pub(super) struct Incoming {
    /// The frames lie in `taken..filled`; what is behind is room.
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Incoming {
    /// Waits for a whole frame and takes it; where its content lies, until the next call. `None` at an end between frames.
    pub(super) fn frame(&mut self, framed: Framed, mut stream: impl Read) -> Result<Option<Range<usize>>, ObjectError> {
        loop {
            let held = &self.buffer[self.taken..self.filled];
            if let Some(content) = framed.first(held)? {
                let length = content.len();
                let end = self.taken + Framed::whole(length);
                self.taken = end;
                return Ok(Some(end - length..end));
            }
            let expected = framed.announced(held)?.map_or(0, Framed::whole);
            if self.read(expected, &mut stream)? == 0 {
                framed.end(&self.buffer[self.taken..self.filled])?;
                return Ok(None);
            }
        }
    }

    /// The bytes of a frame's content.
    pub(super) fn content(&self, place: Range<usize>) -> &[u8] {
        &self.buffer[place]
    }

    /// Reads once, where a frame of so many bytes is expected.
    fn read(&mut self, expected: usize, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room(expected);
        loop {
            match stream.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    self.filled += read.as_ref().copied().unwrap_or(0);
                    return read;
                }
            }
        }
    }

    /// Makes room for what is missing of a frame, though at most for as much again as has come of it.
    fn make_room(&mut self, expected: usize) {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        if self.filled == 0 && self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
        let room = expected.saturating_sub(self.filled).clamp(LEAST_READ, self.filled.max(LEAST_READ));
        if self.buffer.len() < self.filled + room {
            self.buffer.resize(self.filled + room, 0);
        }
    }
}
