//! The operating system's readiness events, behind a trait of four functions.
//!
//! The trait is the seam for a simulated reactor and for io_uring; [`MioReactor`] is the real one.
//! It knows descriptors and tokens, and nothing of coroutines or sources.
//!
//! # Invariants
//!
//! - Events are edge-triggered: one is reported for each change, so whoever clears a readiness flag must have seen
//!   the descriptor would-block, or have read less than it asked for from a TCP stream (DESIGN §9).
//! - A descriptor is registered for both directions at once, and deregistered before it is closed or given away.
//!
//! Sources: epoll(7); mio 1.2, which rounds a timeout up to whole milliseconds.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// What a descriptor is ready for, as a set of bits.
pub(crate) mod readiness {
    pub(crate) const READABLE: u8 = 1;
    pub(crate) const WRITABLE: u8 = 2;
    /// The peer will send no more. Sticks.
    pub(crate) const READ_CLOSED: u8 = 4;
    /// Nothing more can be sent. Sticks.
    pub(crate) const WRITE_CLOSED: u8 = 8;
    /// An error waits to be fetched. Sticks.
    pub(crate) const ERROR: u8 = 16;

    /// The bits that make a read worth a try.
    pub(crate) const FOR_READING: u8 = READABLE | READ_CLOSED | ERROR;
    /// The bits that make a write worth a try.
    pub(crate) const FOR_WRITING: u8 = WRITABLE | WRITE_CLOSED | ERROR;
}

/// One change of one descriptor.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: usize,
    pub(crate) readiness: u8,
}

/// What other threads may ask of a reactor.
pub(crate) trait Remote: Send + Sync {
    /// Stops reporting changes of `descriptor`.
    fn deregister(&self, descriptor: RawFd);
    /// Makes the poll that waits now, or else the next one, return at once.
    fn wake(&self);
}

/// A source of readiness events.
pub(crate) trait Reactor {
    /// Starts reporting changes of `descriptor`, both directions, its present state first.
    fn register(&self, descriptor: RawFd, token: usize) -> io::Result<()>;
    /// Stops reporting changes of `descriptor`.
    fn deregister(&self, descriptor: RawFd) -> io::Result<()>;
    /// A handle for other threads; asked for once.
    fn remote(&self) -> io::Result<Box<dyn Remote>>;
    /// Waits up to `timeout` for changes and adds them to `found`; returns early when interrupted.
    fn poll(&mut self, timeout: Duration, found: &mut Vec<Event>) -> io::Result<()>;
}

/// At most this many events are taken from the system at a time (SCH-4).
const EVENTS_PER_POLL: usize = 2000;

/// The token of the waker; slots count from zero and never get there.
const WAKER_TOKEN: Token = Token(usize::MAX - 2);

/// The reactor on mio: epoll here, kqueue where that is the system's way.
pub(crate) struct MioReactor {
    poll: Poll,
    events: Events,
}

impl MioReactor {
    pub(crate) fn new() -> io::Result<MioReactor> {
        Ok(MioReactor { poll: Poll::new()?, events: Events::with_capacity(EVENTS_PER_POLL) })
    }

    fn registry(&self) -> &Registry {
        self.poll.registry()
    }
}

impl Reactor for MioReactor {
    fn register(&self, descriptor: RawFd, token: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry().register(&mut SourceFd(&descriptor), Token(token), both)
    }

    fn deregister(&self, descriptor: RawFd) -> io::Result<()> {
        self.registry().deregister(&mut SourceFd(&descriptor))
    }

    fn remote(&self) -> io::Result<Box<dyn Remote>> {
        let registry = self.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKER_TOKEN)?;
        Ok(Box::new(MioRemote { registry, waker }))
    }

    fn poll(&mut self, timeout: Duration, found: &mut Vec<Event>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let descriptors = self.events.iter().filter(|event| event.token() != WAKER_TOKEN);
        found.extend(descriptors.map(|event| Event { token: event.token().0, readiness: readiness_of(event) }));
        Ok(())
    }
}

struct MioRemote {
    registry: Registry,
    waker: Waker,
}

impl Remote for MioRemote {
    fn deregister(&self, descriptor: RawFd) {
        // It fails when the descriptor is closed already, and then there is nothing left to forget.
        let _ = self.registry.deregister(&mut SourceFd(&descriptor));
    }

    fn wake(&self) {
        // The write to an eventfd that is open fails only when its counter is full, and then it wakes already.
        let _ = self.waker.wake();
    }
}

fn readiness_of(event: &mio::event::Event) -> u8 {
    [
        (event.is_readable(), readiness::READABLE),
        (event.is_writable(), readiness::WRITABLE),
        (event.is_read_closed(), readiness::READ_CLOSED),
        (event.is_write_closed(), readiness::WRITE_CLOSED),
        (event.is_error(), readiness::ERROR),
    ]
    .into_iter()
    .fold(0, |bits, (is, bit)| if is { bits | bit } else { bits })
}
