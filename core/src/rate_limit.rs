//! A limit on how often something happens: so many units a duration, with bursts.
//!
//! The generic cell rate algorithm: a bucket of `burst` tokens that refills at the given rate, kept as one point in time,
//! that at which the bucket will be full again.
//! Taking units moves it later by what they take to refill, and is allowed while it stays within a whole bucket of now.
//!
//! ```text
//!   acquire ──► turn free? ──no──► wait queue ──► its turn
//!                   └──yes──► enough in the bucket? ──no──► sleep until there is ──► take
//! ```
//!
//! # Invariants
//!
//! - First come, first served: who waits has the turn or a place in the queue, and nobody takes units past them.
//! - Only the one whose turn it is has a timer; units are taken when its wait is over, so one cancelled takes none.
//! - The turn is passed on in every case, a cancelled one's included.
//! - The arithmetic is exact: time is counted in nanoseconds times units, so that no rate drifts.
//!
//! Source: ITU-T I.371, annex A, "virtual scheduling".

use std::cell::Cell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::park::{Reason, Unparked};
use crate::scheduler::now;
use crate::wait_queue::WaitQueue;
use crate::yielding::sleep_until;

/// A token bucket: at most so many units a duration, waited for in the order of arrival.
///
/// Time is the runtime's, so a test's is virtual.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{RateLimiter, now, test};
///
/// test::run(|| {
///     let limiter = RateLimiter::new(10, Duration::from_secs(1)).burst(1);
///     let began = now();
///     for _request in 0..3 {
///         limiter.until_ready().unwrap();
///     }
///     assert_eq!(now() - began, Duration::from_millis(200));
/// });
/// ```
pub struct RateLimiter {
    units: u32,
    per_nanos: u64,
    burst: u32,
    epoch: Instant,
    /// When the bucket will be full again, in nanoseconds since `epoch` times `units`.
    full_at: Cell<u128>,
    /// Somebody has the turn.
    taken: Cell<bool>,
    turns: WaitQueue,
    /// What those who wait will take.
    wanted: Cell<u64>,
}

impl RateLimiter {
    /// Allows `units` each `per`, and after a pause a burst of as many at once; the bucket starts full.
    ///
    /// # Panics
    ///
    /// When `units` or `per` is zero, or `per` is longer than 500 years.
    #[track_caller]
    pub fn new(units: u32, per: Duration) -> RateLimiter {
        assert!(units > 0, "a rate of no units would never let anything pass");
        let per_nanos = u64::try_from(per.as_nanos()).unwrap_or(0);
        assert!(per_nanos > 0, "a rate is so many units in 1 ns to 500 years, not in {per:?}");
        RateLimiter {
            units,
            per_nanos,
            burst: units,
            epoch: now(),
            full_at: Cell::new(0),
            taken: Cell::new(false),
            turns: WaitQueue::new(),
            wanted: Cell::new(0),
        }
    }

    /// How many units may pass at once after a pause, and so the most that one [`acquire`](Self::acquire) may ask for.
    ///
    /// # Panics
    ///
    /// When it is zero.
    #[track_caller]
    pub fn burst(mut self, units: u32) -> RateLimiter {
        assert!(units > 0, "a burst of no units would never let anything pass");
        self.burst = units;
        self
    }

