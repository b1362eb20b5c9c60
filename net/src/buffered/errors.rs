//! What the buffers refuse.

use std::error::Error;
use std::fmt;
use std::io;

/// A delimiter did not come within the limit; found inside an [`io::Error`] of kind `InvalidData`.
///
/// What has been read is still in the read buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    pub(super) delimiter: Vec<u8>,
    pub(super) limit: usize,
}

impl ReadLimit {
    /// What was looked for.
    pub fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// How many bytes it may take, the delimiter included.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Display for ReadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadLimit { delimiter, limit } = self;
        write!(f, "reading up to \"{}\": it does not end within the limit of {limit} bytes", delimiter.escape_ascii())
    }
}

impl Error for ReadLimit {}

impl From<ReadLimit> for io::Error {
    fn from(error: ReadLimit) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// The write buffer would have grown past its limit; found inside an [`io::Error`] of kind `StorageFull`.
///
/// Nothing of the refused write has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLimit {
    pub(super) buffered: usize,
    pub(super) refused: usize,
    pub(super) limit: usize,
}

impl fmt::Display for WriteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WriteLimit { buffered, refused, limit } = self;
        write!(
            f,
            "writing {refused} bytes behind {buffered} that wait for a flush: more than the limit of {limit} bytes"
        )
    }
}

impl Error for WriteLimit {}

impl From<WriteLimit> for io::Error {
    fn from(error: WriteLimit) -> io::Error {
        io::Error::new(io::ErrorKind::StorageFull, error)
    }
}
