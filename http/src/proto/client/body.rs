//! Decodes an answer's body of any framing.

use super::super::body::BodyDecoder;
use super::super::chunked::Step;
use super::super::error::BodyError;
use super::super::framing::BodyFraming;
use super::super::response::ResponseFraming;
use crate::Limits;

/// Tells body bytes from framing, for one answer.
///
/// It counts what a body that ends with the connection has, and refuses more than the limit in every framing.
#[derive(Clone, Debug)]
pub struct ResponseDecoder(Decoder);

#[derive(Clone, Debug)]
enum Decoder {
    Framed(BodyDecoder),
    UntilClose { left: u64, limit: u64 },
}

impl ResponseDecoder {
    /// A decoder at the start of a body. Of the limits those on the body, its chunks and its trailers count.
    ///
    /// # Errors
    ///
    /// [`BodyError::BodyTooLarge`] for a length over [`Limits::body_bytes`].
    pub fn new(framing: ResponseFraming, limits: &Limits) -> Result<Self, BodyError> {
        let limit = limits.body_bytes;
        let framing = match framing {
            ResponseFraming::UntilClose => return Ok(Self(Decoder::UntilClose { left: limit, limit })),
            ResponseFraming::Length(length) if length > limit => return Err(BodyError::BodyTooLarge { limit }),
            ResponseFraming::Length(length) => BodyFraming::Length(length),
            ResponseFraming::None => BodyFraming::None,
            ResponseFraming::Chunked => BodyFraming::Chunked,
        };
        Ok(Self(Decoder::Framed(BodyDecoder::new(framing, limits))))
    }

    /// Whether the body is over, as far as framing says it; one that ends with the connection never is.
    pub fn is_done(&self) -> bool {
        matches!(&self.0, Decoder::Framed(decoder) if decoder.is_done())
    }

    /// How many bytes of body are still to come, where the framing says so beforehand.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Decoder::Framed(decoder) => decoder.left(),
            Decoder::UntilClose { .. } => None,
        }
    }

    /// Decodes the next piece of the body, up to the end of a stretch of data.
    ///
    /// # Errors
    ///
    /// Any [`BodyError`] but [`BodyError::UnexpectedEnd`]. The decoder is of no use afterwards.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        match &mut self.0 {
            Decoder::Framed(decoder) => decoder.decode(input),
            Decoder::UntilClose { .. } if input.is_empty() => Ok(Step::NeedMore { consumed: 0 }),
            Decoder::UntilClose { left, limit } => {
                let too_large = BodyError::BodyTooLarge { limit: *limit };
                *left = left.checked_sub(input.len() as u64).ok_or(too_large)?;
                Ok(Step::Data(0..input.len()))
            }
        }
    }

    /// Says whether the stream may end here, with `unused` bytes of it not decoded (RFC 9112 section 8).
    ///
    /// # Errors
    ///
    /// [`BodyError::UnexpectedEnd`] if the body goes on.
    pub fn end_of_stream(&self, unused: usize) -> Result<(), BodyError> {
        match &self.0 {
            Decoder::Framed(decoder) => decoder.end_of_stream(unused),
            Decoder::UntilClose { .. } => Ok(()),
        }
    }
}
