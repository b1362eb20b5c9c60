//! The turns of a coroutine: it is put on a stack, runs, waits, and ends.

use std::rc::Rc;

use super::Scheduler;
use crate::clock::thread_cpu_nanos;
use crate::fault;
use crate::local;
use crate::panics;
use crate::park::Unparker;
use crate::record::{Queue, Record, State};

impl Scheduler {
    /// Gives `record` a turn.
    #[inline(always)]
    pub(super) fn resume(&self, record: Rc<Record>) {
        record.state.set(State::Running);
        // The first turn, or the first after a hibernation.
        if record.context.is_vacant() && !self.give_stack(&record) {
            return;
        }
        #[cfg(feature = "tracing")]
        record.spans.enter_all();
        self.current.replace(Some(record.clone()));
        self.pulse.beat();
        let began = self.cpu_times.get().then(thread_cpu_nanos);
        let finished = fault::watch(&record.identity, || record.context.resume(record.interrupted.get()));
        if let Some(began) = began {
            record.cpu_time.set(record.cpu_time.get() + (thread_cpu_nanos() - began));
        }
        self.current.replace(None);
        #[cfg(feature = "tracing")]
        record.spans.exit_all();
        match (finished, record.queue.replace(Queue::None)) {
            (None, Queue::None) => {}
            (None, Queue::Tail) => self.ready.borrow_mut().push_back(record),
            (None, Queue::AfterPoll) => self.after_poll.borrow_mut().push(record),
            (Some(stack), _) => {
                record.identity.stack.set(None);
                self.stacks.give_back(stack);
                if record.goes_on() {
                    self.hibernate(&record);
                } else {
                    self.finish(record);
                }
            }
        }
    }

    /// Puts a coroutine on a stack; false if there is none, and the coroutine has ended.
    fn give_stack(&self, record: &Rc<Record>) -> bool {
        let size = record.stack_size as usize;
        let taken = if record.promised.take() { self.stacks.take_promised(size) } else { self.stacks.take(size) };
        let stack = match taken {
            Ok(stack) => stack,
            Err(error) => {
                panics::report_stackless(record, &error);
                panics::contain(|| record.body.discard());
                local::discard(record);
                self.finish(record.clone());
                return false;
            }
        };
        record.identity.stack.set(Some(stack.extent()));
        let entered = record.clone();
        record.context.fill(stack, move || {
            entered.body.run(&entered);
            if !entered.locals.is_unused() && !entered.goes_on() {
                local::drop_all(&entered);
            }
        });
        true
    }

    fn hibernate(&self, record: &Rc<Record>) {
        let generation = record.generation.get().wrapping_add(1);
        record.generation.set(generation);
        record.since.set(self.now.get());
        record.state.set(State::Hibernating);
        record.body.arm(self, &Unparker { record: record.clone(), generation, arm: 0 });
    }

    /// Ends a coroutine that nobody can start any more.
    pub(crate) fn abandon(&self, record: &Rc<Record>) {
        if record.promised.take() {
            self.stacks.withdraw_promise(record.stack_size as usize);
        }
        self.finish(record.clone());
    }

    /// Ends a coroutine: tells whoever waits for it, and forgets it.
    fn finish(&self, record: Rc<Record>) {
        if record.state.replace(State::Done) == State::Done {
            panics::abort("a coroutine ended twice");
        }
        self.forget(&record);
        self.drop_timer(&record);
        #[cfg(feature = "tracing")]
        record.spans.clear();
        // What the hook saw of panics that the coroutine caught itself.
        self.take_panic_details(record.id());
        match &record.family {
            Some(family) => family.child_ended(&record),
            None if record.detached.get() => panics::report_unjoined(&record),
            None => {}
        }
        record.joiners.wake_all();
    }

    fn forget(&self, record: &Rc<Record>) {
        let mut live = self.live.borrow_mut();
        let position = record.position.get() as usize;
        live.swap_remove(position);
        if let Some(moved) = live.get(position) {
            moved.position.set(position as u32);
        }
    }
}
