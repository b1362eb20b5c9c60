//! Writes a chunked body (RFC 9112 section 7.1).
//!
//! The terminator, `0` and an empty line, is also what an empty chunk would look like.
//! So a chunk's length is a [`NonZeroUsize`], and [`ChunkEncoder::finish`] takes the encoder: a
//! body ends exactly once, which the types see to.

use std::num::NonZeroUsize;

/// Writes one chunked body, without extensions or trailers.
///
/// It holds nothing; having it is the right to go on with the body.
///
/// ```
/// use grapeshot_http::proto::ChunkEncoder;
///
/// let mut out = Vec::new();
/// let mut encoder = ChunkEncoder::new();
/// encoder.chunk(&mut out, b"sixteen bytes...");
/// encoder.finish(&mut out);
/// assert_eq!(out, b"10\r\nsixteen bytes...\r\n0\r\n\r\n");
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChunkEncoder(());

impl ChunkEncoder {
    /// What stands between the data of a chunk and the next chunk.
    pub const CHUNK_END: &'static [u8] = b"\r\n";

    /// What ends the body: the last chunk and an empty trailer section.
    pub const TERMINATOR: &'static [u8] = b"0\r\n\r\n";

    /// The most bytes that [`begin_chunk`](Self::begin_chunk) writes.
    pub const MAX_HEADER_BYTES: usize = 18;

    /// An encoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one chunk; nothing at all for no data.
    pub fn chunk(&mut self, out: &mut Vec<u8>, data: &[u8]) {
        if let Some(len) = NonZeroUsize::new(data.len()) {
            out.reserve(Self::MAX_HEADER_BYTES + data.len() + Self::CHUNK_END.len());
            self.begin_chunk(out, len);
            out.extend_from_slice(data);
            self.end_chunk(out);
        }
    }

    /// Writes the line before `len` bytes of data, which the caller sends from elsewhere.
    pub fn begin_chunk(&mut self, out: &mut Vec<u8>, len: NonZeroUsize) {
        let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
        let digit = |place: u32| HEX_DIGITS[len.get() >> (4 * place) & 0xf];
        out.extend((0..digits).rev().map(digit));
        out.extend_from_slice(b"\r\n");
    }

    /// Writes the line end after the data of a chunk.
    pub fn end_chunk(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(Self::CHUNK_END);
    }

    /// Ends the body.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Self::TERMINATOR);
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
