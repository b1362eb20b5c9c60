//! The lower bound for coroutines: corosensei's switch, a queue, and nothing else.
//!
//! The stacks come from one allocation and have no guards: 100,000 guarded ones exceed the kernel's limit on
//! mappings. What runs on them here needs a few hundred bytes.

use std::collections::VecDeque;
use std::num::NonZero;

use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// Address space of a stack; only touched pages cost memory.
const STACK: usize = 64 * 1024;

/// Coroutines taking turns. They stay where they are; the queue holds their numbers.
pub struct Plain {
    coroutines: Vec<Option<Coroutine<(), (), (), Slot>>>,
    queue: VecDeque<usize>,
    free: Vec<(usize, Slot)>,
}

impl Plain {
    /// Room for `count` coroutines at a time. Their stacks are never given back.
    pub fn new(count: usize) -> Self {
        let arena = Vec::<u8>::with_capacity((count + 1) * STACK).leak();
        let start = arena.as_ptr().addr().next_multiple_of(STACK);
        let slot = |index: usize| Slot {
            base: NonZero::new(start + (index + 1) * STACK).expect("no memory lies at address zero"),
        };
        Self {
            coroutines: (0..count).map(|_| None).collect(),
            queue: VecDeque::with_capacity(count),
            free: (0..count).map(|index| (index, slot(index))).collect(),
        }
    }

    /// Queues a coroutine.
    pub fn spawn(&mut self, body: impl FnOnce(&Yielder<(), ()>) + 'static) {
        let (index, slot) = self.free.pop().expect("no more are spawned than there is room for");
        self.coroutines[index] = Some(Coroutine::with_stack(slot, |yielder, ()| body(yielder)));
        self.queue.push_back(index);
    }

    /// Lets each queued coroutine run to its next suspension, once round.
    pub fn run_lap(&mut self) {
        for _ in 0..self.queue.len() {
            let Some(index) = self.queue.pop_front() else {
                return;
            };
            let coroutine = &mut self.coroutines[index];
            match coroutine.as_mut().map(|coroutine| coroutine.resume(())) {
                Some(CoroutineResult::Yield(())) => self.queue.push_back(index),
                _ => self.free.extend(coroutine.take().map(|done| (index, done.into_stack()))),
            }
        }
    }
}

/// A part of the arena, by its upper end.
struct Slot {
    base: StackPointer,
}

// SAFETY: the arena is leaked, a slot is `STACK` bytes of it that belong to one coroutine at a time, and its ends
// are aligned to `STACK`. It has no guard page, which the trait asks for: see the module.
unsafe impl Stack for Slot {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        NonZero::new(self.base.get() - STACK).expect("no memory lies at address zero")
    }
}
