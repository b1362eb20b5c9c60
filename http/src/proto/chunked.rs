//! Decodes a chunked body (RFC 9112 section 7.1), from pieces of any size and without keeping any.
//!
//! ```text
//! chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF ) 1*"0" [ chunk-ext ] CRLF
//!                trailer-section CRLF
//!
//!           hex digit
//!            +-----+     SP, HTAB              ;
//!            v     |  +-----------> Padding ------> Extension <-+ any but CR, LF, control
//!  start -> Size --+--+                                 | | +---+
//!            ^     |  |  ;                              | CR
//!            |     |  +-----------> Extension           |
//!            |     | CR                                 |
//!            |     v                                    |
//!            |   SizeLf <-------------------------------+
//!            |     | LF
//!            |     +--- size 0 ---> Trailers --- empty line ---> Done
//!            |     | else
//!            |     v        all of it            CR
//!            |    Data(left) ---------> DataCr -----> DataLf
//!            |                                          | LF
//!            +------------------------------------------+
//! ```
//!
//! A size has one to sixteen digits, so it fits 64 bits whatever the digits.
//! Extensions are skipped: no server knows any, and RFC 9112 section 7.1.1 has recipients ignore
//! what they do not know. White space before the `;` is taken as RFC 9112 asks, elsewhere not.
//! Every line end is CR LF. A lone LF within an extension is the hinge of a smuggling attack of its
//! own, since some servers end the line there and some do not.
//!
//! The trailer section is the one part that must lie in the input as a whole, so that it can be
//! checked as headers are; `trailers` does that.

use std::ops::Range;

use super::error::BodyError;
use super::trailers::TrailerLimits;
use crate::Limits;

/// What a decoder made of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This range of the input is body. All up to its end is used up.
    Data(Range<usize>),
    /// The body goes on beyond the input.
    NeedMore {
        /// How many bytes of the input are used up. The rest, part of a trailer section, must be
        /// given again with more after it.
        consumed: usize,
    },
    /// The body is over.
    Done {
        /// How many bytes of the input are used up; the next request follows.
        consumed: usize,
        /// Where the trailer lines are in the input, without the empty line; mostly empty.
        trailers: Range<usize>,
    },
}

impl Step {
    /// How many bytes of the input are used up.
    pub fn consumed(&self) -> usize {
        match self {
            Self::Data(range) => range.end,
            Self::NeedMore { consumed } | Self::Done { consumed, .. } => *consumed,
        }
    }
}

/// Decodes one chunked body.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the sent body before the next input: where errors are.
    offset: u64,
    /// Bytes of the decoded body that may still come.
    body_left: u64,
    line_left: usize,
    extensions_left: usize,
    body_limit: u64,
    line_limit: usize,
    trailer_limits: TrailerLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Padding { size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers { searched: usize },
    Done,
}

const START: State = State::Size { size: 0, digits: 0 };

impl ChunkedDecoder {
    /// How many bytes all chunk extensions of a body may have together, padding included.
    ///
    /// Without it a peer could send a body of one-byte chunks in which nearly every byte is
    /// extension, and stay within the limit on the body.
    pub const MAX_EXTENSION_BYTES: usize = 16 << 10;

    /// The most digits of a chunk size, leading zeros included.
    pub const MAX_SIZE_DIGITS: u8 = 16;

