//! Whole amounts: exactly so many bytes in, all of the buffers out.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// The most that is set aside before bytes have come.
const FIRST_CAPACITY: usize = 64 * 1024;

/// The bytes that came before a read of an exact amount failed; found inside the [`io::Error`].
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use grapeshot_core::test;
/// use grapeshot_net::{PartialRead, TcpListener, TcpStream};
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
///     let (far, _) = listener.accept().unwrap();
///     near.write_all(b"grape").unwrap();
///     drop(near);
///     let error = far.recv_exact(9).unwrap_err();
///     let partial = error.get_ref().unwrap().downcast_ref::<PartialRead>().unwrap();
///     assert_eq!(partial.received(), b"grape");
/// });
/// ```
#[derive(Debug)]
pub struct PartialRead {
    received: Vec<u8>,
    wanted: usize,
    cause: Option<io::Error>,
}

impl PartialRead {
    /// What did come.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// What did come, to keep.
    pub fn into_received(self) -> Vec<u8> {
        self.received
    }

    /// How many bytes were asked for.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// The error for a stream that ended after `received`.
    pub(crate) fn at_end(received: Vec<u8>, wanted: usize) -> io::Error {
        PartialRead { received, wanted, cause: None }.into_error()
    }

    fn into_error(self) -> io::Error {
        let kind = self.cause.as_ref().map_or(ErrorKind::UnexpectedEof, io::Error::kind);
        io::Error::new(kind, self)
    }
}

impl fmt::Display for PartialRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (received, wanted) = (self.received.len(), self.wanted);
        match &self.cause {
            Some(cause) => write!(f, "after {received} of {wanted} bytes: {cause}"),
            None => write!(f, "the stream ended after {received} of {wanted} bytes"),
        }
    }
}

impl std::error::Error for PartialRead {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// Up to `len` bytes, fewer only at the end of the stream.
fn recv_up_to(reader: impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut received = Vec::with_capacity(len.min(FIRST_CAPACITY));
    match reader.take(len as u64).read_to_end(&mut received) {
        Ok(_) => Ok(received),
        Err(cause) => Err(PartialRead { received, wanted: len, cause: Some(cause) }.into_error()),
    }
}

pub(crate) fn recv_exact(reader: impl Read, len: usize) -> io::Result<Vec<u8>> {
    let received = recv_up_to(reader, len)?;
    if received.len() < len {
        return Err(PartialRead { received, wanted: len, cause: None }.into_error());
    }
    Ok(received)
}

pub(crate) fn readv(reader: impl Read, sizes: &[usize]) -> io::Result<Vec<Vec<u8>>> {
    let total = sizes.iter().try_fold(0_usize, |total, size| total.checked_add(*size));
    let total = total.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "readv: the sizes add up to too much"))?;
    let all = recv_up_to(reader, total)?;
    let mut rest = all.as_slice();
    let mut buffers = Vec::with_capacity(sizes.len());
    for &size in sizes {
        if rest.is_empty() && size > 0 {
            break;
        }
        let (buffer, after) = rest.split_at(size.min(rest.len()));
        buffers.push(buffer.to_vec());
        rest = after;
    }
    Ok(buffers)
}

pub(crate) fn writev(mut writer: impl Write, bufs: &[&[u8]]) -> io::Result<usize> {
    let total = bufs.iter().map(|buf| buf.len()).sum();
    let mut slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
    let mut left = slices.as_mut_slice();
    // Without its empty buffers at the front: a list of nothing else is written by not writing.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match writer.write_vectored(left) {
            Ok(0) => return Err(io::Error::new(ErrorKind::WriteZero, "the stream took no more bytes")),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
