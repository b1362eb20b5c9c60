//! What is to be called when something has happened, once.
//!
//! # Invariants
//!
//! - Each is called at most once, in the order they came, with nothing borrowed.
//! - One that panics is reported and keeps neither the others nor the caller from going on.
//! - A cancellation that one of them met is raised again when all have been called.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use crate::panics::{Panic, is_cancellation, report_panic};

type Callback<A> = Box<dyn FnOnce(&A)>;

pub(super) struct Callbacks<A> {
    waiting: RefCell<Vec<Callback<A>>>,
}

impl<A> Callbacks<A> {
    pub(super) const fn new() -> Callbacks<A> {
        Callbacks { waiting: RefCell::new(Vec::new()) }
    }

    pub(super) fn add(&self, callback: impl FnOnce(&A) + 'static) {
        self.waiting.borrow_mut().push(Box::new(callback));
    }

    /// Forgets all that have not been called.
    pub(super) fn clear(&self) {
        // Dropped with nothing borrowed.
        drop(self.waiting.take());
    }

    /// Calls all, and forgets them.
    pub(super) fn call(&self, argument: &A) {
        let mut cancellation = None;
        for callback in self.waiting.take() {
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| callback(argument))) {
                cancellation = report_or_keep(payload).or(cancellation);
            }
        }
        if let Some(cancellation) = cancellation.filter(|_| !thread::panicking()) {
            panic::resume_unwind(cancellation);
        }
    }
}

fn report_or_keep(payload: Box<dyn Any + Send>) -> Option<Box<dyn Any + Send>> {
    if is_cancellation(&*payload) {
        return Some(payload);
    }
    report_panic(&Panic::from_payload(payload));
    None
}
