//! The stream and its two buffers.

use std::fmt;
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use grapeshot_core::{in_coroutine, with_timeout};

use super::read_buffer::ReadBuffer;
use super::writing::{WriteBuffer, WriteMode};

/// How long a stream that is dropped waits for its peer to take what is left.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// A stream with a read buffer and a write buffer.
///
/// The stream may be a socket, a reference to one (`BufStream<&TcpStream>`: one coroutine reads and another writes,
/// each with buffers of its own), or anything else that reads and writes.
///
/// Its own `read_line` and `read_until` take a limit, and hide those of [`BufRead`](std::io::BufRead), which have none.
/// A read does not flush: who asks a question flushes it before waiting for the answer.
///
/// # Drop
///
/// What is left in the write buffer is sent, as std's `BufWriter` does it, and an error is ignored: call
/// [`flush`](Write::flush) to see it.
/// The drop waits for a slow peer for at most 10 s, and unwinds when the coroutine is cancelled meanwhile.
/// While the coroutine unwinds nothing is sent: it cannot wait, and half a message helps nobody.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::{BufStream, memory};
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     spawn(move || {
///         let mut server = BufStream::new(far);
///         while let Ok(line) = server.read_line(1024) {
///             if line.is_empty() {
///                 return;
///             }
///             server.write_all(&line).unwrap();
///             server.flush().unwrap();
///         }
///     });
///     let mut client = BufStream::new(near);
///     writeln!(client, "hello").unwrap();
///     client.flush().unwrap();
///     assert_eq!(client.read_line(1024).unwrap(), b"hello\n");
/// });
/// ```
pub struct BufStream<S: Read + Write> {
    /// None only after `into_parts`.
    stream: Option<S>,
    pub(super) input: ReadBuffer,
    pub(super) output: WriteBuffer,
}

/// What [`BufStream::into_parts`] gives back.
#[derive(Debug)]
pub struct Parts<S> {
    /// The stream.
    pub stream: S,
    /// What has been read from it and not been handed out.
    pub unread: Vec<u8>,
    /// What has been written and not been sent.
    pub unsent: Vec<u8>,
}

impl<S: Read + Write> BufStream<S> {
    /// Puts buffers around a stream; writes are gathered into blocks of 8 KiB.
    pub fn new(stream: S) -> BufStream<S> {
        BufStream::with_mode(stream, WriteMode::default())
    }

    /// Puts buffers around a stream, and says when writes are sent.
    pub fn with_mode(stream: S, mode: WriteMode) -> BufStream<S> {
        BufStream { stream: Some(stream), input: ReadBuffer::default(), output: WriteBuffer::new(mode) }
    }

    /// The stream.
    pub fn inner(&self) -> &S {
        self.stream.as_ref().unwrap_or_else(|| unreachable!("only into_parts takes the stream"))
    }

    /// The stream, to change its settings; what is read from it here is missing in the buffer.
    pub fn inner_mut(&mut self) -> &mut S {
        self.split().0
    }

    /// The stream with what is in the buffers, for a change of protocol. Sends nothing, and never suspends.
    pub fn into_parts(mut self) -> Parts<S> {
        let unread = self.input.take();
        let unsent = self.output.take();
        let stream = self.stream.take().unwrap_or_else(|| unreachable!("only into_parts takes the stream"));
        Parts { stream, unread, unsent }
    }

    /// Sends what is in the write buffer and gives the stream back, with what has been read and not handed out.
    ///
    /// May suspend.
    ///
    /// # Errors
    ///
    /// What the stream fails with, and this stream, which can be flushed again.
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has not been sent is lost.
    pub fn into_inner(mut self) -> Result<(S, Vec<u8>), (BufStream<S>, io::Error)> {
        match self.flush() {
            Ok(()) => {
                let Parts { stream, unread, .. } = self.into_parts();
                Ok((stream, unread))
            }
            Err(error) => Err((self, error)),
        }
    }

    /// The stream and its buffers, to be borrowed apart.
    pub(super) fn split(&mut self) -> (&mut S, &mut ReadBuffer, &mut WriteBuffer) {
        let stream = self.stream.as_mut().unwrap_or_else(|| unreachable!("only into_parts takes the stream"));
        (stream, &mut self.input, &mut self.output)
    }
}

impl<S: Read + Write> Drop for BufStream<S> {
    fn drop(&mut self) {
        if self.stream.is_none() || self.output.is_empty() || thread::panicking() {
            return;
        }
        // Nobody is there to be told of an error.
        if in_coroutine() {
            let _ = with_timeout(DROP_LIMIT, || self.flush());
        } else {
            let _ = self.flush();
        }
    }
}

impl<S: Read + Write + fmt::Debug> fmt::Debug for BufStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufStream")
            .field("stream", &self.stream)
            .field("unread", &self.input.bytes().len())
            .field("unsent", &self.output.len())
            .finish()
    }
}
