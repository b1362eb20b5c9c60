//! Decodes a request body of any framing.

use super::chunked::{ChunkedDecoder, Step};
use super::error::BodyError;
use super::framing::BodyFraming;
use crate::Limits;

/// Tells body bytes from framing, for one request.
#[derive(Clone, Debug)]
pub struct BodyDecoder(Decoder);

#[derive(Clone, Debug)]
enum Decoder {
    Length { length: u64, left: u64 },
    Chunked(ChunkedDecoder),
}

impl BodyDecoder {
    /// A decoder at the start of a body with that framing.
    pub fn new(framing: BodyFraming, limits: &Limits) -> Self {
        let known = |length| Decoder::Length { length, left: length };
        Self(match framing {
            BodyFraming::None => known(0),
            BodyFraming::Length(length) => known(length),
            BodyFraming::Chunked => Decoder::Chunked(ChunkedDecoder::new(limits)),
        })
    }

    /// Whether the body is over, and what follows in the input is the next request.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Decoder::Length { left, .. } => *left == 0,
            Decoder::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// How many bytes of body are still to come, where the framing says so beforehand.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Decoder::Length { left, .. } => Some(*left),
            Decoder::Chunked(decoder) => decoder.is_done().then_some(0),
        }
    }

    /// Decodes the next piece of the body, up to the end of a stretch of data.
    ///
    /// # Errors
    ///
    /// Those of [`ChunkedDecoder::decode`].
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        match &mut self.0 {
            Decoder::Length { left: 0, .. } => Ok(Step::Done { consumed: 0, trailers: 0..0 }),
            Decoder::Length { .. } if input.is_empty() => Ok(Step::NeedMore { consumed: 0 }),
            Decoder::Length { left, .. } => {
                let len = (*left).min(input.len() as u64);
                *left -= len;
                // No longer than the input, which a usize holds.
                Ok(Step::Data(0..len as usize))
            }
            Decoder::Chunked(decoder) => decoder.decode(input),
        }
    }

    /// Says whether the stream may end here, with `unused` bytes of it not decoded.
    ///
    /// # Errors
    ///
    /// [`BodyError::UnexpectedEnd`] if the body goes on (RFC 9112 section 8).
    pub fn end_of_stream(&self, unused: usize) -> Result<(), BodyError> {
        match &self.0 {
            _ if self.is_done() => Ok(()),
            Decoder::Length { length, left } => Err(BodyError::UnexpectedEnd { at: length - left + unused as u64 }),
            Decoder::Chunked(decoder) => Err(decoder.unexpected_end(unused)),
        }
    }
}
