//! Any other stream with a descriptor, for code that polls.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use grapeshot_core::Source;

use super::HasSource;

/// A stream with a descriptor that the reactor can watch, as a poll-style stream.
///
/// For what has `Read` and `Write` on its reference and would block: std's `UnixStream`, a pipe's end, a terminal.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "futures-io")] {
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use std::pin::Pin;
/// use std::task::{Context, Poll, Waker};
/// use futures_io::AsyncRead;
/// use grapeshot_core::test;
/// use grapeshot_net::poll_io::Polled;
///
/// test::run(|| {
///     let (near, mut far) = UnixStream::pair().unwrap();
///     let mut near = Polled::new(near).unwrap();
///     let mut context = Context::from_waker(Waker::noop());
///     let mut buf = [0; 8];
///     assert!(Pin::new(&mut near).poll_read(&mut context, &mut buf).is_pending());
///     far.write_all(b"news").unwrap();
///     grapeshot_core::yield_slice();
///     assert!(matches!(Pin::new(&mut near).poll_read(&mut context, &mut buf), Poll::Ready(Ok(4))));
/// });
/// # }
/// ```
pub struct Polled<S: AsFd> {
    source: Source<S>,
}

impl<S: AsFd> Polled<S> {
    /// Takes the stream over, and puts its descriptor into non-blocking mode.
    ///
    /// That mode belongs to the open file: whoever else holds it, in this process or another, gets it as well.
    ///
    /// # Errors
    ///
    /// When the system refuses that mode.
    pub fn new(stream: S) -> io::Result<Polled<S>> {
        rustix::io::ioctl_fionbio(&stream, true)?;
        Ok(Polled { source: Source::new(stream) })
    }

    /// The stream.
    pub fn inner(&self) -> &S {
        self.source.inner()
    }

    /// Gives the stream back, deregistered and still in non-blocking mode.
    pub fn into_inner(self) -> S {
        self.source.into_inner()
    }

    /// Ends every wait on it with an error, and refuses all further use; answers whether it was open.
    pub fn close(&self) -> bool {
        self.source.close()
    }
}

impl<S: AsFd> HasSource for Polled<S> {
    type Inner = S;

    const SHORT_MEANS_DRAINED: bool = false;

    fn its_source(&self) -> &Source<S> {
        &self.source
    }
}

impl<S: AsFd + fmt::Debug> fmt::Debug for Polled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Polled").field(self.inner()).finish()
    }
}
