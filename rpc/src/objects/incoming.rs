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

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> Framed {
        Framed::new(16 << 20)
    }

    /// Gives these pieces, one at a read, and then its end.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let Some(mut piece) = (!self.0.is_empty()).then(|| self.0.remove(0)) else { return Ok(0) };
            let rest = piece.split_off(piece.len().min(buf.len()));
            buf[..piece.len()].copy_from_slice(&piece);
            if !rest.is_empty() {
                self.0.insert(0, rest);
            }
            Ok(piece.len())
        }
    }

    #[test]
    fn memory_follows_what_has_come_not_what_was_announced() {
        let mut incoming = Incoming::default();
        let header = (16_u32 << 20).to_be_bytes().to_vec();
        assert!(incoming.frame(framed(), Pieces(vec![header, vec![7; 1000]])).is_err(), "it ends too early");
        assert!(incoming.buffer.len() <= 2 * LEAST_READ, "{}", incoming.buffer.len());
        assert!(incoming.frame(framed(), Pieces(vec![vec![7; 100_000]])).is_err());
        assert!(incoming.buffer.len() <= 2 * 101_004 + LEAST_READ, "{}", incoming.buffer.len());
    }

    #[test]
    fn a_large_buffer_is_given_back_when_it_is_empty() {
        let mut incoming = Incoming::default();
        let large = [&1_000_000_u32.to_be_bytes()[..], &[7; 1_000_000]].concat();
        let place = incoming.frame(framed(), Pieces(vec![large])).unwrap().unwrap();
        assert!(incoming.content(place) == [7; 1_000_000]);
        assert_eq!(incoming.frame(framed(), Pieces(Vec::new())).unwrap(), None);
        assert!(incoming.buffer.len() <= KEPT, "{}", incoming.buffer.len());
    }

    #[test]
    fn several_frames_of_one_read_come_one_after_the_other() {
        let mut incoming = Incoming::default();
        let mut pieces = Pieces(vec![b"\0\0\0\x01a\0\0\0\0\0\0\0\x02bc".to_vec()]);
        for expected in [&b"a"[..], b"", b"bc"] {
            let place = incoming.frame(framed(), &mut pieces).unwrap().unwrap();
            assert_eq!(incoming.content(place), expected);
        }
        assert_eq!(incoming.frame(framed(), &mut pieces).unwrap(), None);
    }

    #[test]
    fn an_interrupted_read_is_read_again() {
        struct Interrupted(bool);
        impl Read for Interrupted {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) { Ok(0) } else { Err(ErrorKind::Interrupted.into()) }
            }
        }
        assert_eq!(Incoming::default().frame(framed(), Interrupted(false)).unwrap(), None);
    }
}
