//! The write side.

use std::io::{self, IoSlice, Read, Write};

use super::errors::WriteLimit;
use super::read_buffer::BLOCK;
use super::stream::BufStream;

/// When what is written is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// At once.
    Unbuffered,
    /// When a line ends, or 8 KiB have come without an end.
    Line,
    /// When more than this many bytes have come. Zero is as good as unbuffered.
    Bytes(usize),
    /// At a flush and no sooner; a write that would need more room than `limit` is refused with [`WriteLimit`].
    UntilFlush {
        /// The most that is held, in bytes.
        limit: usize,
    },
}

impl Default for WriteMode {
    /// Blocks of 8 KiB.
    fn default() -> WriteMode {
        WriteMode::Bytes(BLOCK)
    }
}

/// `storage[sent..]` waits to be sent.
pub(super) struct WriteBuffer {
    mode: WriteMode,
    storage: Vec<u8>,
    sent: usize,
}

impl WriteBuffer {
    pub(super) fn new(mode: WriteMode) -> WriteBuffer {
        WriteBuffer { mode, storage: Vec::new(), sent: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.storage.len() - self.sent
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.storage.drain(..self.sent);
        self.sent = 0;
        std::mem::take(&mut self.storage)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.storage.drain(..self.sent);
        self.sent = 0;
        self.storage.extend_from_slice(bytes);
    }

    fn forget(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.storage.clear();
            self.sent = 0;
            // One large message is no reason to keep its room for ever.
            if self.storage.capacity() > 8 * BLOCK {
                self.storage = Vec::new();
            }
        }
    }

    /// Sends all there is.
    fn send(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while !self.is_empty() {
            match stream.write(&self.storage[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.forget(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends all there is and then some of `bytes`, in one system call where the stream takes it; says how many of `bytes`.
    fn send_with(&mut self, stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        while !self.is_empty() {
            let held = self.len();
            let count = stream.write_vectored(&[IoSlice::new(&self.storage[self.sent..]), IoSlice::new(bytes)])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.forget(count.min(held));
            if count > held {
                return Ok(count - held);
            }
        }
        stream.write(bytes)
    }

    fn write(&mut self, stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        match self.mode {
            WriteMode::Unbuffered => self.send_with(stream, bytes),
            WriteMode::Line => self.write_lines(stream, bytes),
            WriteMode::Bytes(limit) => self.hold_or_send(stream, bytes, limit),
            WriteMode::UntilFlush { limit } if bytes.len() > limit.saturating_sub(self.len()) => {
                Err(WriteLimit { buffered: self.len(), refused: bytes.len(), limit }.into())
            }
            WriteMode::UntilFlush { .. } => {
                self.push(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn hold_or_send(&mut self, stream: &mut impl Write, bytes: &[u8], limit: usize) -> io::Result<usize> {
        if bytes.len() > limit.saturating_sub(self.len()) {
            return self.send_with(stream, bytes);
        }
        self.push(bytes);
        Ok(bytes.len())
    }

    /// Takes no part of a line's beginning before the lines in front of it have been sent, so that an error loses nothing.
    fn write_lines(&mut self, stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        match memchr::memrchr(b'\n', bytes) {
            Some(end) => self.send_with(stream, &bytes[..=end]),
            None => self.hold_or_send(stream, bytes, BLOCK),
        }
    }
}

impl<S: Read + Write> BufStream<S> {
    /// When what is written is sent.
    pub fn write_mode(&self) -> WriteMode {
        self.output.mode
    }

    /// Changes when what is written is sent, from the next write on. Sends nothing.
    pub fn set_write_mode(&mut self, mode: WriteMode) {
        self.output.mode = mode;
    }

    /// How many bytes have been written and not been sent.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }
}

impl<S: Read + Write> Write for BufStream<S> {
    /// Takes bytes as the [`WriteMode`] says.
    ///
    /// After an error nothing of `bytes` has been taken. Unwinds while it waits for the stream.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let (stream, _, output) = self.split();
        output.write(stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let (stream, _, output) = self.split();
        output.send(stream)?;
        stream.flush()
    }
}
