//! The worms and their arena, as viewers see and change them.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use grapeshot::{Builder, Group};

use crate::arena::Arena;
use crate::worm::Worm;

/// More would not fit.
pub(crate) const MOST_WORMS: usize = 1000;

/// Worms grow to this length unless viewers want them longer, up to the second.
const LENGTH: usize = 8;
const LONGEST: usize = 40;

pub(crate) struct World {
    arena: Rc<Arena>,
    /// Dropping it cancels the worms in it.
    worms: Group,
    worm_length: Rc<Cell<usize>>,
    hatched: Cell<u64>,
    viewers: Cell<usize>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            arena: Rc::new(Arena::new()),
            worms: Group::new(),
            worm_length: Rc::new(Cell::new(LENGTH)),
            hatched: Cell::new(0),
            viewers: Cell::new(0),
        }
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Adds as many worms as there is room for, up to `count`.
    pub(crate) fn add_worms(&self, count: usize) -> io::Result<()> {
        for _ in 0..count.min(MOST_WORMS.saturating_sub(self.worms.len())) {
            let Some(worm) = Worm::new(&self.arena, &self.worm_length) else { break };
            self.hatched.set(self.hatched.get() + 1);
            self.worms.spawn(Builder::new().name(format!("worm {}", self.hatched.get())), || worm.live())?;
        }
        Ok(())
    }

    /// Ends half of the worms.
    pub(crate) fn cull(&self) {
        let worms = self.worms.members();
        worms.iter().take(worms.len().div_ceil(2)).for_each(|worm| worm.cancel());
    }

    /// Lets all worms grow by two squares; when they are as long as can be, they begin anew.
    pub(crate) fn lengthen(&self) {
        let length = self.worm_length.get() + 2;
        self.worm_length.set(if length > LONGEST { LENGTH } else { length });
    }

    /// Counts a viewer in until the value is dropped.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.viewers.set(self.viewers.get() + 1);
        Entered(&self.viewers)
    }

    /// The line below the arena, short enough for 80 columns.
    pub(crate) fn status(&self) -> String {
        let (worms, viewers) = (self.worms.len(), self.viewers.get());
        format!(" {worms} worms, {viewers} watching  n new  h hatch 10  c cull  l longer  r redraw  q quit")
    }
}

pub(crate) struct Entered<'a>(&'a Cell<usize>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
