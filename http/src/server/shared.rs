//! What all connections of a server share.

use std::cell::{Cell, Ref, RefCell};
use std::time::{Duration, Instant, SystemTime};

use grapeshot_core::now;

#[cfg(feature = "tls")]
use super::Security;
use crate::Limits;
use crate::connection::Buffers;
use crate::log::LogEntry;
use crate::proto::StandingHeaders;
use crate::request::Request;
use crate::response::Response;

/// How many sets of buffers are kept for connections that wake.
const SPARE_BUFFERS: usize = 64;

/// How many connections keep their stack while they wait for a next request.
///
/// Their stacks then stay in the processor's cache; with hundreds, those who come back find theirs evicted,
/// and keeping it costs more than it saves.
const MOST_LINGERING: usize = 32;

/// A buffer that has grown beyond this is not kept.
const LARGEST_SPARE: usize = 64 << 10;

pub(super) type Log = Box<dyn Fn(&LogEntry<'_>)>;

/// A handler, as connections call it.
type Answerer = dyn Fn(&mut Request<'_>, &mut Option<Response>);

/// What all connections of a server share.
pub(crate) struct Shared {
    /// Puts the response where it is to stay: see [`answer`](crate::answer::answer).
    pub(crate) handler: Box<Answerer>,
    pub(crate) limits: Limits,
    pub(crate) linger: Duration,
    pub(crate) log: Option<Log>,
    #[cfg(feature = "tls")]
    pub(crate) security: Security,
    pub(super) draining: Cell<bool>,
    pub(super) lingering: Cell<usize>,
    pub(super) standing: RefCell<StandingHeaders>,
    pub(super) date_expires: Cell<Option<Instant>>,
    #[expect(clippy::vec_box, reason = "they are handed over as they are, some hundred bytes each")]
    pub(super) spare: RefCell<Vec<Box<Buffers>>>,
}

impl Shared {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The headers of every response; the date is rendered anew when the second is over.
    pub(crate) fn standing(&self) -> Ref<'_, StandingHeaders> {
        let now = now();
        if self.date_expires.get().is_none_or(|expires| now >= expires) {
            let time = SystemTime::now();
            let into_second = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            self.standing.borrow_mut().update(time);
            self.date_expires.set(Some(now + Duration::from_nanos(u64::from(1_000_000_000 - into_second))));
        }
        self.standing.borrow()
    }

    /// A place among the connections that keep their stack for a moment, while there is one.
    pub(crate) fn linger_place(&self) -> Option<LingerPlace<'_>> {
        let taken = self.lingering.get();
        let is_free = taken < MOST_LINGERING && !self.linger.is_zero();
        is_free.then(|| {
            self.lingering.set(taken + 1);
            LingerPlace(&self.lingering)
        })
    }

    pub(crate) fn take_buffers(&self) -> Box<Buffers> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back_buffers(&self, mut buffers: Box<Buffers>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS && buffers.capacity() <= LARGEST_SPARE {
            buffers.clear();
            spare.push(buffers);
        }
    }
}

/// Counts a lingering connection for as long as it lingers.
pub(crate) struct LingerPlace<'a>(&'a Cell<usize>);

impl Drop for LingerPlace<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
