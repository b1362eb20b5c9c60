//! Scopes: children that may borrow from their parent, because the parent outwaits them.
//!
//! ```text
//!   body runs ──► body done ───────────────► wait for children ──► result
//!        │                                        │ cancelled
//!        └─ panics, or is cancelled ──► cancel the children, wait ──► goes on unwinding
//! ```
//!
//! # Invariants
//!
//! - [`scope`] neither returns nor unwinds before every child has ended and its closure and result are dropped.
//!   The closures' borrows, whose lifetime is erased here, are therefore never used after they end.
//!   If the runtime gives up on a child it never runs again, and neither does the parent.
//! - A failing child cancels its siblings and the body; the first failure is the one raised, and others are reported.
//! - Who is spawned after a failure or a cancellation is cancelled at birth, so that the scope comes to an end.
//! - A scope that cannot wait, because the coroutine unwinds, aborts the process before any child exists.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;

use crate::cancel::{self, Frame, Kind};
use crate::family::Family;
use crate::panics::{self, Panic};
use crate::park;
use crate::scheduler;
use crate::spawn::{Builder, Coroutine, FamilyRef, JoinError, JoinHandle};

/// Runs `f` with a scope in which it can spawn children that borrow its locals, and waits for them all.
///
/// As `std::thread::scope`, with two additions: a child that panics cancels its siblings and the body,
/// and a cancellation of the caller reaches the children.
/// Suspends until the last child has ended.
///
/// # Panics
///
/// With the first panic, be it of a child or of `f`; any other goes to the panic notifier. Outside a coroutine.
///
/// # Cancellation
///
/// Unwinds, after the children have been cancelled and have ended.
///
/// # Aborts
///
/// When called by a destructor of a coroutine that unwinds: it could not wait for its children.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{scope, test};
///
/// test::run(|| {
///     let words = vec!["round", "shot"];
///     let letters = scope(|scope| {
///         let counters: Vec<_> = words.iter().map(|word| scope.spawn(move || word.len())).collect();
///         counters.into_iter().map(|counter| counter.join().unwrap()).sum::<usize>()
///     });
///     assert_eq!(letters, 9);
/// });
/// ```
#[doc(alias = "nursery")]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    match run_scope(f) {
        Some(value) => value,
        None => unreachable!("only a failing child cancels the body, and its panic has been raised"),
    }
}

/// Runs a scope; `None` if its body was cancelled by a failure noted elsewhere.
fn run_scope<'env, F, T>(f: F) -> Option<T>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    refuse_while_unwinding();
    let record = scheduler::expect_coroutine("scope").current_record();
    cancel::checkpoint(&record);
    // Its end must be able to wait, whatever happens until then.
    park::refuse_inside_a_hook(&record);
    let frame = Frame::enter(&record, Kind::Limit);
    let family = Rc::new(Family::of_scope(frame.clone()));
    let scope = Scope { family: family.clone(), scope: PhantomData, env: PhantomData };
    let outwaits = Outwaits(&family);
    let result = panic::catch_unwind(AssertUnwindSafe(|| f(&scope)));
    frame.leave();
    let body = result.map_err(|payload| {
        if cancel::is_cancellation(&*payload) {
            return Some(payload);
        }
        family.note_panic(&record, Panic::caught(record.id(), payload));
        None
    });
    if body.is_err() {
        family.close();
    }
    family.wait(&record);
    drop(outwaits);
    family.forget_children();
    if let Some(failure) = family.take_failure() {
        drop(body);
        failure.resume();
    }
    match body {
        Ok(value) => {
            cancel::checkpoint(&record);
            Some(value)
        }
        Err(Some(payload)) if !cancel::is_cancellation_of(&*payload, &frame) => panic::resume_unwind(payload),
        Err(_) => None,
    }
}

/// Makes sure that nothing leaves a scope before its children, not even a panic of the runtime itself.
struct Outwaits<'a>(&'a Family);

impl Drop for Outwaits<'_> {
    fn drop(&mut self) {
        if self.0.alive() > 0 {
            panics::abort("scope: the runtime failed while children still borrowed from their parent");
        }
    }
}

fn refuse_while_unwinding() {
    if thread::panicking() {
        panics::abort("scope: called while the coroutine unwinds, when it could not wait for its children");
    }
}

