//! A set of coroutines that somebody answers for: a server's connections, a pool's workers.
//!
//! Unlike a scope's children they own what they use, come and go, and fail one by one.
//! Leaving `run` cancels a group's owner and leaves the members to it, so that the owner can let them finish;
//! a group that is dropped cancels its members.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use crate::cancel;
use crate::family::Family;
use crate::hibernate::Turn;
use crate::park::{Reason, Unparked};
use crate::spawn::{Builder, Coroutine, FamilyRef, JoinHandle};

/// A set of coroutines, cancelled together when it is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{Builder, Group, sleep, test};
///
/// test::run(|| {
///     let group = Group::new();
///     for seconds in 1..=3 {
///         group.spawn(Builder::new(), move || sleep(Duration::from_secs(seconds))).unwrap();
///     }
///     assert_eq!(group.len(), 3);
///     assert!(group.wait_empty(None));
/// });
/// ```
pub struct Group {
    family: Rc<Family>,
}

impl Default for Group {
    fn default() -> Group {
        Group::new()
    }
}

impl Group {
    /// Makes an empty group.
    pub fn new() -> Group {
        Group { family: Rc::new(Family::of_group()) }
    }

    /// Starts a member. Its panic, if it comes to one, goes to the panic notifier.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn<F, T>(&self, mut builder: Builder, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        builder.family = Some(FamilyRef(self.family.clone()));
        let handle = builder.spawn(f)?;
        self.family.add(handle.erased());
        Ok(handle)
    }

    /// Starts a member that works in turns: see [`Builder::spawn_turns`].
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn_turns(&self, mut builder: Builder, first: impl FnOnce() -> Turn + 'static) -> io::Result<Coroutine> {
        builder.family = Some(FamilyRef(self.family.clone()));
        let member = builder.spawn_turns(first)?;
        self.family.add(member.record.clone());
        Ok(member)
    }

    /// How many members have not ended.
    pub fn len(&self) -> usize {
        self.family.alive()
    }

    /// Whether all members have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members that have not ended.
    pub fn members(&self) -> Vec<Coroutine> {
        self.family.children().into_iter().map(|record| Coroutine { record }).filter(|m| !m.is_finished()).collect()
    }

    /// Cancels every member there is now. Never suspends.
    pub fn cancel_all(&self) {
        self.family.cancel_children();
    }

    /// Waits until fewer than `limit` members are left, or until `deadline`; says whether that is so.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// When `limit` is zero: there are never fewer members than none, and the wait would not end.
    #[track_caller]
    pub fn wait_below(&self, limit: usize, deadline: Option<Instant>) -> bool {
        assert!(limit > 0, "Group::wait_below(0): there are never fewer members than none; wait_empty waits for that");
        while self.len() >= limit {
            match self.family.wait_for_an_end(Reason::Other("a member of its group to end"), deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut | Unparked::Refused => return self.len() < limit,
            }
        }
        true
    }

    /// Waits until all members have ended, or until `deadline`; says whether they have.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_empty(&self, deadline: Option<Instant>) -> bool {
        self.wait_below(1, deadline)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for record in self.family.children() {
            cancel::cancel_coroutine(&record);
        }
        self.family.forget_children();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({} members)", self.len())
    }
}
