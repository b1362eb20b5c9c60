//! Frames of bytes behind their size: four bytes, the highest first, then so many bytes of whatever it is.
//!
//! MessagePack-RPC needs no such frames, as its values end by themselves; object connections send theirs so.

use std::error::Error;
use std::fmt;

/// The bytes of the size.
const PREFIX: usize = 4;

/// Finds frames in bytes that come in pieces, and puts bytes into frames.
///
/// ```
/// use grapeshot_rpc::proto::Framed;
///
/// let framed = Framed::new(1024);
/// let mut out = Vec::new();
/// framed.append(&mut out, b"fish").unwrap();
/// assert_eq!(out, b"\0\0\0\x04fish");
/// assert_eq!(framed.first(&out[..6]), Ok(None));
/// assert_eq!(framed.first(&out), Ok(Some(&b"fish"[..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed {
    max_bytes: usize,
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramedError {
    /// It is larger than the limit. When it is the peer's, no boundary of frames can be found after it.
    TooLarge {
        /// Its bytes, without the size before them.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The stream ended within a frame.
    Truncated {
        /// The bytes that came, with those of the size.
        bytes: usize,
        /// The bytes that were announced, with those of the size; 4 when not even the size came whole.
        expected: usize,
    },
}

impl Framed {
    /// Frames of at most so many bytes, without the size before them. No limit is above `u32::MAX`.
    pub fn new(max_bytes: usize) -> Framed {
        Framed { max_bytes: max_bytes.min(u32::MAX as usize) }
    }

    /// How many bytes a frame takes up whose content has so many.
    pub const fn whole(content: usize) -> usize {
        content.saturating_add(PREFIX)
    }

    /// The content of the first frame in `bytes`, which takes up [`Framed::whole`] of its length;
    /// `None` until it has come whole.
    ///
    /// # Errors
    ///
    /// [`FramedError::TooLarge`], as soon as the size has come.
    pub fn first<'a>(&self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, FramedError> {
        match self.announced(bytes)? {
            Some(length) => Ok(bytes.get(PREFIX..Framed::whole(length))),
            None => Ok(None),
        }
    }

    /// The size of the first frame's content; `None` until the size has come.
    ///
    /// # Errors
    ///
    /// [`FramedError::TooLarge`].
    pub fn announced(&self, bytes: &[u8]) -> Result<Option<usize>, FramedError> {
        let Some(prefix) = bytes.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        self.check(length)?;
        Ok(Some(length))
    }

    /// Says whether the stream may end here, where `bytes` follow the last whole frame.
    ///
    /// # Errors
    ///
    /// [`FramedError::Truncated`] when there are any.
    pub fn end(&self, bytes: &[u8]) -> Result<(), FramedError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let expected = self.announced(bytes)?.map_or(PREFIX, Framed::whole);
        Err(FramedError::Truncated { bytes: bytes.len(), expected })
    }

    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// [`FramedError::TooLarge`]; nothing is appended then.
    pub fn append(&self, out: &mut Vec<u8>, content: &[u8]) -> Result<(), FramedError> {
        self.check(content.len())?;
        // The limit is never above what four bytes can say.
        out.extend_from_slice(&(content.len() as u32).to_be_bytes());
        out.extend_from_slice(content);
        Ok(())
    }

    fn check(&self, bytes: usize) -> Result<(), FramedError> {
        match bytes > self.max_bytes {
            true => Err(FramedError::TooLarge { bytes, limit: self.max_bytes }),
            false => Ok(()),
        }
    }
}

impl fmt::Display for FramedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramedError::TooLarge { bytes, limit } => {
                write!(f, "a frame has {bytes} bytes, and {limit} are the limit")
            }
            FramedError::Truncated { bytes, expected } => {
                write!(f, "the stream ended after {bytes} of a frame's {expected} bytes")
            }
        }
    }
}

impl Error for FramedError {}