/// Spawns children that may borrow what outlives the scope; made by [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    family: Rc<Family>,
    // Invariant in both, as in std.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a child.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        match self.spawn_with(Builder::new(), f) {
            Ok(handle) => handle,
            Err(error) => panic!("spawn: {error}"),
        }
    }

    /// Starts a child with a name or a stack size of its own.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn_with<F, T>(&'scope self, mut builder: Builder, f: F) -> std::io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        let result = Rc::new(Cell::new(None));
        let kept = result.clone();
        let closure: Box<dyn FnOnce() + 'scope> = Box::new(move || kept.set(Some(f())));
        // SAFETY: only the lifetime changes. `scope` does not return before the child has ended, at which time the
        // closure is dropped, or it never returns because neither parent nor child runs again (module invariant).
        let closure: Box<dyn FnOnce() + 'static> = unsafe { std::mem::transmute(closure) };
        builder.family = Some(FamilyRef(self.family.clone()));
        let child = builder.unstarted(closure)?;
        // Waited for before it can run.
        self.family.add(child.erased());
        let handle = child.start();
        Ok(ScopedJoinHandle { handle, result, family: self.family.clone(), scope: PhantomData })
    }

    /// Cancels every child there is now; the body goes on, and may spawn others.
    pub fn cancel_children(&self) {
        self.family.cancel_children();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} children)", self.family.alive())
    }
}

/// The way to a scoped child's result. Dropping it is fine: the scope waits all the same.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<()>,
    result: Rc<Cell<Option<T>>>,
    family: Rc<Family>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the child and returns what it returned.
    ///
    /// # Errors
    ///
    /// As [`JoinHandle::join`], but for panics: the panic of a child is raised by its scope.
    ///
    /// # Cancellation
    ///
    /// Unwinds, also when the child has failed, and with it the scope.
    pub fn join(self) -> Result<T, JoinError> {
        let joined = self.handle.join();
        match self.result.take() {
            Some(value) => joined.map(|()| value),
            None => {
                // Of a scope that has failed the body is to hear by that, and not to trip over a missing result.
                cancel::checkpoint_current();
                Err(joined.err().unwrap_or(JoinError::Cancelled))
            }
        }
    }

    /// Ends the child; its siblings are not touched.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The child.
    pub fn coroutine(&self) -> Coroutine {
        self.handle.coroutine()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scoped{:?}, one of {}", self.handle, self.family.alive())
    }
}

/// Runs `f` with a scope whose children may fail: the first error cancels the rest and is returned.
///
/// Otherwise as [`scope`].
///
/// # Errors
///
/// The first error that a child or the body returned.
///
/// # Panics
///
/// As [`scope`].
///
/// # Cancellation
///
/// Unwinds, after the children have been cancelled and have ended.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{sleep, test, try_scope};
///
/// test::run(|| {
///     let failed: Result<(), &str> = try_scope(|scope| {
///         scope.spawn(|| Err::<(), _>("no route"));
///         sleep(Duration::from_secs(3600));
///         Ok(())
///     });
///     assert_eq!(failed, Err("no route"));
/// });
/// ```
pub fn try_scope<'env, F, T, E>(f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(&TryScope<'scope, 'env, E>) -> Result<T, E>,
{
    let first = Rc::new(RefCell::new(None));
    let returned = run_scope(|scope| {
        let scope = TryScope { scope, first: first.clone() };
        f(&scope).map_err(|error| scope.fail(error)).ok()
    });
    match (first.take(), returned.flatten()) {
        (Some(error), _) => Err(error),
        (None, Some(value)) => Ok(value),
        (None, None) => unreachable!("the body ended with neither a value nor an error"),
    }
}

/// Spawns children that may fail; made by [`try_scope`].
pub struct TryScope<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    first: Rc<RefCell<Option<E>>>,
}

impl<'scope, 'env, E: 'scope> TryScope<'scope, 'env, E> {
    /// Starts a child, whose first error ends the scope.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> Result<T, E> + 'scope,
        T: 'scope,
    {
        let first = self.first.clone();
        let family = self.scope.family.clone();
        let result = Rc::new(Cell::new(None));
        let kept = result.clone();
        let child = self.scope.spawn(move || match f() {
            Ok(value) => kept.set(Some(value)),
            Err(error) => note_failure(&first, &family, error),
        });
        let ScopedJoinHandle { handle, family, .. } = child;
        ScopedJoinHandle { handle, result, family, scope: PhantomData }
    }
}

impl<E> TryScope<'_, '_, E> {
    fn fail(&self, error: E) {
        note_failure(&self.first, &self.scope.family, error);
    }
}

fn note_failure<E>(first: &RefCell<Option<E>>, family: &Family, error: E) {
    let mut first = first.borrow_mut();
    if first.is_none() {
        *first = Some(error);
    }
    drop(first);
    family.fail();
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Try{:?}", self.scope)
    }
}
