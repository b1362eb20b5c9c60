//! Values of which every coroutine has its own, as every thread has its own of a `thread_local!`.
//!
//! ```text
//!   NAME.with ──► has this coroutine a value? ──yes──► f(&value)
//!                          └──no──► the initialiser, on this coroutine ──► kept ──► f(&value)
//!   the body returns, panics or is cancelled ──► values dropped, last made first ──► joiners are told
//! ```
//!
//! # Invariants
//!
//! - A coroutine without locals pays one empty pointer in its record.
//! - Nothing is borrowed while an initialiser, a user's closure or a destructor runs, so all of them may wait, and
//!   may use other locals.
//! - Values are dropped on the coroutine's own stack, before whoever joins it is told.
//!   Once that has begun no local is made anew, or the dropping might never end.
//!
//! What is absent: the ancestor's `ThreadLocal` object could be dropped, which cleared every coroutine's copy (TLS-1);
//! these are statics and last as long as the program.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::panics;
use crate::record::Record;
use crate::scheduler;
use crate::spawn::drop_quietly;

/// Declares values of which every coroutine has its own (TLS-1).
///
/// Each is a static of type [`CoroLocal`], made by its initialiser when a coroutine first uses it.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use grapeshot_core::{coro_local, spawn, test};
///
/// coro_local! {
///     /// How many requests this coroutine has served.
///     static SERVED: Cell<u32> = Cell::new(0);
/// }
///
/// test::run(|| {
///     SERVED.set(5);
///     spawn(|| assert_eq!(SERVED.get(), 0)).join().unwrap();
///     assert_eq!(SERVED.get(), 5);
/// });
/// ```
#[macro_export]
macro_rules! coro_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr;)*) => {$(
        $(#[$attribute])*
        $visibility static $name: $crate::CoroLocal<$type> = {
            fn init() -> $type {
                $init
            }
            $crate::CoroLocal::new(init)
        };
    )*};
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr);*) => {
        $crate::coro_local! { $($(#[$attribute])* $visibility static $name: $type = $init;)* }
    };
}

/// A value of which every coroutine has its own, declared by [`coro_local!`](crate::coro_local).
///
/// Its methods are those of `std::thread::LocalKey`.
/// They never suspend by themselves; an initialiser may.
pub struct CoroLocal<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> CoroLocal<T> {
    /// For [`coro_local!`](crate::coro_local), which makes a static of it: the address is the key.
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> CoroLocal<T> {
        CoroLocal { init }
    }

    /// Shows `f` the running coroutine's value, made first if need be.
    ///
    /// `f` may wait.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, and in the destructor of a local when the value is gone: see [`try_with`](Self::try_with).
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("a coroutine-local value cannot be used: {error}"),
        }
    }

    /// Shows `f` the running coroutine's value, made first if need be.
    ///
    /// # Errors
    ///
    /// [`LocalError::NotInCoroutine`] outside a coroutine;
    /// [`LocalError::Destroyed`] when the coroutine ends and the value has been dropped, or would have to be made.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, LocalError> {
        let value = self.value(|| (self.init)())?;
        Ok(f(&value))
    }

    /// The running coroutine's value, made by `init` if need be.
    fn value(&'static self, init: impl FnOnce() -> T) -> Result<Rc<T>, LocalError> {
        let record = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten();
        let record = record.ok_or(LocalError::NotInCoroutine)?;
        if let Some(value) = record.locals.find(self.key()) {
            return Ok(self.as_typed(value));
        }
        if record.locals.is_closed() {
            return Err(LocalError::Destroyed);
        }
        let made = Rc::new(init());
        // An initialiser that used the local itself has made one already, which others may have seen.
        Ok(self.as_typed(record.locals.insert(self.key(), made)))
    }

    fn as_typed(&self, value: Rc<dyn Any>) -> Rc<T> {
        match value.downcast() {
            Ok(value) => value,
            Err(_) => unreachable!("a static's address is its own, so under it are only values of its type"),
        }
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Gives a value to a local that was not used yet, or else gives it back.
    #[track_caller]
    fn start_with(&'static self, value: T) -> Result<(), T> {
        let pending = Cell::new(Some(value));
        let found = self.value(|| match pending.take() {
            Some(value) => value,
            None => unreachable!("an initialiser runs once"),
        });
        if let Err(error) = found {
            panic!("a coroutine-local value cannot be set: {error}");
        }
        pending.take().map_or(Ok(()), Err)
    }
}

