//! Functions that give items one after the other: iterators written as loops, which yield from any depth.
//!
//! ```text
//!   consumer:  resume(value) ──► waits ────────────────────► Some(item)      … ──► None
//!                  │ value                                      ▲ item              ▲
//!                  ▼                                            │                   │
//!   body:      runs, may wait for anything ──► yield_item(item) ┘ waits      … returns
//! ```
//!
//! A generator's body is a coroutine like any other, so a helper deep in its calls can yield, and it may sleep and
//! read sockets while its consumer waits (BEA-20).
//! An item costs two switches and two passes through the run queue, so whoever else is runnable gets a turn meanwhile.
//! That is a little more than an item through a channel without a queue costs, and about six times a `yield_now`.
//!
//! # Invariants
//!
//! - The body runs only when an item has been asked for, and not ahead of that.
//! - An item is lost only with the generator: one that its consumer, cut off, no longer waits for is kept for the next
//!   [`resume`](Generator::resume).
//! - The body ends with its generator: dropped half-way, it is unwound at its wait, with its destructors.
//!
//! The runtime's end leaves it to its consumer, as it does the children of a scope; so a server that finishes its work
//! when it is told to end can use generators until the last moment.
//!
//! Sources: PEP 255 and PEP 342 for what a generator is; D. Beazley, "A Curious Course on Coroutines and Concurrency".

use std::cell::Cell;
use std::fmt;
use std::iter::FusedIterator;
use std::rc::Rc;
use std::thread;

use crate::family::Family;
use crate::panics;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park};
use crate::spawn::{Builder, FamilyRef, JoinError, JoinHandle, Unstarted};

const FOR_AN_ITEM: Reason = Reason::Other("a generator's next item");
const TO_BE_RESUMED: Reason = Reason::Other("the generator to be resumed");

/// A function that gives items of type `T`, and is given a value of type `S` for each.
///
/// Without values to be given it is an iterator.
///
/// # Examples
///
/// ```
/// use grapeshot_core::generator::{Generator, Yielder};
/// use grapeshot_core::test;
///
/// fn count_down(from: u32, yielder: &Yielder<u32>) {
///     if from > 0 {
///         yielder.yield_item(from);
///         count_down(from - 1, yielder);
///     }
/// }
///
/// test::run(|| {
///     let numbers = Generator::new(|yielder| count_down(3, yielder));
///     assert_eq!(numbers.collect::<Vec<_>>(), [3, 2, 1]);
/// });
/// ```
#[must_use = "a generator does nothing until it is resumed"]
pub struct Generator<T, S = ()> {
    shared: Rc<Shared<T, S>>,
    body: Body,
    family: Rc<Family>,
}

enum Body {
    Unstarted(Unstarted<()>),
    Started(JoinHandle<()>),
    Over,
}

/// Where the two sides meet.
struct Shared<T, S> {
    item: Cell<Option<T>>,
    value: Cell<Option<S>>,
    /// An item has been asked for and not yet been given.
    owed: Cell<bool>,
    /// The body is over, or about to be.
    ended: Cell<bool>,
    consumer: Cell<Option<Unparker>>,
    producer: Cell<Option<Unparker>>,
}

impl<T, S> Shared<T, S> {
    fn new() -> Rc<Shared<T, S>> {
        Rc::new(Shared {
            item: Cell::new(None),
            value: Cell::new(None),
            owed: Cell::new(false),
            ended: Cell::new(false),
            consumer: Cell::new(None),
            producer: Cell::new(None),
        })
    }
}

/// Ends a wait, if there is one. One that was cut off looks again at the next resume.
fn wake(side: &Cell<Option<Unparker>>) {
    if let Some(unparker) = side.take() {
        let _ = unparker.unpark();
    }
}

/// Waits until the other side wakes this one.
#[track_caller]
fn wait_on(side: &Cell<Option<Unparker>>, reason: Reason) -> Unparked {
    let withdraw = || {
        side.set(None);
        Withdrawal::Withdrawn
    };
    park(reason, None, |unparker| side.set(Some(unparker)), withdraw)
}

impl<T: 'static> Generator<T> {
    /// Makes a generator; its body runs when the first item is asked for. Never suspends.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn new(body: impl FnOnce(&Yielder<T>) + 'static) -> Generator<T> {
        Generator::receiving(|yielder, ()| body(yielder))
    }
}

impl<T: 'static, S: 'static> Generator<T, S> {
    /// Makes a generator that is given a value with each [`resume`](Self::resume).
    ///
    /// The first is an argument of the body, so there is nothing to be primed;
    /// the others are what [`Yielder::yield_item`] returns. Never suspends.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::{generator::Generator, test};
    ///
    /// test::run(|| {
    ///     let mut average = Generator::receiving(|yielder, first: f64| {
    ///         let (mut sum, mut count) = (first, 1.0);
    ///         loop {
    ///             sum += yielder.yield_item(sum / count);
    ///             count += 1.0;
    ///         }
    ///     });
    ///     assert_eq!(average.resume(10.0), Some(10.0));
    ///     assert_eq!(average.resume(20.0), Some(15.0));
    /// });
    /// ```
    #[track_caller]
    pub fn receiving(body: impl FnOnce(&Yielder<T, S>, S) + 'static) -> Generator<T, S> {
        let shared = Shared::new();
        let family = Rc::new(Family::of_group());
        // Made here, so that it tells of the end of a body that was cancelled before it ran.
        let yielder = Yielder { shared: shared.clone() };
        let run = move || {
            if let Some(first) = yielder.shared.value.take() {
                body(&yielder, first);
            }
        };
        let mut builder = Builder::new();
        builder.family = Some(FamilyRef(family.clone()));
        let unstarted = match builder.unstarted(run) {
            Ok(unstarted) => unstarted,
            Err(error) => panic!("a generator: {error}"),
        };
        family.add(unstarted.erased());
        Generator { shared, body: Body::Unstarted(unstarted), family }
    }
}

