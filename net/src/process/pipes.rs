//! The pipes to and from a child.
//!
//! Each end of a pipe is an open file of its own, so making ours non-blocking does not change the child's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, Stdio};

use grapeshot_core::{Direction, Source, WaitLimit};

/// Our end of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    source: Source<File>,
}

impl Pipe {
    fn new(descriptor: OwnedFd) -> io::Result<Pipe> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Pipe { source: Source::new(File::from(descriptor)) })
    }

    pub(super) fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.source.attempt(Direction::Read, "read", limit, |_| false, |mut pipe| pipe.read(buf))
    }

    /// Reads what is there now.
    pub(super) fn read_rest(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.inner().read(buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.source.attempt(Direction::Write, "write", WaitLimit::Never, |_| false, |mut pipe| pipe.write(buf))
    }

    /// For a process that knows nothing of non-blocking pipes.
    fn into_blocking(self) -> OwnedFd {
        let descriptor = OwnedFd::from(self.source.into_inner());
        // It does not fail on a pipe that is open.
        let _ = rustix::io::ioctl_fionbio(&descriptor, false);
        descriptor
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// What the three ends have in common.
macro_rules! end_of_pipe {
    ($Name:ident, $what:literal) => {
        #[doc = concat!($what, ", as std's. To be cut off in the middle of it, use `with_timeout`.")]
        ///
        /// Turned into a [`Stdio`] it is the other end of a second process's pipeline, in blocking mode again.
        #[derive(Debug)]
        pub struct $Name {
            pub(super) pipe: Pipe,
        }

        impl $Name {
            pub(super) fn from_std(pipe: process::$Name) -> io::Result<$Name> {
                Ok($Name { pipe: Pipe::new(pipe.into())? })
            }
        }

        impl AsFd for $Name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.as_fd()
            }
        }

        impl From<$Name> for Stdio {
            fn from(end: $Name) -> Stdio {
                end.pipe.into_blocking().into()
            }
        }
    };
}

end_of_pipe!(ChildStdin, "Writes to a child's stdin, which ends when this is dropped");
end_of_pipe!(ChildStdout, "Reads a child's stdout");
end_of_pipe!(ChildStderr, "Reads a child's stderr");

macro_rules! readable {
    ($($Name:ty),*) => {$(
        impl Read for $Name {
            /// Waits for something to read; zero bytes are the end. Unwinds when cancelled; nothing is lost then.
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.pipe.read_within(buf, WaitLimit::Never)
            }
        }
    )*};
}

readable!(ChildStdout, &ChildStdout, ChildStderr, &ChildStderr);

macro_rules! writable {
    ($($Name:ty),*) => {$(
        impl Write for $Name {
            /// Waits for room, and writes what fits. Unwinds when cancelled; nothing is written then.
            /// `BrokenPipe` when the child has closed its stdin.
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.pipe.write(buf)
            }

            /// Does nothing: what has been written is in the pipe.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

writable!(ChildStdin, &ChildStdin);
