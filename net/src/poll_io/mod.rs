//! Sockets for code that polls: the I/O traits of `futures-io` and of `tokio`, without either's runtime.
//!
//! ```text
//!   a future ── poll_read ──► would block? ──► its waker in the reactor's table, Pending
//!      ▲                                                     │ event
//!      └────────────── wake ◄────────────────────────────────┘
//! ```
//!
//! With the feature `futures-io` and `tokio-io` respectively, `TcpStream`, `&TcpStream` and [`Polled`] implement
//! `AsyncRead` and `AsyncWrite`.
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

mod polled;
#[cfg(feature = "futures-io")]
mod futures_traits;
#[cfg(feature = "tokio-io")]
mod tokio_traits;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use grapeshot_core::{Direction, Source};
use rustix::io::Errno;
use rustix::net::Shutdown;

pub use self::polled::Polled;
use crate::TcpStream;

/// A stream of bytes that has a source.
pub(crate) trait HasSource {
    type Inner: AsFd;

    /// A short read or write says that there is no more for now.
    const SHORT_MEANS_DRAINED: bool;

    fn its_source(&self) -> &Source<Self::Inner>;
}

impl HasSource for TcpStream {
    type Inner = std::net::TcpStream;

    const SHORT_MEANS_DRAINED: bool = true;

    fn its_source(&self) -> &Source<std::net::TcpStream> {
        self.source()
    }
}

impl<H: HasSource> HasSource for &H {
    type Inner = H::Inner;

    const SHORT_MEANS_DRAINED: bool = H::SHORT_MEANS_DRAINED;

    fn its_source(&self) -> &Source<H::Inner> {
        (**self).its_source()
    }
}

fn poll_read<H: HasSource>(stream: &H, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>
where
    for<'a> &'a H::Inner: Read,
{
    let size = buf.len();
    let drained = |&read: &usize| H::SHORT_MEANS_DRAINED && 0 < read && read < size;
    stream.its_source().poll_attempt(context, Direction::Read, "read", drained, |mut inner| inner.read(buf))
}

fn poll_write<H: HasSource>(stream: &H, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>
where
    for<'a> &'a H::Inner: Write,
{
    let drained = |&written: &usize| H::SHORT_MEANS_DRAINED && written < bytes.len();
    stream.its_source().poll_attempt(context, Direction::Write, "write", drained, |mut inner| inner.write(bytes))
}

fn poll_write_vectored<H: HasSource>(
    stream: &H,
    context: &mut Context<'_>,
    bufs: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a H::Inner: Write,
{
    let size: usize = bufs.iter().map(|buf| buf.len()).sum();
    let drained = |&written: &usize| H::SHORT_MEANS_DRAINED && written < size;
    let write = |mut inner: &H::Inner| inner.write_vectored(bufs);
    stream.its_source().poll_attempt(context, Direction::Write, "write", drained, write)
}

fn poll_flush<H: HasSource>(stream: &H, context: &mut Context<'_>) -> Poll<io::Result<()>>
where
    for<'a> &'a H::Inner: Write,
{
    stream.its_source().poll_attempt(context, Direction::Write, "flush", |()| false, |mut inner| inner.flush())
}

/// Tells the peer that nothing more will be written; what is no socket has no way to.
fn shut_down<H: HasSource>(stream: &H) -> io::Result<()> {
    match rustix::net::shutdown(stream.its_source(), Shutdown::Write) {
        // The peer may have gone already, which is as shut down as it gets (SOK-11).
        Ok(()) | Err(Errno::NOTSOCK | Errno::NOTCONN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