impl<T, S> Generator<T, S> {
    /// Gives the body `value`, lets it run, and waits for its next item; `None` when it has returned.
    ///
    /// After a `resume` that was cut off, the item that it asked for is still owed: then `value` is dropped, and this
    /// waits for that item. [`is_owed`](Self::is_owed) says beforehand.
    /// `None` as well when the body was cancelled, as the runtime does in the end.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the body goes on to its next item, which is kept.
    ///
    /// # Panics
    ///
    /// With the panic of the body, once. Outside a coroutine, unless the body is over.
    ///
    /// # Aborts
    ///
    /// When the caller unwinds, and so cannot wait for an item that is not there yet.
    #[track_caller]
    pub fn resume(&mut self, value: S) -> Option<T> {
        if matches!(self.body, Body::Over) {
            return None;
        }
        if thread::panicking() {
            return self.resume_unwinding();
        }
        if !self.shared.owed.get() {
            self.ask(value);
        }
        loop {
            if let Some(item) = self.shared.item.take() {
                self.shared.owed.set(false);
                return Some(item);
            }
            if self.shared.ended.get() {
                self.finish();
                return None;
            }
            // However it was ended, what it waited for is looked at.
            let _ = wait_on(&self.shared.consumer, FOR_AN_ITEM);
        }
    }

    /// Gives a coroutine that unwinds what is there, and does not pretend that there is nothing when it cannot know.
    fn resume_unwinding(&mut self) -> Option<T> {
        if let Some(item) = self.shared.item.take() {
            self.shared.owed.set(false);
            return Some(item);
        }
        if self.shared.ended.get() {
            return None;
        }
        panics::abort(&format!(
            "{self:?}: resumed by a coroutine that unwinds, when it could not wait for the next item"
        ))
    }

    /// Whether a [`resume`](Self::resume) was cut off and its item is still to be taken.
    pub fn is_owed(&self) -> bool {
        self.shared.owed.get()
    }

    /// Ends the body and waits until its destructors have run.
    ///
    /// Dropping the generator ends the body as well, but does not wait: it unwinds at its next turn.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the body ends all the same.
    ///
    /// # Panics
    ///
    /// With a panic of the body's. Outside a coroutine, unless the body is over.
    pub fn close(mut self) {
        if let Body::Started(handle) = &self.body {
            handle.cancel();
            self.finish();
        }
    }

    fn ask(&mut self, value: S) {
        crate::cancel::checkpoint_current();
        self.shared.value.set(Some(value));
        self.shared.owed.set(true);
        match std::mem::replace(&mut self.body, Body::Over) {
            Body::Unstarted(unstarted) => self.body = Body::Started(unstarted.start()),
            body => {
                self.body = body;
                wake(&self.shared.producer);
            }
        }
    }

    /// Waits for the coroutine's end and raises its panic.
    fn finish(&mut self) {
        let Body::Started(handle) = &self.body else { return };
        // First without the result, so that a consumer that is cut off here can ask again.
        if handle.coroutine().wait_finished().is_err() {
            return;
        }
        let Body::Started(handle) = std::mem::replace(&mut self.body, Body::Over) else { return };
        self.shared.owed.set(false);
        if let Err(JoinError::Panicked(panic)) = handle.join() {
            panic.resume();
        }
    }
}

impl<T> Iterator for Generator<T> {
    type Item = T;

    /// The next item: see [`resume`](Generator::resume).
    fn next(&mut self) -> Option<T> {
        self.resume(())
    }
}

impl<T> FusedIterator for Generator<T> {}

impl<T, S> Drop for Generator<T, S> {
    fn drop(&mut self) {
        // One that never ran is dropped as it is.
        if let Body::Started(handle) = &self.body {
            handle.cancel();
        }
        self.family.forget_children();
    }
}

impl<T, S> fmt::Debug for Generator<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Unstarted(unstarted) => write!(f, "Generator({}, unstarted)", unstarted.coroutine().id()),
            Body::Started(handle) => write!(f, "Generator({})", handle.coroutine().id()),
            Body::Over => f.write_str("Generator(over)"),
        }
    }
}

/// What a generator's body gives its items to.
///
/// Its methods are for the body; helpers take a reference to it.
pub struct Yielder<T, S = ()> {
    shared: Rc<Shared<T, S>>,
}

impl<T, S> Yielder<T, S> {
    /// Gives the consumer an item, waits until the next one is asked for, and returns the value given with that.
    ///
    /// # Cancellation
    ///
    /// Unwinds, when the generator has been dropped or closed.
    ///
    /// # Panics
    ///
    /// Outside coroutines.
    ///
    /// # Aborts
    ///
    /// When called by a destructor of a body that unwinds: it could not wait to be resumed.
    pub fn yield_item(&self, item: T) -> S {
        if thread::panicking() {
            panics::abort("yield_item: called while the generator unwinds, when it could not wait to be resumed");
        }
        self.shared.item.set(Some(item));
        wake(&self.shared.consumer);
        loop {
            // However it was ended, what it waited for is looked at.
            let _ = wait_on(&self.shared.producer, TO_BE_RESUMED);
            if let Some(value) = self.shared.value.take() {
                return value;
            }
        }
    }
}

impl<T, S> Drop for Yielder<T, S> {
    fn drop(&mut self) {
        self.shared.ended.set(true);
        wake(&self.shared.consumer);
    }
}

impl<T, S> fmt::Debug for Yielder<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}
