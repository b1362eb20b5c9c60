//! The body of a response as it goes out: whole, from a reader, or streamed by the handler, and framed as the head says.

use std::fmt;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use http::StatusCode;

use crate::output::{Mark, Output};
use crate::proto::{ChunkEncoder, ResponseFraming, ResponsePlan};
use crate::response::Response;
use crate::stream::Stream;

/// How much of a stream is gathered into one chunk.
const CHUNK: usize = 8 << 10;

/// Why a body could not be sent to its end.
pub(crate) enum SendError {
    /// The peer does not take it.
    Connection(io::Error),
    /// The handler's reader does not give it.
    Reader(io::Error),
}

/// Sends a whole body after a head that has been gathered.
pub(crate) fn send_bytes(
    stream: &Stream,
    output: &mut Output,
    bytes: &[u8],
    framing: ResponseFraming,
    sent: &mut u64,
) -> Result<(), SendError> {
    if framing == ResponseFraming::None || bytes.is_empty() {
        return Ok(());
    }
    output.send(stream, bytes).map_err(SendError::Connection)?;
    *sent = bytes.len() as u64;
    Ok(())
}

/// Sends a body as its reader gives it.
pub(crate) fn send_reader(
    stream: &Stream,
    output: &mut Output,
    reader: &mut dyn Read,
    framing: ResponseFraming,
    sent: &mut u64,
) -> Result<(), SendError> {
    if framing == ResponseFraming::None {
        return Ok(());
    }
    let mut writer = FramedWriter::new(stream, output, framing, sent);
    let mut block = [0; CHUNK];
    loop {
        let room = writer.room().min(block.len() as u64);
        if room == 0 {
            break;
        }
        match reader.read(&mut block[..room as usize]) {
            Ok(0) => break,
            Ok(len) => writer.write_all(&block[..len]).map_err(SendError::Connection)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SendError::Reader(error)),
        }
    }
    writer.check_length().map_err(SendError::Reader)?;
    writer.finish().map_err(SendError::Connection)
}

/// Frames a stream of bytes.
pub(crate) struct FramedWriter<'a> {
    stream: &'a Stream,
    output: &'a mut Output,
    framing: ResponseFraming,
    /// The bytes of the next chunk.
    chunk: Vec<u8>,
    sent: &'a mut u64,
}

impl<'a> FramedWriter<'a> {
    /// Counts in `sent`, which starts at zero, the bytes of the body as they are taken.
    pub(crate) fn new(
        stream: &'a Stream,
        output: &'a mut Output,
        framing: ResponseFraming,
        sent: &'a mut u64,
    ) -> FramedWriter<'a> {
        FramedWriter { stream, output, framing, chunk: Vec::new(), sent }
    }

    /// How many more bytes the framing takes.
    fn room(&self) -> u64 {
        match self.framing {
            ResponseFraming::Length(length) => length - *self.sent,
            ResponseFraming::None | ResponseFraming::Chunked | ResponseFraming::UntilClose => u64::MAX,
        }
    }

    fn check_length(&self) -> io::Result<()> {
        match self.framing {
            ResponseFraming::Length(length) if *self.sent < length => {
                let what = format!("response body: it ended after {} of {length} bytes", self.sent);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
            }
            _ => Ok(()),
        }
    }

    fn write_chunked(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.chunk.len() + bytes.len() < CHUNK {
            self.chunk.extend_from_slice(bytes);
            return Ok(());
        }
        self.end_chunk()?;
        self.send_chunk(bytes)
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        let sent = self.send_chunk(&chunk);
        chunk.clear();
        self.chunk = chunk;
        sent
    }

    fn send_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(len) = NonZeroUsize::new(bytes.len()) else { return Ok(()) };
        let mut encoder = ChunkEncoder::new();
        encoder.begin_chunk(self.output.gathered(), len);
        self.output.send(self.stream, bytes)?;
        encoder.end_chunk(self.output.gathered());
        Ok(())
    }

    /// Ends the body.
    fn finish(mut self) -> io::Result<()> {
        self.check_length()?;
        if self.framing == ResponseFraming::Chunked {
            self.end_chunk()?;
            ChunkEncoder::new().finish(self.output.gathered());
        }
        Ok(())
    }
}

impl Write for FramedWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.framing {
            // Nothing is sent, so nothing is counted either.
            ResponseFraming::None => return Ok(buf.len()),
            ResponseFraming::Length(length) if buf.len() as u64 > self.room() => {
                let what = format!("response body: longer than the {length} bytes of its content-length");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            ResponseFraming::Length(_) | ResponseFraming::UntilClose => self.output.send(self.stream, buf)?,
            ResponseFraming::Chunked => self.write_chunked(buf)?,
        }
        *self.sent += buf.len() as u64;
        Ok(buf.len())
    }

    /// Sends everything written so far to the peer.
    fn flush(&mut self) -> io::Result<()> {
        self.end_chunk()?;
        self.output.flush(self.stream)
    }
}

/// How far a response that a handler streams has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    NotStarted,
    /// The body is not complete.
    Streaming(Begun),
    Finished(Begun),
}

/// A response whose head has been encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) status: StatusCode,
    pub(crate) plan: ResponsePlan,
    /// Where it begins in the output.
    pub(crate) mark: Mark,
}

/// Sends a response while the handler runs; made by `Request::stream`.
///
/// What is written is gathered and goes out in pieces of some kilobytes, or when it is flushed.
/// It has to be finished. When it is dropped before and a part is out, the connection is broken off,
/// so that the peer can tell; else what the handler returns is sent in its place.
pub struct ResponseWriter<'a> {
    pub(crate) framed: FramedWriter<'a>,
    pub(crate) begun: Begun,
    pub(crate) progress: &'a mut Progress,
}

impl ResponseWriter<'_> {
    /// Ends the body; the handler then returns what this gives it.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when less was written than the response's content-length says;
    /// what the connection says.
    pub fn finish(self) -> io::Result<Response> {
        self.framed.finish()?;
        *self.progress = Progress::Finished(self.begun);
        Ok(Response::sent())
    }
}

impl Write for ResponseWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.framed.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.framed.flush()
    }
}

impl fmt::Debug for ResponseWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseWriter({} bytes so far)", self.framed.sent)
    }
}
