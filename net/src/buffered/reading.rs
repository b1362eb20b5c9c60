//! The read side.

use std::io::{self, BufRead, Read, Write};

use memchr::memmem;

use super::errors::ReadLimit;
use super::read_buffer::BLOCK;
use super::stream::BufStream;
use crate::whole::PartialRead;

/// All of these hand out what is buffered first, read from the stream only when that does not suffice, and may then suspend.
///
/// # Cancellation
///
/// Unwinds while it waits for the stream; what has been read stays in the buffer.
impl<S: Read + Write> BufStream<S> {
    /// Reads up to and including the next `"\n"`; less at the end of the stream, and nothing when that was reached before.
    ///
    /// # Errors
    ///
    /// [`ReadLimit`] for a line longer than `limit` bytes, its end included; what the stream fails with.
    pub fn read_line(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        self.read_until(b"\n", limit)
    }

    /// Reads up to and including `delimiter`; less at the end of the stream, and nothing when that was reached before.
    ///
    /// An empty delimiter is found at once.
    ///
    /// # Errors
    ///
    /// [`ReadLimit`] when the delimiter does not end within `limit` bytes; what the stream fails with.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Cursor;
    /// use grapeshot_net::BufStream;
    ///
    /// let mut stream = BufStream::new(Cursor::new(b"a\r\r\nb".to_vec()));
    /// assert_eq!(stream.read_until(b"\r\n", 80).unwrap(), b"a\r\r\n");
    /// let error = stream.read_until(b"\r\n", 1).unwrap_err();
    /// assert_eq!(error.to_string(), r#"reading up to "\r\n": it does not end within the limit of 1 bytes"#);
    /// ```
    pub fn read_until(&mut self, delimiter: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let finder = memmem::Finder::new(delimiter);
        // Where a delimiter may begin that has not been found yet.
        let mut searched = 0;
        loop {
            let bytes = self.buffer();
            let within = &bytes[..bytes.len().min(limit)];
            if let Some(at) = within.get(searched..).and_then(|rest| finder.find(rest)) {
                return Ok(self.input.take_front(searched + at + delimiter.len()));
            }
            if bytes.len() >= limit {
                return Err(ReadLimit { delimiter: delimiter.to_vec(), limit }.into());
            }
            searched = (bytes.len() + 1).saturating_sub(delimiter.len()).max(searched);
            if self.read_more()? == 0 {
                return Ok(self.take_buffered());
            }
        }
    }

    /// Reads exactly `count` bytes.
    ///
    /// Memory is taken as the bytes come, so that a count from the peer costs nothing by itself.
    ///
    /// # Errors
    ///
    /// [`PartialRead`], with the bytes there were, when the stream ends before; what the stream fails with.
    pub fn read_exact_vec(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if self.read_upto(count)? < count {
            return Err(PartialRead::at_end(self.take_buffered(), count));
        }
        Ok(self.input.take_front(count))
    }

    /// Reads once if nothing is buffered, and hands out at most `count` bytes; none at the end of the stream.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn read_at_most(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if self.buffer().is_empty() && count > 0 {
            self.read_more()?;
        }
        Ok(self.input.take_front(count))
    }

    /// Reads until at least `count` bytes are buffered or the stream ends, and says how many there are now.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn read_upto(&mut self, count: usize) -> io::Result<usize> {
        while self.buffer().len() < count && self.read_more()? > 0 {}
        Ok(self.buffer().len())
    }

    /// Reads once into the buffer, whatever is in it, and says how many bytes came; zero at the end of the stream.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub fn read_more(&mut self) -> io::Result<usize> {
        let (stream, input, _) = self.split();
        input.fill(stream)
    }

    /// Reads `count` bytes and throws them away; says how many there were until the end of the stream.
    ///
    /// # Errors
    ///
    /// What the stream fails with; those that were read before are gone.
    pub fn discard(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            if self.buffer().is_empty() && self.read_more()? == 0 {
                break;
            }
            let gone = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer().len());
            self.input.consume(gone);
            left -= gone as u64;
        }
        Ok(count - left)
    }

    /// The blocks that come until the end of the stream, what is buffered first.
    pub fn blocks(&mut self) -> Blocks<'_, S> {
        Blocks { stream: self }
    }
}

/// Nothing here reads from the stream, or suspends.
impl<S: Read + Write> BufStream<S> {
    /// What has been read and not been handed out.
    pub fn buffer(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Takes what has been read and not been handed out.
    pub fn take_buffered(&mut self) -> Vec<u8> {
        self.input.take()
    }

    /// Puts bytes in front of those that are read next.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.input.put_back(bytes);
    }

    /// Where `needle` first begins in what is buffered.
    pub fn find(&self, needle: &[u8]) -> Option<usize> {
        memmem::find(self.buffer(), needle)
    }

    /// Where `needle` last begins in what is buffered.
    pub fn rfind(&self, needle: &[u8]) -> Option<usize> {
        memmem::rfind(self.buffer(), needle)
    }
}

/// The iterator of [`BufStream::blocks`].
#[derive(Debug)]
pub struct Blocks<'a, S: Read + Write> {
    stream: &'a mut BufStream<S>,
}

impl<S: Read + Write> Iterator for Blocks<'_, S> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match self.stream.read_at_most(usize::MAX) {
            Ok(block) if block.is_empty() => None,
            read => Some(read),
        }
    }
}

impl<S: Read + Write> Read for BufStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A copy saved, where the reader's room is as large as the buffer's.
        if self.buffer().is_empty() && buf.len() >= BLOCK {
            return self.inner_mut().read(buf);
        }
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl<S: Read + Write> BufRead for BufStream<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            self.read_more()?;
        }
        Ok(self.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }
}