    /// Takes `units`, and waits until they may be taken, after everyone who came before.
    ///
    /// # Errors
    ///
    /// [`RateLimitError::TooMany`] for more than the burst, which would wait for ever;
    /// [`RateLimitError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no units are taken then, and those who wait behind move up.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn acquire(&self, units: u32) -> Result<(), RateLimitError> {
        self.check(units)?;
        cancel::checkpoint_current();
        let waiting = Waiting::enter(self, units);
        let turn = self.wait_for_turn()?;
        while let Some(at) = self.refilled_at(units) {
            if thread::panicking() {
                return Err(RateLimitError::Refused);
            }
            sleep_until(at);
        }
        self.take(units);
        drop((turn, waiting));
        Ok(())
    }

    /// Takes one unit: [`acquire(1)`](Self::acquire).
    ///
    /// # Errors
    ///
    /// [`RateLimitError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no unit is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    pub fn until_ready(&self) -> Result<(), RateLimitError> {
        self.acquire(1)
    }

    /// Takes `units` if they may be taken now and nobody waits; never waits.
    ///
    /// # Errors
    ///
    /// [`RateLimitError::NotYet`] with the time to wait; [`RateLimitError::TooMany`] for more than the burst.
    pub fn try_acquire(&self, units: u32) -> Result<(), RateLimitError> {
        self.check(units)?;
        match self.refilled_at(units) {
            None if !self.taken.get() => {
                self.take(units);
                Ok(())
            }
            _ => {
                let all = u128::from(self.wanted.get()) + u128::from(units);
                let full_at = self.start(self.now()) + self.cost(all);
                let at = self.at(full_at.saturating_sub(self.cost(self.burst.into())));
                Err(RateLimitError::NotYet { retry_after: at.saturating_duration_since(now()) })
            }
        }
    }

    /// How many units may be taken now, were there nobody waiting.
    pub fn available(&self) -> u32 {
        let now = self.now();
        let missing = self.start(now).saturating_sub(now);
        let left = self.cost(self.burst.into()).saturating_sub(missing) / u128::from(self.per_nanos);
        u32::try_from(left).unwrap_or(self.burst)
    }

    /// How many coroutines wait.
    pub fn waiting(&self) -> usize {
        self.turns.len() + usize::from(self.taken.get())
    }

    fn check(&self, units: u32) -> Result<(), RateLimitError> {
        if units > self.burst {
            return Err(RateLimitError::TooMany { asked: units, burst: self.burst });
        }
        Ok(())
    }

    /// Waits until everyone who came before has had their units, or has given up.
    #[track_caller]
    fn wait_for_turn(&self) -> Result<Turn<'_>, RateLimitError> {
        // Who passes the turn on leaves it taken for the one it wakes.
        let turn = Reason::Other("its turn at a rate limit");
        if self.taken.replace(true) && self.turns.wait_for("RateLimiter::acquire", turn, None) != Unparked::Woken {
            return Err(RateLimitError::Refused);
        }
        Ok(Turn(self))
    }

    /// When `units` may be taken; `None` if they may be now.
    fn refilled_at(&self, units: u32) -> Option<Instant> {
        let now = self.now();
        let full_at = self.start(now) + self.cost(units.into());
        let allowed_at = full_at.saturating_sub(self.cost(self.burst.into()));
        (allowed_at > now).then(|| self.at(allowed_at))
    }

    fn take(&self, units: u32) {
        self.full_at.set(self.start(self.now()) + self.cost(units.into()));
    }

    /// What the next units are counted from: when the bucket is full, or now if it is.
    ///
    /// A clock counts whole nanoseconds: one who came back in the first that is not too early is not late.
    fn start(&self, now: u128) -> u128 {
        self.full_at.get().max(now.saturating_sub(u128::from(self.units - 1)))
    }

    fn cost(&self, units: u128) -> u128 {
        units * u128::from(self.per_nanos)
    }

    fn now(&self) -> u128 {
        now().saturating_duration_since(self.epoch).as_nanos() * u128::from(self.units)
    }

    /// The first nanosecond that is not before a scaled time.
    fn at(&self, scaled: u128) -> Instant {
        let nanos = u64::try_from(scaled.div_ceil(u128::from(self.units))).unwrap_or(u64::MAX);
        // A time that no clock shows is waited for until somebody cancels; this one comes first.
        self.epoch
            .checked_add(Duration::from_nanos(nanos))
            .unwrap_or_else(|| now() + Duration::from_secs(u32::MAX.into()))
    }
}

/// The turn of one who waits; dropped, it goes to the next.
struct Turn<'a>(&'a RateLimiter);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.0.turns.wake_one() {
            self.0.taken.set(false);
        }
    }
}

/// One who waits, counted until its units are taken or it gives up.
struct Waiting<'a> {
    limiter: &'a RateLimiter,
    units: u32,
}

impl<'a> Waiting<'a> {
    fn enter(limiter: &'a RateLimiter, units: u32) -> Waiting<'a> {
        limiter.wanted.set(limiter.wanted.get() + u64::from(units));
        Waiting { limiter, units }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.limiter.wanted.set(self.limiter.wanted.get() - u64::from(self.units));
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = Duration::from_nanos(self.per_nanos);
        write!(
            f,
            "RateLimiter({} each {per:?}, {} available, {} waiting)",
            self.units,
            self.available(),
            self.waiting()
        )
    }
}

/// Why units were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitError {
    /// They may not be taken now.
    NotYet {
        /// How long until they may be, if everyone who waits now takes theirs first.
        retry_after: Duration,
    },
    /// They are more than may ever be taken at once.
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many may be taken at once.
        burst: u32,
    },
    /// They may not be taken now, and a coroutine that unwinds cannot wait.
    Refused,
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateLimitError::NotYet { retry_after } => write!(f, "over the rate limit: try again in {retry_after:?}"),
            RateLimitError::TooMany { asked, burst } => {
                write!(f, "{asked} units at once will never be within a rate limit with bursts of {burst}")
            }
            RateLimitError::Refused => {
                f.write_str("over the rate limit: a coroutine that unwinds cannot wait; use shield before it does")
            }
        }
    }
}

impl std::error::Error for RateLimitError {}
