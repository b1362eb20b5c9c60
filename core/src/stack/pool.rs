//! The stacks that coroutines have done with, kept for the next ones.
//!
//! **How.** A returned stack is the first to be taken again, while it is hot; a new one is cut only
//! if its class has none.
//!
//! **Trimming.** Nobody knows cheaply how deep a stack went. The stack pointers seen at parks are
//! lower bounds; a canary word is jumped over by a large frame, and one below the first page would
//! cost every stack a second page; asking the kernel (`mincore`) costs twice what giving back does,
//! and giving back at every return costs more than the rest of a coroutine's life. So a return
//! does nothing, and time tells: each class lists its stacks in order of return, and those that a
//! whole interval ([`StackPool::begin_interval`]) has not touched are trimmed, a few at a time.
//!
//! ```text
//!   returned first                                                               returned last
//!   | bare: no memory | trimmed: high_water each | quiet: trimmed next | warm: as they came back |
//! ```
//!
//! A program that spawns and ends coroutines at a steady level makes no system call; one that lets
//! go of thousands at once has their memory for an interval, and then pays less than a microsecond
//! for each. What stays unused for [`INTERVALS_UNTIL_BARE`] intervals keeps nothing.
//!
//! **Invariants.** `bare <= trimmed <= pooled.len()` in every class. A return never allocates.

use std::cell::{Cell, RefCell};

use super::{Arena, SLOT_SIZES, Stack, StackError, StackOptions, StackStats, page_size};

/// How many intervals a stack must stay unused to lose the memory below its high-water mark, too.
const INTERVALS_UNTIL_BARE: u32 = 12;

/// The stacks of one runtime, and the arena they lie in. For one thread.
///
/// Dropping the pool unmaps the arena, unless a stack is out.
#[derive(Debug)]
pub(crate) struct StackPool {
    options: StackOptions,
    classes: [RefCell<Class>; SLOT_SIZES.len()],
    arena: RefCell<Arena>,
    /// Per class, the pooled stacks that [`StackPool::promise`] has set aside.
    promised: [Cell<usize>; SLOT_SIZES.len()],
}

impl StackPool {
    /// Makes a pool that has reserved nothing yet.
    ///
    /// # Errors
    ///
    /// When not even the page can be mapped on which the kernel is asked what guards it has.
    pub(crate) fn new(options: StackOptions) -> Result<Self, StackError> {
        Ok(Self {
            arena: RefCell::new(Arena::new(options.guards)?),
            options: StackOptions { high_water: options.high_water.next_multiple_of(page_size()), ..options },
            classes: SLOT_SIZES.map(|_| RefCell::default()),
            promised: Default::default(),
        })
    }

    /// The size for a coroutine that asks for none.
    pub(crate) fn default_size(&self) -> usize {
        self.options.default_size
    }

    /// Makes sure that a stack whose slot, guard included, has at least `size` bytes can be taken
    /// later.
    ///
    /// A coroutine takes its stack when it first runs, the hottest there is at that time; that
    /// there is one is settled when it is spawned, which is where the failure can be reported.
    ///
    /// # Errors
    ///
    /// When no class is that large, and when the system refuses the memory or the guard. The pool
    /// is as before then, and the next call tries again.
    #[inline]
    pub(crate) fn promise(&self, size: usize) -> Result<(), StackError> {
        let index = class_of(size).ok_or_else(|| StackError::too_large(size))?;
        let promised = &self.promised[index];
        if self.classes[index].borrow().available() <= promised.get() {
            let fresh = self.fresh(index)?;
            self.classes[index].borrow_mut().spare.push(fresh);
        }
        promised.set(promised.get() + 1);
        Ok(())
    }

    /// Takes back a promise that was not made use of.
    pub(crate) fn withdraw_promise(&self, size: usize) {
        if let Some(index) = class_of(size) {
            self.promised[index].set(self.promised[index].get() - 1);
        }
    }

    /// Takes a stack that was promised: the one given back last.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take), if the promise was made for another size.
    #[inline]
    pub(crate) fn take_promised(&self, size: usize) -> Result<Stack, StackError> {
        self.withdraw_promise(size);
        self.take(size)
    }

    /// Takes a stack whose slot, guard included, has at least `size` bytes: the one given back
    /// last, or a fresh one when all that are pooled are promised.
    ///
    /// # Errors
    ///
    /// As [`promise`](Self::promise).
    #[inline]
    pub(crate) fn take(&self, size: usize) -> Result<Stack, StackError> {
        let index = class_of(size).ok_or_else(|| StackError::too_large(size))?;
        let mut class = self.classes[index].borrow_mut();
        if class.available() > self.promised[index].get()
            && let Some(stack) = class.pop()
        {
            return Ok(stack);
        }
        drop(class);
        self.fresh(index)
    }

