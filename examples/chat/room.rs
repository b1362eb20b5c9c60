//! Who is in the room, and how a line gets to them all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use grapeshot::channel::{self, Receiver, Sender};
use grapeshot::{Coroutine, current};

/// The most people in the room.
pub(crate) const PEOPLE: usize = 100;

/// How many lines somebody may be behind.
const BEHIND: usize = 200;

/// Who is there, and the way to each.
#[derive(Default)]
pub(crate) struct Room {
    people: RefCell<BTreeMap<String, Seat>>,
}

struct Seat {
    lines: Sender<Rc<str>>,
    coroutine: Coroutine,
}

impl Room {
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.people.borrow().keys().cloned().collect();
        names.join(", ")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.people.borrow().contains_key(name)
    }

    /// Gives whoever calls it a place; what is said from now on is in the queue.
    pub(crate) fn enter(&self, name: &str) -> Receiver<Rc<str>> {
        let (lines, queue) = channel::bounded(BEHIND);
        self.people.borrow_mut().insert(name.to_owned(), Seat { lines, coroutine: current() });
        self.announce(&format!("* {name} joins: {} here", self.names()));
        queue
    }

    /// Takes somebody out of the room, who may have been taken out before.
    pub(crate) fn leave(&self, name: &str, why: &str) {
        if self.people.borrow_mut().remove(name).is_some() {
            self.announce(&format!("* {name} leaves: {why}"));
        }
    }

    fn announce(&self, line: &str) {
        println!("{line}");
        self.say("", line);
    }

    /// Queues a line for all but `from`, without a wait: whoever has no room left for it is dropped.
    pub(crate) fn say(&self, from: &str, line: &str) {
        let line: Rc<str> = format!("{line}\n").into();
        let mut slow = Vec::new();
        for (name, seat) in &*self.people.borrow() {
            if name != from && seat.lines.try_send(line.clone()).is_err() {
                slow.push((name.clone(), seat.coroutine.clone()));
            }
        }
        for (name, coroutine) in slow {
            // It waits for a peer that does not read, and would do so for a while.
            coroutine.cancel();
            self.leave(&name, &format!("dropped, {BEHIND} lines behind"));
        }
    }
}
