//! Sockets for code that polls: the I/O traits of `futures-io` and of `tokio`, without either's runtime.
//!
//! ```text
//!   a future ── poll_read ──► would block? ──► its waker in the reactor's table, Pending
//!      ▲                                                     │ event
//!      └────────────── wake ◄────────────────────────────────┘
//! ```
//!
//! With the feature `futures-io` and `tokio-io` respectively, [`TcpStream`], [`UnixStream`] and
//! [`Pollable`], for any other descriptor, implement `AsyncRead` and `AsyncWrite`, and so do references to them.
//! Whoever polls them runs in a coroutine, most often inside `grapeshot_core::block_on`.
//!
//! # Invariants
//!
//! - Nothing spins: a future is polled again when its descriptor has something for it, was closed, or moved.
//! - No wake is lost between the attempt and the waker's registration: `Source::poll_attempt` says why.
//! - Two futures may wait on one socket, one to read and one to write; of two for the same direction the last is woken.
//!   A coroutine that waits in the same direction is not disturbed: the future gets
//!   [`SimultaneousError`](grapeshot_core::SimultaneousError).
//! - The socket's own timeouts do not apply: a future is limited by `with_timeout` around `block_on`.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "futures-io")] {
//! use std::future::poll_fn;
//! use std::io::Write;
//! use std::pin::Pin;
//! use futures_io::AsyncRead;
//! use grapeshot_core::{block_on, spawn, test};
//! use grapeshot_net::UnixStream;
//!
//! test::run(|| {
//!     let (mut near, mut far) = UnixStream::pair().unwrap();
//!     spawn(move || far.write_all(b"hello").unwrap());
//!     let mut buf = [0; 8];
//!     let read = poll_fn(|context| Pin::new(&mut near).poll_read(context, &mut buf));
//!     assert_eq!(block_on(read).unwrap(), 5);
//! });
//! # }
//! ```

#[cfg(feature = "futures-io")]
mod futures_traits;
#[cfg(feature = "tokio-io")]
mod tokio_traits;

use std::io::{self, IoSlice, Read, Write};
use std::net;
use std::os::fd::AsFd;
use std::os::unix;
use std::task::{Context, Poll};

use grapeshot_core::{Direction, Source};
use rustix::io::Errno;
use rustix::net::Shutdown;

use crate::{Pollable, TcpStream, UnixStream};

/// A stream of bytes that has a source, and how to read and write what is in it.
trait PollStream {
    type Inner: AsFd;

    /// A short read or write says that there is no more for now.
    const SHORT_MEANS_DRAINED: bool;

    fn its_source(&self) -> &Source<Self::Inner>;

    fn read_now(inner: &Self::Inner, buf: &mut [u8]) -> io::Result<usize>;

    fn write_now(inner: &Self::Inner, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl PollStream for TcpStream {
    type Inner = net::TcpStream;

    const SHORT_MEANS_DRAINED: bool = true;

    fn its_source(&self) -> &Source<net::TcpStream> {
        self.source()
    }

    fn read_now(mut inner: &net::TcpStream, buf: &mut [u8]) -> io::Result<usize> {
        inner.read(buf)
    }

    fn write_now(mut inner: &net::TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        inner.write_vectored(bufs)
    }
}

impl PollStream for UnixStream {
    type Inner = unix::net::UnixStream;

    const SHORT_MEANS_DRAINED: bool = false;

    fn its_source(&self) -> &Source<unix::net::UnixStream> {
        self.source()
    }

    fn read_now(mut inner: &unix::net::UnixStream, buf: &mut [u8]) -> io::Result<usize> {
        inner.read(buf)
    }

    fn write_now(mut inner: &unix::net::UnixStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        inner.write_vectored(bufs)
    }
}

impl<T: AsFd> PollStream for Pollable<T> {
    type Inner = T;

    const SHORT_MEANS_DRAINED: bool = false;

    fn its_source(&self) -> &Source<T> {
        self.source()
    }

    fn read_now(inner: &T, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(inner, buf)?)
    }

    fn write_now(inner: &T, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(inner, bufs)?)
    }
}

impl<P: PollStream> PollStream for &P {
    type Inner = P::Inner;

    const SHORT_MEANS_DRAINED: bool = P::SHORT_MEANS_DRAINED;

    fn its_source(&self) -> &Source<P::Inner> {
        (**self).its_source()
    }

    fn read_now(inner: &P::Inner, buf: &mut [u8]) -> io::Result<usize> {
        P::read_now(inner, buf)
    }

    fn write_now(inner: &P::Inner, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        P::write_now(inner, bufs)
    }
}

fn poll_read<P: PollStream>(stream: &P, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    let size = buf.len();
    let drained = |&read: &usize| P::SHORT_MEANS_DRAINED && 0 < read && read < size;
    stream.its_source().poll_attempt(context, Direction::Read, "read", drained, |inner| P::read_now(inner, buf))
}

fn poll_write<P: PollStream>(stream: &P, context: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let size: usize = bufs.iter().map(|buf| buf.len()).sum();
    let drained = |&written: &usize| P::SHORT_MEANS_DRAINED && written < size;
    stream.its_source().poll_attempt(context, Direction::Write, "write", drained, |inner| P::write_now(inner, bufs))
}

/// Tells the peer that nothing more will be written; what is no socket has no way to.
fn shut_down<P: PollStream>(stream: &P) -> io::Result<()> {
    match rustix::net::shutdown(stream.its_source(), Shutdown::Write) {
        // The peer may have gone already, which is as shut down as it gets (SOK-11).
        Ok(()) | Err(Errno::NOTSOCK | Errno::NOTCONN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
