//! The body of an answer, read from the connection as the caller asks for it.
//!
//! # Invariants
//!
//! - `pending` bytes of data, already decoded, stand first in the connection's buffer.
//! - The connection is there until the body is over or has failed. Then it waits for another request if it can carry
//!   one, and is closed if not.
//! - The end is an end only where framing says so, or TLS; else the read fails. So a body read to its end is whole.

use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::now;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::connection::Connection;
use super::error::{ClientError, Phase};
use super::http_client::Shared;
use super::patience::{Patience, Wait};
use super::upload::Upload;
use crate::buffer::BLOCK;
use crate::proto::client::{ReceivedHead, ResponseDecoder};
use crate::proto::{BodyError, ResponseFraming, Step};

/// The body of an answer; `Read` gives it decoded.
///
/// Reading may suspend. It fails with a [`ClientError`] within the `io::Error` when the answer is cut off
/// (`UnexpectedEof`), breaks the framing or a limit on its size (`InvalidData`), or comes too slowly (`TimedOut`);
/// every read after that fails as well.
///
/// Dropped before its end, it closes the connection: to read what is left would cost more.
pub struct Body {
    source: Option<Source>,
    decoder: ResponseDecoder,
    framing: ResponseFraming,
    pending: usize,
    received: u64,
    waited: Duration,
    trailers: HeaderMap,
    failed: Option<(io::ErrorKind, String)>,
}

/// What a body needs as long as it goes on.
struct Source {
    connection: Connection,
    upload: Upload,
    keep_alive: bool,
    patience: Patience,
    shared: Rc<Shared>,
}

impl Body {
    pub(super) fn new(
        head: &ReceivedHead,
        connection: Connection,
        upload: Upload,
        patience: Patience,
        shared: Rc<Shared>,
    ) -> Result<Body, ClientError> {
        let decoder = ResponseDecoder::new(head.framing, &shared.limits.of_body()).map_err(ClientError::Body)?;
        let source = Source { connection, upload, keep_alive: head.keep_alive, patience, shared };
        let mut body = Body {
            source: Some(source),
            decoder,
            framing: head.framing,
            pending: 0,
            received: 0,
            waited: Duration::ZERO,
            trailers: HeaderMap::new(),
            failed: None,
        };
        body.finish_if_over();
        Ok(body)
    }

