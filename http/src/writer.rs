//! The response as it goes out: heads and small bodies gathered, large ones passed through, streams framed.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::num::NonZeroUsize;

use grapeshot_net::TcpStream;

use crate::proto::{ChunkEncoder, ResponseFraming, ResponsePlan};
use crate::response::{Response, ResponseBody};

/// Responses are gathered up to this size before they are written; pipelined ones share a write.
pub(crate) const GATHERED: usize = 32 << 10;

/// A body of up to this size is copied behind its head; a larger one is written from where it is.
const COPIED: usize = 16 << 10;

/// How much of a stream is gathered into one chunk.
const CHUNK: usize = 8 << 10;

/// Writes what has been gathered.
pub(crate) fn flush(stream: &TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    let mut stream = stream;
    let written = stream.write_all(output);
    output.clear();
    written
}

/// Sends a whole body after a head that has been gathered. The kinds that are no bytes send nothing.
///
/// # Errors
///
/// What the connection says; `UnexpectedEof` when a reader ended before the length it was given with;
/// what the reader says. The connection cannot be used after any of these.
pub(crate) fn send_body(
    stream: &TcpStream,
    output: &mut Vec<u8>,
    body: &mut ResponseBody,
    framing: ResponseFraming,
) -> io::Result<u64> {
    match (framing, body) {
        (ResponseFraming::None, _) => Ok(0),
        (_, ResponseBody::Static(bytes)) => send_bytes(stream, output, bytes),
        (_, ResponseBody::Bytes(bytes)) => send_bytes(stream, output, bytes),
        (framing, ResponseBody::Reader { reader, .. }) => send_reader(stream, output, reader, framing),
        (_, ResponseBody::Empty | ResponseBody::Sent | ResponseBody::Upgrade(_)) => Ok(0),
    }
}

fn send_bytes(stream: &TcpStream, output: &mut Vec<u8>, bytes: &[u8]) -> io::Result<u64> {
    if bytes.len() <= COPIED {
        output.extend_from_slice(bytes);
    } else {
        write_both(stream, output, bytes)?;
        output.clear();
    }
    Ok(bytes.len() as u64)
}

/// Writes two stretches of bytes with as few system calls as it takes, and copies neither.
fn write_both(mut stream: &TcpStream, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < first.len() {
        let slices = [IoSlice::new(&first[written..]), IoSlice::new(second)];
        match stream.write_vectored(&slices)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            len => written += len,
        }
    }
    stream.write_all(&second[written - first.len()..])
}

fn send_reader(
    stream: &TcpStream,
    output: &mut Vec<u8>,
    reader: &mut dyn Read,
    framing: ResponseFraming,
) -> io::Result<u64> {
    let mut writer = FramedWriter::new(stream, output, framing);
    match framing {
        ResponseFraming::Length(length) => io::copy(&mut reader.take(length), &mut writer)?,
        _ => io::copy(reader, &mut writer)?,
    };
    writer.finish()
}

/// Frames a stream of bytes.
pub(crate) struct FramedWriter<'a> {
    stream: &'a TcpStream,
    output: &'a mut Vec<u8>,
    framing: ResponseFraming,
    /// The bytes of the next chunk.
    chunk: Vec<u8>,
    sent: u64,
}

impl<'a> FramedWriter<'a> {
    pub(crate) fn new(stream: &'a TcpStream, output: &'a mut Vec<u8>, framing: ResponseFraming) -> FramedWriter<'a> {
        FramedWriter { stream, output, framing, chunk: Vec::new(), sent: 0 }
    }

    fn gather(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(bytes);
        if self.output.len() >= GATHERED {
            flush(self.stream, self.output)?;
        }
        Ok(())
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let Some(len) = NonZeroUsize::new(self.chunk.len()) else { return Ok(()) };
        let mut encoder = ChunkEncoder::new();
        encoder.begin_chunk(self.output, len);
        self.output.extend_from_slice(&self.chunk);
        encoder.end_chunk(self.output);
        self.chunk.clear();
        if self.output.len() >= GATHERED {
            flush(self.stream, self.output)?;
        }
        Ok(())
    }

    /// Ends the body, and says how long it was.
    fn finish(mut self) -> io::Result<u64> {
        match self.framing {
            ResponseFraming::Chunked => {
                self.end_chunk()?;
                ChunkEncoder::new().finish(self.output);
            }
            ResponseFraming::Length(length) if self.sent < length => {
                let what = format!("response body: it ended after {} of {length} bytes", self.sent);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            _ => {}
        }
        Ok(self.sent)
    }
}

impl Write for FramedWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.framing {
            ResponseFraming::None => {}
            ResponseFraming::Length(length) if self.sent + buf.len() as u64 > length => {
                let what = format!("response body: longer than the {length} bytes of its content-length");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            ResponseFraming::Length(_) | ResponseFraming::UntilClose => self.gather(buf)?,
            ResponseFraming::Chunked => {
                self.chunk.extend_from_slice(buf);
                if self.chunk.len() >= CHUNK {
                    self.end_chunk()?;
                }
            }
        }
        self.sent += buf.len() as u64;
        Ok(buf.len())
    }

    /// Sends everything written so far to the peer.
    fn flush(&mut self) -> io::Result<()> {
        self.end_chunk()?;
        flush(self.stream, self.output)
    }
}

/// How far a response that a handler streams has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    NotStarted,
    /// The head is out, the body is not complete.
    Streaming(ResponsePlan),
    Finished {
        plan: ResponsePlan,
        bytes: u64,
    },
}

/// Sends a response while the handler runs; made by `Request::stream`.
///
/// What is written is gathered and goes out in pieces of some kilobytes, or when it is flushed.
/// It has to be finished: dropped before, it breaks the connection off, so that the peer can tell.
pub struct ResponseWriter<'a> {
    pub(crate) framed: FramedWriter<'a>,
    pub(crate) plan: ResponsePlan,
    pub(crate) progress: &'a mut Progress,
}

impl ResponseWriter<'_> {
    /// Ends the body; the handler then returns what this gives it.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when less was written than the response's content-length says.
    pub fn finish(self) -> io::Result<Response> {
        let bytes = self.framed.finish()?;
        *self.progress = Progress::Finished { plan: self.plan, bytes };
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
