//! The coroutines that a scope or a group answers for.
//!
//! # Invariants
//!
//! - `alive` counts those whose closure, result and stack are not yet gone.
//! - The list holds at most twice as many records as are alive, and sixteen more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::cancel::{self, Frame};
use crate::panics::{self, Panic};
use crate::park::{self, Cut, Outcome, Reason, Unparked, Withdrawal};
use crate::record::{Record, State};
use crate::wait_queue::WaitQueue;

/// The children of one scope, or the members of one group.
pub(crate) struct Family {
    children: RefCell<Vec<Rc<Record>>>,
    alive: Cell<usize>,
    ended: WaitQueue,
    failure: RefCell<Option<Panic>>,
    /// It has failed or been cancelled, and who joins it now is cancelled at once.
    closing: Cell<bool>,
    /// The body of a scope, which fails with its children; a group has none, and its members fail one by one.
    body: Option<Rc<Frame>>,
}

impl Family {
    pub(crate) fn of_scope(body: Rc<Frame>) -> Family {
        Family::new(Some(body))
    }

    pub(crate) fn of_group() -> Family {
        Family::new(None)
    }

    fn new(body: Option<Rc<Frame>>) -> Family {
        Family {
            children: RefCell::default(),
            alive: Cell::new(0),
            ended: WaitQueue::new(),
            failure: RefCell::default(),
            closing: Cell::new(false),
            body,
        }
    }

    pub(crate) fn add(&self, child: Rc<Record>) {
        self.alive.set(self.alive.get() + 1);
        let mut children = self.children.borrow_mut();
        // Ended children are swept out whenever they are half of the list.
        if children.len() > 16 && children.len() > 2 * self.alive.get() {
            children.retain(|child| child.state.get() != State::Done);
        }
        children.push(child.clone());
        drop(children);
        if self.closing.get() {
            cancel::cancel_coroutine(&child);
        }
    }

    /// Called by the scheduler when a child's stack is gone.
    pub(crate) fn child_ended(&self, child: &Rc<Record>) {
        self.alive.set(self.alive.get() - 1);
        let Some(body) = &self.body else {
            if child.detached.get() {
                panics::report_unjoined(child);
            }
            self.ended.wake_all();
            return;
        };
        if let Some(panic) = child.body.take_panic() {
            self.note_panic(child, panic);
            self.fail_with(body);
        }
        if self.alive.get() == 0 {
            self.ended.wake_all();
        }
    }

    /// Keeps the first panic of a scope, to be raised at its end, and reports any other.
    pub(crate) fn note_panic(&self, culprit: &Rc<Record>, panic: Panic) {
        if self.failure.borrow().is_some() {
            panics::report_and_drop(culprit, panic);
        } else {
            *self.failure.borrow_mut() = Some(panic);
        }
    }

    /// Cancels the children and the body of a scope.
    pub(crate) fn fail(&self) {
        if let Some(body) = &self.body {
            self.fail_with(body);
        }
    }

    fn fail_with(&self, body: &Rc<Frame>) {
        if !self.closing.get() {
            self.close();
            body.cancel();
        }
    }

    /// Cancels every child, and every one that may yet be spawned.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.cancel_children();
    }

    /// Lets go of the children, which have ended or need no answering for: they refer to the family in their turn.
    pub(crate) fn forget_children(&self) {
        drop(self.children.take());
    }

    pub(crate) fn take_failure(&self) -> Option<Panic> {
        self.failure.take()
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive.get()
    }

    pub(crate) fn children(&self) -> Vec<Rc<Record>> {
        self.children.borrow().clone()
    }

    /// The coroutine whose scope this is, which cannot end before the children; a group has none.
    pub(crate) fn owner(&self) -> Option<Rc<Record>> {
        self.body.as_ref().map(|body| body.owner().clone())
    }

    /// Waits until a member of a group ends.
    pub(crate) fn wait_for_an_end(&self, reason: Reason, deadline: Option<Instant>) -> Unparked {
        self.ended.wait_until(reason, deadline)
    }

    pub(crate) fn cancel_children(&self) {
        for child in self.children() {
            cancel::cancel_coroutine(&child);
        }
    }

    /// Waits until no child is alive; a cancellation on the way cancels the children, and the wait goes on.
    pub(crate) fn wait(&self, parent: &Rc<Record>) {
        if parent.interrupted.get() {
            self.close();
        }
        let mut cut = if self.closing.get() { Cut::Never } else { Cut::Short };
        while self.alive.get() > 0 {
            let ticket = Cell::new(0);
            let outcome = park::wait(
                parent,
                Reason::Children,
                None,
                cut,
                |unparker| ticket.set(self.ended.enter(unparker)),
                || {
                    self.ended.give_up(ticket.get());
                    Withdrawal::Withdrawn
                },
            );
            if outcome == Outcome::Cancelled {
                self.close();
                cut = Cut::Never;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::{Builder, Group, scope, test};

    #[test]
    fn the_children_of_a_scope_that_is_over_are_freed() {
        test::run(|| {
            let child = scope(|scope| scope.spawn(|| ()).coroutine());
            assert_eq!(Rc::strong_count(&child.record), 1);
        });
    }

    #[test]
    fn the_members_of_a_group_that_is_gone_are_freed() {
        test::run(|| {
            let group = Group::new();
            let member = group.spawn(Builder::new(), || ()).unwrap().coroutine();
            assert!(group.wait_empty(None));
            drop(group);
            assert_eq!(Rc::strong_count(&member.record), 1);
        });
    }
}
