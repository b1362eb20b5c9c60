//! What is known of one client's numbers.
//!
//! ```text
//!   1 … lowest-1 │ lowest …
//!   not wanted   │ running, or ended with a reply, or ended without one, or not seen
//! ```
//!
//! # Invariants
//!
//! - A number is in `running` or in `ended`, or in neither; only those in `ended` have replies, and only from `lowest` on.
//! - `lowest` never falls.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use super::kept::{Dropped, Replies};
use super::number_set::NumberSet;
use super::running::Running;
use crate::error::Failure;
use crate::value::Encoded;

/// What a method has ended with.
pub(super) type Reply = Result<Encoded, Failure>;

pub(super) struct Client {
    /// The key that the one who asked for the id had proved.
    pub(super) key: Option<String>,
    /// When it called last.
    pub(super) used: Instant,
    lowest: u64,
    running: BTreeMap<u64, Rc<Running>>,
    ended: NumberSet,
    replies: Replies,
}

/// What is known of a number.
pub(super) enum Known {
    Unseen,
    Running(Rc<Running>),
    Kept(Reply),
    Gone,
}

impl Client {
    pub(super) fn new(key: Option<String>, now: Instant) -> Client {
        Client {
            key,
            used: now,
            lowest: 1,
            running: BTreeMap::new(),
            ended: NumberSet::default(),
            replies: Replies::default(),
        }
    }

    /// What is known of a number, for a caller who takes the reply that is kept.
    pub(super) fn look_up(&mut self, number: u64) -> Known {
        if let Some(running) = self.running.get(&number) {
            Known::Running(running.clone())
        } else if let Some(reply) = self.replies.fetch(number) {
            Known::Kept(reply)
        } else if number < self.lowest || self.ended.contains(number) {
            Known::Gone
        } else {
            Known::Unseen
        }
    }

    /// Forgets what lies below the lowest number that the client may still ask for.
    pub(super) fn raise_lowest(&mut self, lowest: u64) -> Dropped {
        if lowest <= self.lowest {
            return Dropped::default();
        }
        self.lowest = lowest;
        self.ended.remove_below(lowest);
        self.replies.remove_below(lowest)
    }

    pub(super) fn begin(&mut self, number: u64) -> Rc<Running> {
        let running = Rc::new(Running::default());
        self.running.insert(number, running.clone());
        running
    }

    /// Takes a number for one that has not run after all, or answers whether it is still wanted.
    pub(super) fn end(&mut self, number: u64, has_run: bool) -> bool {
        self.running.remove(&number);
        let keep = has_run && number >= self.lowest;
        if keep {
            self.ended.insert(number);
        }
        keep
    }

    /// Keeps a reply, and says what is let go for it when there are more than `most`;
    /// `handed_out` says whether a caller was there for it.
    pub(super) fn keep(&mut self, number: u64, reply: Reply, bytes: usize, handed_out: bool, most: usize) -> Dropped {
        self.replies.insert(number, reply, bytes, handed_out);
        self.replies.shrink_to(most)
    }

    /// Lets a reply go; the number stays known as one that has run.
    pub(super) fn drop_reply(&mut self, number: u64) -> Dropped {
        self.replies.remove(number)
    }

    pub(super) fn has_reply(&self, number: u64) -> bool {
        self.replies.contains(number)
    }

    pub(super) fn stretches(&self) -> usize {
        self.ended.stretches()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// All that it keeps, for when it is forgotten.
    pub(super) fn into_dropped(self) -> Dropped {
        self.replies.into_dropped()
    }
}