    /// A decoder at the start of a body.
    pub fn new(limits: &Limits) -> Self {
        let line_limit = limits.chunk_line_bytes.max(usize::from(Self::MAX_SIZE_DIGITS));
        Self {
            state: START,
            offset: 0,
            body_left: limits.body_bytes,
            line_left: line_limit,
            extensions_left: Self::MAX_EXTENSION_BYTES,
            body_limit: limits.body_bytes,
            line_limit,
            trailer_limits: TrailerLimits::new(limits),
        }
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes the next piece of the body, up to the end of a stretch of data.
    ///
    /// # Errors
    ///
    /// Any [`BodyError`] but [`BodyError::UnexpectedEnd`]. The decoder is of no use afterwards.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut at = 0;
        let step = loop {
            match (self.state, input.get(at)) {
                (State::Done, _) => break Step::Done { consumed: at, trailers: at..at },
                (State::Trailers { searched }, _) => break self.trailers(input, at, searched)?,
                (_, None) => break Step::NeedMore { consumed: at },
                (State::Data { left }, Some(_)) => {
                    let rest = (input.len() - at) as u64;
                    let len = rest.min(left);
                    self.state = match left - len {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    // No longer than the input, which a usize holds.
                    break Step::Data(at..at + len as usize);
                }
                (_, Some(&byte)) => {
                    self.state = self.after(byte, self.offset + at as u64)?;
                    at += 1;
                }
            }
        };
        self.offset += step.consumed() as u64;
        Ok(step)
    }

    /// The error for a stream that ends before the body does, with `unused` bytes of input left.
    pub fn unexpected_end(&self, unused: usize) -> BodyError {
        BodyError::UnexpectedEnd { at: self.offset + unused as u64 }
    }

    /// The state after a byte of framing.
    fn after(&mut self, byte: u8, at: u64) -> Result<State, BodyError> {
        if !matches!(byte, b'\r' | b'\n') {
            self.count_line_byte()?;
        }
        match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == Self::MAX_SIZE_DIGITS {
                    return Err(BodyError::ChunkSizeTooLong { at });
                }
                Ok(State::Size { size: size << 4 | hex_value(byte), digits: digits + 1 })
            }
            (State::Size { size, digits: 1.. } | State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { size, digits: 1.. } | State::Padding { size }, b';') => {
                self.skip_to(State::Extension { size })
            }
            (State::Size { size, digits: 1.. } | State::Padding { size }, b' ' | b'\t') => {
                self.skip_to(State::Padding { size })
            }
            (State::Size { .. } | State::Padding { .. }, _) => Err(BodyError::InvalidChunkSize { at }),
            (State::Extension { .. }, b'\0'..=0x08 | 0x0a..=0x1f | 0x7f) => {
                Err(BodyError::InvalidChunkExtension { at })
            }
            (State::Extension { size }, _) => self.skip_to(State::Extension { size }),
            (State::SizeLf { size }, b'\n') => self.begin_data(size),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(START),
            (State::SizeLf { .. } | State::DataCr | State::DataLf, _) => Err(BodyError::MissingChunkEnd { at }),
            // `decode` gives no bytes of these to this function.
            (State::Data { .. } | State::Trailers { .. } | State::Done, _) => Ok(self.state),
        }
    }

    /// Skips a byte that is neither size nor data.
    fn skip_to(&mut self, state: State) -> Result<State, BodyError> {
        let limit = Self::MAX_EXTENSION_BYTES;
        self.extensions_left = self.extensions_left.checked_sub(1).ok_or(BodyError::ExtensionsTooLarge { limit })?;
        Ok(state)
    }

    fn count_line_byte(&mut self) -> Result<(), BodyError> {
        let limit = self.line_limit;
        self.line_left = self.line_left.checked_sub(1).ok_or(BodyError::ChunkLineTooLong { limit })?;
        Ok(())
    }

    fn begin_data(&mut self, size: u64) -> Result<State, BodyError> {
        self.line_left = self.line_limit;
        if size == 0 {
            return Ok(State::Trailers { searched: 0 });
        }
        let limit = self.body_limit;
        self.body_left = self.body_left.checked_sub(size).ok_or(BodyError::BodyTooLarge { limit })?;
        Ok(State::Data { left: size })
    }

    fn trailers(&mut self, input: &[u8], at: usize, searched: usize) -> Result<Step, BodyError> {
        let section = &input[at..];
        let found = self.trailer_limits.check(section, searched, self.offset + at as u64)?;
        match found {
            None => {
                self.state = State::Trailers { searched: section.len() };
                Ok(Step::NeedMore { consumed: at })
            }
            Some(lines_len) => {
                self.state = State::Done;
                let trailers = at..at + lines_len;
                Ok(Step::Done { consumed: trailers.end + "\r\n".len(), trailers })
            }
        }
    }
}

fn hex_value(digit: u8) -> u64 {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    u64::from(value)
}
