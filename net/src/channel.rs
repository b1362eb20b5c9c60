//! What every socket and pipe here is made of: a source to wait on, and a limit for each direction.
//!
//! ```text
//!   TcpStream, UnixStream, UdpSocket, PipeReader …  ──►  Channel { Source, read limit, write limit }  ──►  park
//! ```
//!
//! # Invariants
//!
//! - The limits belong to the handle, not to the descriptor: a clone has its own.
//! - A short read or write counts as "nothing left for now" only where the kernel promises it: on TCP.
//!   Elsewhere (a Unix stream that stops at descriptors, a pipe, a terminal) the next attempt asks the kernel.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix;
use std::sync::atomic::AtomicBool;

use grapeshot_core::{Direction, Source, WaitLimit};
use rustix::net::RecvFlags;

use crate::timeout::Timeout;

pub(crate) struct Channel<S: AsFd> {
    pub(crate) source: Source<S>,
    pub(crate) read_timeout: Timeout,
    pub(crate) write_timeout: Timeout,
    /// This handle has shut down receiving. Of a Unix datagram socket the kernel tells blocking callers only.
    pub(crate) deaf: AtomicBool,
}

impl<S: AsFd> Channel<S> {
    /// Of a descriptor that is in non-blocking mode already.
    pub(crate) fn new(inner: S) -> Channel<S> {
        Channel {
            source: Source::new(inner),
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            deaf: AtomicBool::new(false),
        }
    }

    pub(crate) fn inner(&self) -> &S {
        self.source.inner()
    }

    /// Takes something in, within the channel's own limit.
    #[inline]
    pub(crate) fn take<T>(&self, name: &'static str, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.source.attempt(Direction::Read, name, self.read_timeout.limit(), |_| false, operation)
    }

    /// Gives something out, within the channel's own limit.
    #[inline]
    pub(crate) fn give<T>(&self, name: &'static str, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.source.attempt(Direction::Write, name, self.write_timeout.limit(), |_| false, operation)
    }

    /// Looks at what a socket has received.
    pub(crate) fn peek_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.source.attempt(
            Direction::Read,
            "peek",
            limit,
            |_| false,
            |socket| {
                let (copied, _) = rustix::net::recv(socket, &mut *buf, RecvFlags::PEEK)?;
                Ok(copied)
            },
        )
    }
}

/// A descriptor that carries a stream of bytes.
pub(crate) trait Bytes: AsFd {
    /// A transfer of fewer bytes than asked for tells that there is no more to be had, or no more room.
    const SHORT_MEANS_DRAINED: bool;
}

impl Bytes for net::TcpStream {
    const SHORT_MEANS_DRAINED: bool = true;
}

impl Bytes for unix::net::UnixStream {
    const SHORT_MEANS_DRAINED: bool = false;
}

impl Bytes for io::PipeReader {
    const SHORT_MEANS_DRAINED: bool = false;
}

impl Bytes for io::PipeWriter {
    const SHORT_MEANS_DRAINED: bool = false;
}

/// How many buffers std hands to one system call; what is behind them says nothing about the socket.
const IOV_MAX: usize = 1024;

impl<S: Bytes> Channel<S>
where
    for<'a> &'a S: Read,
{
    #[inline]
    pub(crate) fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        let size = buf.len();
        // A short read has emptied the socket; an end of stream stays.
        let drained = |&read: &usize| S::SHORT_MEANS_DRAINED && 0 < read && read < size;
        self.source.attempt(Direction::Read, "read", limit, drained, |mut stream| stream.read(buf))
    }

    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let size: usize = bufs.iter().take(IOV_MAX).map(|buf| buf.len()).sum();
        let drained = |&read: &usize| S::SHORT_MEANS_DRAINED && 0 < read && read < size;
        let limit = self.read_timeout.limit();
        self.source.attempt(Direction::Read, "read", limit, drained, |mut stream| stream.read_vectored(bufs))
    }
}

impl<S: Bytes> Channel<S>
where
    for<'a> &'a S: Write,
{
    #[inline]
    pub(crate) fn write_within(&self, buf: &[u8], limit: WaitLimit) -> io::Result<usize> {
        let drained = |&written: &usize| S::SHORT_MEANS_DRAINED && written < buf.len();
        self.source.attempt(Direction::Write, "write", limit, drained, |mut stream| stream.write(buf))
    }

    #[inline]
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let drained = |&written: &usize| S::SHORT_MEANS_DRAINED && written < buf.len();
        self.source.attempt_at_once(Direction::Write, "write", drained, |mut stream| stream.write(buf))
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let size: usize = bufs.iter().take(IOV_MAX).map(|buf| buf.len()).sum();
        let drained = |&written: &usize| S::SHORT_MEANS_DRAINED && written < size;
        let limit = self.write_timeout.limit();
        self.source.attempt(Direction::Write, "write", limit, drained, |mut stream| stream.write_vectored(bufs))
    }
}

/// The most that one call of sendfile(2) is asked for, so that a large file is sent in turns with others.
const FILE_SLICE: usize = 1 << 20;

impl<S: Bytes> Channel<S> {
    /// Sends a stretch of a file without copying it through this program; answers how much there was.
    pub(crate) fn send_file(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<u64> {
        let mut position = offset;
        let end = offset.saturating_add(len);
        while position < end {
            let asked = usize::try_from(end - position).unwrap_or(FILE_SLICE).min(FILE_SLICE);
            let sent =
                self.give("sendfile", |socket| Ok(rustix::fs::sendfile(socket, file, Some(&mut position), asked)?))?;
            if sent == 0 {
                break;
            }
        }
        Ok(position - offset)
    }
}