impl<T: 'static> CoroLocal<Cell<T>> {
    /// Sets the value; the initialiser is not run.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn set(&'static self, value: T) {
        if let Err(value) = self.start_with(Cell::new(value)) {
            self.with(|cell| cell.set(value.into_inner()));
        }
    }

    /// A copy of the value.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value and leaves the default.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Puts `value` in the place of what was there, and returns that.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with).
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> CoroLocal<RefCell<T>> {
    /// Shows `f` the value. It stays borrowed while `f` waits.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with), and while it is mutably borrowed.
    #[track_caller]
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Lets `f` change the value. It stays borrowed while `f` waits.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with), and while it is borrowed.
    #[track_caller]
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the value; the initialiser is not run.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with), and while it is borrowed.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        if let Err(value) = self.start_with(RefCell::new(value)) {
            // What was there is dropped when it is no longer borrowed: its destructor may use this local.
            drop(self.replace(value.into_inner()));
        }
    }

    /// Takes the value and leaves the default.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with), and while it is borrowed.
    #[track_caller]
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Puts `value` in the place of what was there, and returns that.
    ///
    /// # Panics
    ///
    /// As [`with`](Self::with), and while it is borrowed.
    #[track_caller]
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> fmt::Debug for CoroLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoroLocal").finish_non_exhaustive()
    }
}

/// Why there is no coroutine-local value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalError {
    /// The caller is not a coroutine.
    NotInCoroutine,
    /// The coroutine is ending: the value has been dropped, or was never made.
    Destroyed,
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalError::NotInCoroutine => scheduler::NotInRuntime.fmt(f),
            LocalError::Destroyed => f.write_str("the coroutine is ending, and its local values are being dropped"),
        }
    }
}

impl std::error::Error for LocalError {}

/// The local values of one coroutine, behind one pointer.
#[derive(Default)]
pub(crate) struct Locals {
    table: OnceCell<Box<RefCell<Table>>>,
}

#[derive(Default)]
struct Table {
    /// In the order in which they were made. They are few, and a search from front to end is the quickest.
    values: Vec<(usize, Rc<dyn Any>)>,
    closed: bool,
}

impl Locals {
    #[inline(always)]
    pub(crate) fn is_unused(&self) -> bool {
        self.table.get().is_none()
    }

    fn find(&self, key: usize) -> Option<Rc<dyn Any>> {
        let table = self.table.get()?.borrow();
        table.values.iter().find(|(of, _)| *of == key).map(|(_, value)| value.clone())
    }

    fn is_closed(&self) -> bool {
        self.table.get().is_some_and(|table| table.borrow().closed)
    }

    /// Keeps a value, unless there is one, and returns the one that is kept.
    fn insert(&self, key: usize, value: Rc<dyn Any>) -> Rc<dyn Any> {
        if let Some(first) = self.find(key) {
            return first;
        }
        self.table.get_or_init(Box::default).borrow_mut().values.push((key, value.clone()));
        value
    }

    fn close(&self) {
        if let Some(table) = self.table.get() {
            table.borrow_mut().closed = true;
        }
    }

    fn pop(&self) -> Option<Rc<dyn Any>> {
        self.table.get()?.borrow_mut().values.pop().map(|(_, value)| value)
    }
}

/// Drops the values of the running coroutine, whose body is over.
#[cold]
pub(crate) fn drop_all(record: &Rc<Record>) {
    record.locals.close();
    while let Some(value) = record.locals.pop() {
        drop_quietly(record, value);
    }
}

/// Drops the values of a coroutine that gets no stack any more to do it on.
pub(crate) fn discard(record: &Rc<Record>) {
    record.locals.close();
    while let Some(value) = record.locals.pop() {
        panics::contain(|| drop(value));
    }
}
