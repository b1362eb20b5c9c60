//! A value that many look at and are told of when it changes; only the latest counts.
//!
//! A receiver that looks rarely sees the latest value and none of those in between, so nothing piles up.
//! For a configuration, a state, the number of something: wherever an old value is worth nothing.
//!
//! # Invariants
//!
//! - Each value set has a version; a receiver has seen up to one of them, and `changed` waits for another.
//!   A change made while nobody waits is therefore not lost, and neither is one whose wake met a cancellation.
//! - Values are shared, never lent: what [`borrow`](WatchReceiver::borrow) gives may be kept across waits,
//!   and no borrow of the channel is alive while code of the user's runs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::RefusedError;
use crate::cancel;
use crate::park::{Reason, Unparked};
use crate::wait_queue::WaitQueue;

const LEAVING: Reason = Reason::Other("the last watcher to leave");
const CHANGING: Reason = Reason::Other("a change of a watched value");

/// Makes a channel that holds one value, the latest.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel, spawn, test};
///
/// test::run(|| {
///     let (setting, watcher) = channel::watch(1);
///     let seen = spawn(move || {
///         watcher.changed().unwrap();
///         watcher.get()
///     });
///     setting.set(2);
///     setting.set(3);
///     assert_eq!(seen.join().unwrap(), 3);
/// });
/// ```
pub fn watch<T>(value: T) -> (WatchSender<T>, WatchReceiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(Rc::new(value)),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        changed: WaitQueue::new(),
        closed: WaitQueue::new(),
    });
    let receiver = shared.subscribe();
    (WatchSender { shared }, receiver)
}

struct Shared<T> {
    value: RefCell<Rc<T>>,
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Receivers, for the next version or the end of the senders.
    changed: WaitQueue,
    /// Senders, for the end of the receivers.
    closed: WaitQueue,
}

impl<T> Shared<T> {
    fn subscribe(self: &Rc<Self>) -> WatchReceiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        WatchReceiver { shared: self.clone(), seen: Cell::new(self.version.get()) }
    }

    fn value(&self) -> Rc<T> {
        self.value.borrow().clone()
    }

    fn replace(&self, value: T) -> Rc<T> {
        let old = self.value.replace(Rc::new(value));
        self.version.set(self.version.get() + 1);
        self.changed.wake_all();
        old
    }
}

/// The end that sets the value; a clone sets the same one.
pub struct WatchSender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> WatchSender<T> {
    /// Sets the value and tells every receiver, even if it equals the one before. Never waits.
    ///
    /// Without receivers it is kept for those who [`subscribe`](Self::subscribe).
    pub fn set(&self, value: T) {
        drop(self.shared.replace(value));
    }

    /// Sets the value and returns the one before. Never waits.
    pub fn replace(&self, value: T) -> Rc<T> {
        self.shared.replace(value)
    }

    /// Changes a copy of the value and sets that. Never waits.
    ///
    /// If `change` panics the value stays as it was; if `change` sets the value itself, its own result comes after.
    pub fn modify(&self, change: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        let mut value = T::clone(&self.borrow());
        change(&mut value);
        self.set(value);
    }

    /// The value, shared: it stays what it is when another is set, and may be kept across waits.
    pub fn borrow(&self) -> Rc<T> {
        self.shared.value()
    }

    /// A clone of the value.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        T::clone(&self.borrow())
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> WatchReceiver<T> {
        self.shared.subscribe()
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receivers() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Errors
    ///
    /// [`RefusedError`] when there are receivers and the coroutine unwinds, and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn closed(&self) -> Result<(), RefusedError> {
        cancel::checkpoint_current();
        while !self.is_closed() {
            if self.shared.closed.wait_for("WatchSender::closed", LEAVING, None) != Unparked::Woken {
                return Err(RefusedError { operation: "closed" });
            }
        }
        Ok(())
    }
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> WatchSender<T> {
        self.shared.senders.set(self.shared.senders.get() + 1);
        WatchSender { shared: self.shared.clone() }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        self.shared.senders.set(self.shared.senders.get() - 1);
        if self.shared.senders.get() == 0 {
            self.shared.changed.wake_all();
        }
    }
}

impl<T> fmt::Debug for WatchSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchSender(version {}, {} receivers)", self.shared.version.get(), self.receivers())
    }
}

/// The end that looks at the value; a clone has seen what this one has.
pub struct WatchReceiver<T> {
    shared: Rc<Shared<T>>,
    /// The version it has seen.
    seen: Cell<u64>,
}

impl<T> WatchReceiver<T> {
    /// The latest value, shared; looking does not count as having seen a change.
    ///
    /// It stays what it is when another is set, and may be kept across waits. There is one even after the last
    /// sender has gone.
    pub fn borrow(&self) -> Rc<T> {
        self.shared.value()
    }

    /// A clone of the latest value, as [`borrow`](Self::borrow) otherwise.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        T::clone(&self.borrow())
    }

    /// Whether the value was set since this receiver was last told.
    pub fn has_changed(&self) -> bool {
        self.seen.get() != self.shared.version.get()
    }

    /// Waits until the value is set, if it has not been since this receiver was last told.
    ///
    /// Several changes in between count as one.
    ///
    /// # Errors
    ///
    /// [`WatchError::Closed`] when the last sender has gone and its last value has been seen;
    /// [`WatchError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the change, should there be one, has then not been seen.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn changed(&self) -> Result<(), WatchError> {
        cancel::checkpoint_current();
        loop {
            if let Some(ended) = self.try_changed() {
                return ended;
            }
            if self.shared.changed.wait_for("WatchReceiver::changed", CHANGING, None) != Unparked::Woken {
                return Err(WatchError::Refused);
            }
        }
    }

    /// Where its waits are, for those that select.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.shared.changed
    }

    /// Sees the change, if there is one or can be none; never waits.
    pub(crate) fn try_changed(&self) -> Option<Result<(), WatchError>> {
        if self.has_changed() {
            self.seen.set(self.shared.version.get());
            return Some(Ok(()));
        }
        (self.shared.senders.get() == 0).then_some(Err(WatchError::Closed))
    }

    /// Waits until `accept` says yes of the latest value, and returns it; asks at once, and then after changes.
    ///
    /// Every value it was asked about counts as seen.
    ///
    /// # Errors
    ///
    /// [`WatchError`], as for [`changed`](Self::changed).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    pub fn wait_for(&self, mut accept: impl FnMut(&T) -> bool) -> Result<Rc<T>, WatchError> {
        loop {
            self.seen.set(self.shared.version.get());
            let value = self.borrow();
            if accept(&value) {
                return Ok(value);
            }
            self.changed()?;
        }
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> WatchReceiver<T> {
        let clone = self.shared.subscribe();
        clone.seen.set(self.seen.get());
        clone
    }
}

impl<T> Drop for WatchReceiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        if self.shared.receivers.get() == 0 {
            self.shared.closed.wake_all();
        }
    }
}

impl<T> fmt::Debug for WatchReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchReceiver(version {} of {})", self.seen.get(), self.shared.version.get())
    }
}

/// Why a receiver has seen no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchError {
    /// Nobody is left who could set the value, and the last one has been seen.
    Closed,
    /// There is no change now, and a coroutine that unwinds cannot wait for one.
    Refused,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WatchError::Closed => "watching a value that nobody can set any more",
            WatchError::Refused => "watching: a coroutine that unwinds cannot wait; use shield before it does",
        })
    }
}

impl std::error::Error for WatchError {}