    /// Makes a stack the next of its class to be taken. Makes no system call.
    ///
    /// A stack of another pool is welcome too; the arena of that one then stays mapped for ever.
    #[inline]
    pub(crate) fn give_back(&self, stack: Stack) {
        self.classes[stack.class()].borrow_mut().pooled.push(stack);
    }

    /// Ends an interval: what it has not touched is to be trimmed.
    pub(crate) fn begin_interval(&self) {
        self.classes.iter().for_each(|class| class.borrow_mut().begin_interval());
    }

    /// Trims at most `most` of the stacks that past intervals have not touched, and says how many
    /// there were; one or two system calls a stack.
    pub(crate) fn trim(&self, most: usize) -> usize {
        let mut done = 0;
        for class in &self.classes {
            done += class.borrow_mut().trim(most - done, self.options.high_water);
        }
        done
    }

    /// Whether time alone will give something to trim.
    pub(crate) fn holds_memory(&self) -> bool {
        self.classes.iter().any(|class| class.borrow().holds_memory())
    }

    pub(crate) fn stats(&self) -> StackStats {
        let arena = self.arena.borrow();
        let pooled = self.classes.iter().map(|class| class.borrow().available()).sum();
        StackStats {
            reserved: (0..SLOT_SIZES.len()).map(|class| arena.reserved(class)).sum(),
            in_use: arena.out.saturating_sub(pooled),
            pooled,
            guards: arena.guards,
        }
    }

    #[cold]
    fn fresh(&self, class: usize) -> Result<Stack, StackError> {
        let mut arena = self.arena.borrow_mut();
        let stack = arena.cut(class)?;
        // Room for every stack that can come back.
        let pooled = &mut self.classes[class].borrow_mut().pooled;
        pooled.reserve_exact(arena.reserved(class).saturating_sub(pooled.len()));
        Ok(stack)
    }
}

impl Drop for StackPool {
    fn drop(&mut self) {
        let arena = self.arena.get_mut();
        for class in &mut self.classes {
            let class = class.get_mut();
            let all = class.pooled.drain(..).chain(class.spare.drain(..));
            all.for_each(|stack| arena.retire(stack));
        }
    }
}

/// The smallest class whose slots have `size` bytes.
#[inline]
fn class_of(size: usize) -> Option<usize> {
    SLOT_SIZES.iter().position(|&slot| size <= slot)
}

/// The pooled stacks of one size.
#[derive(Debug, Default)]
struct Class {
    /// In order of return.
    pooled: Vec<Stack>,
    /// Those that were made to keep a promise and have never been touched.
    spare: Vec<Stack>,
    /// How many, from the first, have been trimmed of all memory.
    bare: usize,
    /// How many, from the first, have been trimmed at all.
    trimmed: usize,
    /// How many, from the first, were not touched in the interval before this one.
    quiet: usize,
    /// The fewest there were in this interval: so many, from the first, it has not touched yet.
    fewest: usize,
    /// The same over the last [`INTERVALS_UNTIL_BARE`] intervals, and over those since.
    settled: usize,
    settling: usize,
    intervals: u32,
}

impl Class {
    #[inline]
    fn pop(&mut self) -> Option<Stack> {
        let Some(stack) = self.pooled.pop() else {
            return self.spare.pop();
        };
        let len = self.pooled.len();
        self.fewest = self.fewest.min(len);
        if self.trimmed > len {
            self.trimmed = len;
            self.bare = self.bare.min(len);
        }
        Some(stack)
    }

    fn begin_interval(&mut self) {
        self.quiet = self.fewest;
        self.settling = if self.intervals == 0 { self.fewest } else { self.settling.min(self.fewest) };
        self.intervals += 1;
        if self.intervals == INTERVALS_UNTIL_BARE {
            self.intervals = 0;
            self.settled = self.settling;
        }
        self.fewest = self.pooled.len();
    }

    fn trim(&mut self, most: usize, high_water: usize) -> usize {
        // What was touched since is not quiet any more.
        self.quiet = self.quiet.min(self.fewest);
        self.settled = self.settled.min(self.fewest);
        let trimmed = self.quiet.min(self.trimmed.saturating_add(most)).max(self.trimmed);
        let left = most - (trimmed - self.trimmed);
        let bare = self.settled.min(trimmed).min(self.bare.saturating_add(left)).max(self.bare);
        for stack in &mut self.pooled[self.trimmed..trimmed] {
            stack.trim(high_water);
        }
        for stack in &mut self.pooled[self.bare..bare] {
            stack.trim(0);
        }
        let done = (trimmed - self.trimmed) + (bare - self.bare);
        (self.trimmed, self.bare) = (trimmed, bare);
        done
    }

    fn holds_memory(&self) -> bool {
        self.bare < self.pooled.len()
    }

    #[inline]
    fn available(&self) -> usize {
        self.pooled.len() + self.spare.len()
    }
}