    /// Reads all of it; the limit on its size is [`ClientLimits::body_bytes`](super::ClientLimits::body_bytes).
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let expected = self.remaining().unwrap_or(0).min(1 << 20);
        let mut all = Vec::with_capacity(expected as usize);
        self.read_to_end(&mut all)?;
        Ok(all)
    }

    /// How many bytes are still to come, if the answer said so.
    pub fn remaining(&self) -> Option<u64> {
        self.decoder.left().map(|left| left + self.pending as u64)
    }

    /// Whether it has been read to its end.
    pub fn is_finished(&self) -> bool {
        self.source.is_none() && self.failed.is_none()
    }

    /// Whether nothing but the connection's end says where it ends.
    ///
    /// Over plain TCP nobody can tell the whole of such a body from a part of it, if the server or whoever stands in
    /// between closes the connection in good order (RFC 9112 section 8). Over TLS it is known.
    pub fn ends_with_connection(&self) -> bool {
        self.framing == ResponseFraming::UntilClose
    }

    /// The headers that came after the body (RFC 9112 section 7.1.2); empty before its end, and mostly after it.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    fn read_decoded(&mut self, buf: &mut [u8]) -> Result<usize, ClientError> {
        loop {
            let Some(source) = &mut self.source else { return Ok(0) };
            if self.pending > 0 {
                let len = self.pending.min(buf.len());
                buf[..len].copy_from_slice(&source.connection.buffer.unread()[..len]);
                source.connection.buffer.consume(len);
                self.pending -= len;
                self.finish_if_over();
                return Ok(len);
            }
            let unread = source.connection.buffer.unread();
            match self.decoder.decode(unread).map_err(ClientError::Body)? {
                Step::Data(range) => {
                    source.connection.buffer.consume(range.start);
                    self.pending = range.len();
                    self.received += range.len() as u64;
                }
                Step::Done { consumed, trailers } => {
                    self.trailers = read_trailers(&unread[trailers]);
                    source.connection.buffer.consume(consumed);
                    self.finish_if_over();
                }
                Step::NeedMore { consumed } => {
                    source.connection.buffer.consume(consumed);
                    match self.direct_room(buf.len()) {
                        0 => self.read_more()?,
                        room => return self.read_directly(&mut buf[..room]),
                    }
                }
            }
        }
    }

    /// How much may be read into the caller's buffer without a way round by ours: only data, and only if it is worth it.
    fn direct_room(&self, len: usize) -> usize {
        let data = match self.framing {
            ResponseFraming::UntilClose => len as u64,
            ResponseFraming::Length(_) => self.decoder.left().unwrap_or(0),
            ResponseFraming::Chunked | ResponseFraming::None => 0,
        };
        // No longer than the buffer, which a usize holds.
        let room = data.min(len as u64) as usize;
        if room >= BLOCK { room } else { 0 }
    }

    fn read_directly(&mut self, buf: &mut [u8]) -> Result<usize, ClientError> {
        let read = self.wait_for_more(|source, wait| {
            let limit = grapeshot_net::WaitLimit::At(wait.until);
            source
                .connection
                .transport
                .read_within(buf, limit)
                .map_err(|error| wait.failed(error, ClientError::Receive))
        })?;
        if read > 0 {
            self.decoder.decode(&buf[..read]).map_err(ClientError::Body)?;
            self.received += read as u64;
            self.finish_if_over();
        }
        Ok(read)
    }

    fn read_more(&mut self) -> Result<(), ClientError> {
        self.wait_for_more(|source, wait| {
            let limits = &source.shared.limits;
            source.connection.fill(limits.trailer_bytes.min(limits.head_bytes), wait)
        })?;
        Ok(())
    }

    /// Waits for bytes, at most as long as the limits allow; 0 when the body has ended with the connection.
    fn wait_for_more(
        &mut self,
        read: impl FnOnce(&mut Source, Wait) -> Result<usize, ClientError>,
    ) -> Result<usize, ClientError> {
        let Some(source) = &mut self.source else { return Ok(0) };
        let (limits, began) = (&source.shared.limits, now());
        let rate = limits.body_bytes_per_second.max(1);
        let earned = Duration::from_millis(self.received.saturating_mul(1000) / rate);
        let allowed = limits.body_grace.saturating_add(earned).saturating_sub(self.waited);
        let by_rate = allowed < limits.idle_timeout;
        let wait = source.patience.wait(Phase::Body, began, limits.idle_timeout.min(allowed));
        let read = read(source, wait);
        self.waited += now().saturating_duration_since(began);
        match read {
            Ok(0) => self.end_of_stream().map(|()| 0),
            Err(ClientError::TimedOut { phase: Phase::Body, .. }) if by_rate => {
                Err(ClientError::TooSlow { received: self.received, rate })
            }
            // Over TLS, an end that nobody announced.
            Err(ClientError::Receive(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.truncated()),
            read => read,
        }
    }

    fn end_of_stream(&mut self) -> Result<(), ClientError> {
        let unused = self.source.as_ref().map_or(0, |source| source.connection.buffer.unread().len());
        if self.decoder.end_of_stream(unused).is_err() {
            return Err(self.truncated());
        }
        self.source = None;
        Ok(())
    }

    fn truncated(&self) -> ClientError {
        let expected = self.decoder.left().map(|left| self.received + left);
        ClientError::Truncated { received: self.received, expected }
    }

    /// Lets go of the connection with the last byte of the body, before the caller asks for more.
    fn finish_if_over(&mut self) {
        if self.pending > 0 || !self.decoder.is_done() {
            return;
        }
        let Some(source) = self.source.take() else { return };
        let Source { connection, upload, keep_alive, shared, .. } = source;
        // What is in the buffer nobody asked for.
        if keep_alive && upload.is_complete() && connection.buffer.is_empty() {
            shared.pool.put(connection, &shared.limits);
        }
    }
}

/// The lines have been checked by the decoder; a name that is too long for the map is left out.
fn read_trailers(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            trailers.append(name, value);
        }
    }
    trailers
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, what)) = &self.failed {
            return Err(io::Error::new(*kind, what.clone()));
        }
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_decoded(buf).map_err(|error| {
            let what = error.to_string();
            let error = io::Error::from(error);
            self.failed = Some((error.kind(), what));
            self.source = None;
            error
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("received", &self.received).field("remaining", &self.remaining()).finish()
    }
}

impl From<BodyError> for ClientError {
    fn from(error: BodyError) -> ClientError {
        ClientError::Body(error)
    }
}
