//! Any descriptor that epoll takes: eventfd, timerfd, inotify, terminals, devices, sockets of other kinds.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use grapeshot_core::{Direction, Source};

use crate::channel::Channel;
use crate::handle::{read_limit_api, write_limit_api};

/// A descriptor of any kind on which coroutines wait. Not in std.
///
/// It reads and writes by read(2) and write(2); for other operations there is [`attempt`](Self::attempt).
/// One coroutine may wait for reading while another waits for writing.
///
/// Files on a disk are no such descriptors: they are always ready, and reading them blocks the thread.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::Pollable;
/// use rustix::event::{EventfdFlags, eventfd};
///
/// test::run(|| {
///     let event = Pollable::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
///     let mut count = [0; 8];
///     (&event).write_all(&5_u64.to_ne_bytes()).unwrap();
///     (&event).read_exact(&mut count).unwrap();
///     assert_eq!(u64::from_ne_bytes(count), 5);
/// });
/// ```
pub struct Pollable<T: AsFd> {
    channel: Channel<T>,
}

read_limit_api!(Pollable<T: AsFd>);
write_limit_api!(Pollable<T: AsFd>);

impl<T: AsFd> Pollable<T> {
    /// Takes over a descriptor, and puts it into non-blocking mode.
    ///
    /// That mode belongs to the open file: whoever shares it, such as other processes on one terminal, sees it too.
    ///
    /// # Errors
    ///
    /// When the system refuses that mode.
    pub fn new(inner: T) -> io::Result<Pollable<T>> {
        rustix::io::ioctl_fionbio(&inner, true)?;
        Ok(Pollable { channel: Channel::new(inner) })
    }

    /// What was taken over.
    pub fn inner(&self) -> &T {
        self.channel.inner()
    }

    /// Gives it back, deregistered from the loop and still in non-blocking mode.
    pub fn into_inner(self) -> T {
        self.channel.source.into_inner()
    }

    /// Waits until there is something to read, or an end or an error to be read, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the read timeout; a closed error; `PermissionDenied` for what epoll
    /// does not take.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_readable(&self) -> io::Result<()> {
        self.channel.source.wait_ready(Direction::Read, "wait_readable", self.channel.read_timeout.limit())
    }

    /// Waits until there is room to write, or an error to be told of.
    ///
    /// # Errors
    ///
    /// As [`wait_readable`](Self::wait_readable), after the write timeout.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_writable(&self) -> io::Result<()> {
        self.channel.source.wait_ready(Direction::Write, "wait_writable", self.channel.write_timeout.limit())
    }

    /// Runs `operation` until it does something else than [`io::ErrorKind::WouldBlock`], parking in between.
    ///
    /// `name` appears where a person looks for what the coroutine waits for.
    ///
    /// # Errors
    ///
    /// What `operation` fails with, and as [`wait_readable`](Self::wait_readable).
    ///
    /// # Cancellation
    ///
    /// Unwinds, never between a success and its result.
    pub fn attempt<R>(
        &self,
        direction: Direction,
        name: &'static str,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        match direction {
            Direction::Read => self.channel.take(name, operation),
            Direction::Write => self.channel.give(name, operation),
        }
    }

    /// Ends every wait on this descriptor with an error and refuses all further use.
    ///
    /// Idempotent; answers whether it was open. Never suspends. The descriptor itself is closed on drop.
    pub fn close(&self) -> bool {
        self.channel.source.close()
    }

    /// The source below, to wait for readiness or to hibernate on.
    pub fn source(&self) -> &Source<T> {
        &self.channel.source
    }
}

impl<T: AsFd> Read for &Pollable<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.channel.take("read", |inner| Ok(rustix::io::read(inner, &mut *buf)?))
    }
}

impl<T: AsFd> Write for &Pollable<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.channel.give("write", |inner| Ok(rustix::io::write(inner, buf)?))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsFd> Read for Pollable<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl<T: AsFd> Write for Pollable<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: AsFd> AsFd for Pollable<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.source.as_fd()
    }
}

impl<T: AsFd> fmt::Debug for Pollable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollable").field("descriptor", &self.as_fd().as_raw_fd()).finish()
    }
}
