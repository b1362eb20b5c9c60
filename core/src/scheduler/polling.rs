//! What the loop hears from outside: events of descriptors, and what other threads bring.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use rustix::process::getpid;

use super::{SIGNAL_TOKEN, Scheduler};
use crate::panics;
use crate::park::Outcome;
use crate::reactor::Event;

/// The longest time the loop waits in the poller (SCH-4).
const LONGEST_POLL: Duration = Duration::from_secs(30);

/// Why a forked child ends that would wait in the reactor.
const FORKED: &str = "this process was forked from the one that runs the loop, whose reactor it shares: \
                      after a fork only exec, or a new process, is safe";

impl Scheduler {
    pub(super) fn poll_timeout(&self) -> Duration {
        let timer = self.timers.borrow().next_deadline();
        let next = timer.into_iter().chain(self.sweeper.next_look(&self.stacks)).min();
        next.map_or(LONGEST_POLL, |at| Duration::from_nanos(at.saturating_sub(self.clock.nanos())).min(LONGEST_POLL))
    }

    pub(super) fn poll(&self, timeout: Duration) -> io::Result<()> {
        let mut events = self.events.take();
        let timeout = self.inbox.get().map_or(timeout, |inbox| inbox.before_poll(timeout));
        let mut reactor = self.reactor.borrow_mut();
        if timeout.is_zero() {
            reactor.poll(timeout, &mut events)?;
        } else {
            // A system call, which is little beside a wait; where coroutines are runnable it would not be.
            if getpid() != self.process.get() {
                panics::abort(FORKED);
            }
            self.pulse.wait(|| reactor.poll(timeout, &mut events))?;
        }
        drop(reactor);
        for event in events.drain(..) {
            self.dispatch(event);
        }
        self.events.replace(events);
        self.take_mail();
        Ok(())
    }

    /// Does what other threads have brought.
    fn take_mail(&self) {
        let mut mail = self.mail.take();
        if self.inbox.get().is_some_and(|inbox| inbox.collect(&mut mail)) {
            mail.released.drain(..).for_each(|slot| self.close_slot(slot));
            for ticket in mail.woken.drain(..) {
                // A waiter that was cancelled in the meantime has passed its wake on.
                self.end_foreign_wait(ticket);
            }
            mail.calls.drain(..).for_each(|call| call());
        }
        self.mail.replace(mail);
    }

    /// Polls without waiting longer than `timeout`, for the virtual clock; says whether anything woke.
    pub(crate) fn poll_for(&self, timeout: Duration) -> io::Result<bool> {
        self.poll(timeout)?;
        Ok(self.has_runnable())
    }

    /// Polls until something woke, for at most `patience` of real time; says whether it did.
    ///
    /// An event for which nobody waits, such as the end of a pipe to a child that was killed, wakes nobody and ends no wait.
    pub(crate) fn poll_until_woken(&self, patience: Duration) -> io::Result<bool> {
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            self.poll(left)?;
            if self.has_runnable() || self.signalled.get() {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    fn dispatch(&self, event: Event) {
        if event.token == SIGNAL_TOKEN {
            self.signalled.set(true);
            return;
        }
        for unparker in self.slots.note(event.token as u32, event.readiness).into_iter().flatten() {
            // A waiter that was cancelled in the meantime has withdrawn by itself.
            let _ = self.unpark(&unparker, Outcome::Woken);
        }
    }

    pub(crate) fn register(&self, descriptor: RawFd) -> io::Result<u32> {
        let slot = self.slots.open();
        let registered = self.reactor.borrow().register(descriptor, slot as usize);
        if let Err(error) = registered {
            self.slots.close(slot);
            return Err(error);
        }
        Ok(slot)
    }

    pub(crate) fn register_signals(&self, descriptor: RawFd) -> io::Result<()> {
        self.reactor.borrow().register(descriptor, SIGNAL_TOKEN)
    }

    /// Takes a descriptor out of the reactor; its slot is still to be closed.
    pub(crate) fn deregister(&self, descriptor: RawFd) {
        // It can only fail for a descriptor that is gone already.
        let _ = self.reactor.borrow().deregister(descriptor);
    }

    /// Forgets a slot and wakes whoever waits on it, to find out why.
    pub(crate) fn close_slot(&self, slot: u32) {
        for unparker in self.slots.close(slot).into_iter().flatten() {
            let _ = self.unpark(&unparker, Outcome::Woken);
        }
    }
}
