//! The body of a request, read from the connection as the handler asks for it.
//!
//! ```text
//!   leftover (read with the head) ─┐
//!                                  ├─► decoder ─► the handler's buffer
//!   socket ─► more ────────────────┘
//! ```
//!
//! # Invariants
//!
//! - `leftover` is used up before anything is read into `more`.
//! - `pending` bytes of data, already decoded, stand first among the unread.
//! - After an error every further read fails, and the connection is closed.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use grapeshot_core::now;
use grapeshot_net::WaitLimit;
use http::StatusCode;

use crate::Limits;
use crate::buffer::{BLOCK, Buffer};
use crate::proto::{BodyDecoder, BodyError, CONTINUE, RequestHead, Step};
use crate::stream::Stream;

/// The body of a request; `Read` gives it decoded.
///
/// Reading may suspend. It fails with `InvalidData` when the peer breaks the framing or sends more than the limit,
/// `TimedOut` when it sends too slowly, and `UnexpectedEof` when it stops in the middle;
/// the server then answers as the limit says, whatever the handler returns.
pub struct Body<'c> {
    stream: &'c Stream,
    limits: &'c Limits,
    leftover: &'c [u8],
    more: &'c mut Buffer,
    decoder: BodyDecoder,
    pending: usize,
    expects_continue: bool,
    received: u64,
    waited: Duration,
    failed: Option<Failure>,
}

/// Why a body cannot be read any further.
#[derive(Clone, Debug)]
struct Failure {
    /// What to answer; `None` when the connection is gone.
    status: Option<StatusCode>,
    kind: io::ErrorKind,
    what: String,
}

impl<'c> Body<'c> {
    pub(crate) fn new(
        stream: &'c Stream,
        limits: &'c Limits,
        head: &RequestHead,
        leftover: &'c [u8],
        more: &'c mut Buffer,
    ) -> Body<'c> {
        Body {
            stream,
            limits,
            leftover,
            more,
            decoder: BodyDecoder::new(head.body(), limits),
            pending: 0,
            // Who sends it unasked does not wait.
            expects_continue: head.expect_continue() && leftover.is_empty(),
            received: 0,
            waited: Duration::ZERO,
            failed: None,
        }
    }

    /// Reads the whole body; the limit on its size is the server's.
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let expected = self.decoder.left().unwrap_or(0).min(1 << 20);
        let mut all = Vec::with_capacity(expected as usize);
        self.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Reads the whole body as UTF-8.
    ///
    /// # Errors
    ///
    /// As reading; `InvalidData` when it is not UTF-8.
    pub fn read_text(&mut self) -> io::Result<String> {
        String::from_utf8(self.read_all()?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// How many bytes are still to come, if the request said so (content-length).
    pub fn remaining(&self) -> Option<u64> {
        self.decoder.left().map(|left| left + self.pending as u64)
    }

    /// Whether it has been read to its end.
    pub fn is_finished(&self) -> bool {
        self.pending == 0 && self.decoder.is_done()
    }

    /// Asks the peer for the body if it waits to be asked.
    pub(crate) fn invite(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.expects_continue) {
            let mut stream = self.stream;
            stream.write_all(CONTINUE)?;
        }
        Ok(())
    }

    /// Whether the peer was never asked for the body it announced, so that it may not come.
    pub(crate) fn is_uninvited(&self) -> bool {
        self.expects_continue && !self.is_finished()
    }

    /// The status to answer a failed body with; `Some(None)` when there is nobody left to answer.
    pub(crate) fn failure(&self) -> Option<(Option<StatusCode>, &str)> {
        self.failed.as_ref().map(|failure| (failure.status, failure.what.as_str()))
    }

    /// Throws away up to `most` bytes and says whether that was the rest.
    pub(crate) fn discard(&mut self, most: u64) -> bool {
        let discarded = io::copy(&mut self.by_ref().take(most), &mut io::sink());
        discarded.is_ok() && (self.is_finished() || matches!(self.read(&mut [0; 1]), Ok(0)))
    }

    /// What of `leftover` was not used; anything in `more` comes after it.
    pub(crate) fn unused_leftover(&self) -> usize {
        self.leftover.len()
    }

    fn unread(&self) -> &[u8] {
        if self.leftover.is_empty() { self.more.unread() } else { self.leftover }
    }

    fn consume(&mut self, len: usize) {
        if self.leftover.is_empty() {
            self.more.consume(len);
        } else {
            self.leftover = &self.leftover[len..];
        }
    }

    fn read_decoded(&mut self, buf: &mut [u8]) -> Result<usize, Failure> {
        loop {
            if self.pending > 0 {
                let len = self.pending.min(buf.len());
                buf[..len].copy_from_slice(&self.unread()[..len]);
                self.consume(len);
                self.pending -= len;
                return Ok(len);
            }
            if self.decoder.is_done() {
                return Ok(0);
            }
            let step = if self.leftover.is_empty() {
                self.decoder.decode(self.more.unread())
            } else {
                self.decoder.decode(self.leftover)
            };
            match step.map_err(|error| Failure::of_framing(&error))? {
                Step::Data(range) => {
                    self.consume(range.start);
                    self.pending = range.len();
                    self.received += range.len() as u64;
                }
                Step::Done { consumed, .. } => self.consume(consumed),
                Step::NeedMore { consumed } => {
                    self.consume(consumed);
                    self.read_more()?;
                }
            }
        }
    }

    /// Reads from the socket, at most as long as the minimum rate allows.
    fn read_more(&mut self) -> Result<(), Failure> {
        let kept = std::mem::take(&mut self.leftover);
        self.more.append(kept);
        self.invite().map_err(|error| Failure::of_connection(&error))?;
        let rate = self.limits.body_bytes_per_second.max(1);
        let earned = Duration::from_millis(self.received.saturating_mul(1000) / rate);
        let allowed = self.limits.body_grace.saturating_add(earned);
        let limit = WaitLimit::After(allowed.saturating_sub(self.waited));
        let began = now();
        let most = self.limits.trailer_bytes.min(self.limits.head_bytes) + BLOCK;
        let read = self.more.fill(most, |room| self.stream.read_within(room, limit));
        self.waited += now().saturating_duration_since(began);
        match read {
            Ok(0) => {
                let end = self.decoder.end_of_stream(self.more.unread().len());
                Err(end.map_or_else(|error| Failure::of_framing(&error), |()| Failure::of_end()))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Failure {
                status: Some(StatusCode::REQUEST_TIMEOUT),
                kind: io::ErrorKind::TimedOut,
                what: format!(
                    "request body: {} bytes came while the server waited {:?}, slower than the {rate} bytes a second \
                     that it asks for",
                    self.received, self.waited
                ),
            }),
            Err(error) => Err(Failure::of_connection(&error)),
        }
    }
}

impl Failure {
    fn of_framing(error: &BodyError) -> Failure {
        let kind = match error {
            BodyError::UnexpectedEnd { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Failure { status: Some(error.status()), kind, what: error.to_string() }
    }

    fn of_end() -> Failure {
        let what = "request body: the connection ended in the middle".to_owned();
        Failure { status: Some(StatusCode::BAD_REQUEST), kind: io::ErrorKind::UnexpectedEof, what }
    }

    fn of_connection(error: &io::Error) -> Failure {
        Failure { status: None, kind: error.kind(), what: format!("request body: {error}") }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::new(failure.kind, failure.what)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone().into());
        }
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_decoded(buf).map_err(|failure| {
            self.failed = Some(failure.clone());
            failure.into()
        })
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("received", &self.received).field("remaining", &self.remaining()).finish()
    }
}
