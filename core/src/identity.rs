//! Who a coroutine is: number, name, birthplace and stack.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::rc::Rc;

use crate::stack::Extent;

/// The number of a coroutine: 1 for the first of a runtime, rising, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoroutineId(pub(crate) NonZeroU64);

impl CoroutineId {
    /// The number itself.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for CoroutineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CoroutineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What reports say about a coroutine, the fault handler's among them.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: CoroutineId,
    pub(crate) name: RefCell<Option<Rc<str>>>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// The stack it runs on, if it has one.
    pub(crate) stack: Cell<Option<Extent>>,
}

impl Identity {
    /// Whether the address lies in the guard of the stack.
    pub(crate) fn guards(&self, address: usize) -> bool {
        self.stack.get().is_some_and(|stack| stack.guard().contains(&address))
    }
}

impl fmt::Display for Identity {
    /// `7 "http 127.0.0.1:80" spawned at src/main.rs:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(name) = &*self.name.borrow() {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " spawned at {}:{}", self.spawned_at.file(), self.spawned_at.line())
    }
}
