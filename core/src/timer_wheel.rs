//! Keeps every pending timer of a runtime, and hands the due ones back in the order of their deadlines.
//!
//! Times are `u64` nanoseconds since the runtime's start, counted in *ticks* of 2^20 ns (about
//! 1 ms). The tick number of a deadline is read as eight digits to the base of 64, one a level:
//!
//! ```text
//!  bits of a deadline  63 62 61     56           31     26 25     20 19          0
//!                     +-----+---------+- - - - -+---------+---------+-------------+
//!                     |  7  | level 6 |   ...   | level 1 | level 0 | within tick |
//!                     +-----+---------+- - - - -+---------+---------+-------------+
//!  level 0   [ 0| 1| 2| ... |63 ]   a slot spans one tick            1 ms
//!  level 1   [ 0| 1| 2| ... |63 ]   a slot spans a whole level 0    67 ms
//!  level 2   [ 0| 1| 2| ... |63 ]   a slot spans a whole level 1     4 s
//!    ...               |                                            ...
//!  level 7   [ 0| 1| 2| 3 ]         a slot spans a whole level 6   146 years
//!                      |
//!                      head <-> timer <-> timer <-> tail    in order of insertion
//! ```
//!
//! A timer whose tick is not after the wheel's own is in `near`, a heap that orders by nanosecond.
//! Any other timer is in the slot of the highest digit in which its tick differs from the wheel's.
//! When the wheel comes to a slot it *opens* it: each timer moves to a lower level or into `near`.
//! A bit a slot says whether it is occupied, so an idle gap of any length is one jump. A timer
//! moves eight times at most: all is O(1) amortised, but for O(log n) in the n timers of `near`.
//!
//! Invariants:
//! - `near` has the timers up to and with the wheel's tick, the slots have those after it. So the
//!   slots of a level come before those of the levels above it, and within a level the lowest first.
//! - Equal deadlines are in the same list, or all in `near`, and a list is appended to and opened front
//!   to back. So they expire in order of insertion, without a sequence number in every timer.
//! - The top of `near` is a live timer, and at least half of `near` is live.
//!
//! What is absent: clocks and wake-ups; the caller brings the time. Memory stays at its high-water mark.
//!
//! Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU32;

#[cfg(test)]
mod tests;

/// A tick is 2 to this many nanoseconds.
const TICK_BITS: u32 = 20;
/// A level has 2 to this many slots: one for each bit of a word.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// As many as it takes to tell all ticks of a `u64` apart.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(SLOT_BITS) as usize;

/// No timer: the end of a list.
const NIL: u32 = u32::MAX;

/// Names one timer, for cancelling it. Once the timer has gone the key names nothing, for good: it
/// never comes to name a later timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    generation: NonZeroU32,
}

/// A set of timers ordered by deadline, and by insertion among equal deadlines.
///
/// Deadlines are nanoseconds since the runtime's start. All of `u64` is legal; a caller adding a
/// timeout to the time saturates.
pub(crate) struct TimerWheel<T> {
    /// Where the wheel stands.
    tick: u64,
    /// One bit a slot: its list is not empty.
    occupied: [u64; LEVELS],
    /// One bit a slot: a timer with its `earliest` deadline was cancelled, perhaps the only one.
    stale: [u64; LEVELS],
    slots: Box<[[Slot; SLOTS]; LEVELS]>,
    near: BinaryHeap<Near>,
    /// How many of `near` were cancelled.
    near_dead: usize,
    /// How many timers ever came into `near`, to order equal deadlines there.
    arrivals: u64,
    timers: Slab<T>,
}

impl<T> TimerWheel<T> {
    /// Makes an empty wheel that stands at time zero.
    pub(crate) fn new() -> TimerWheel<T> {
        TimerWheel {
            tick: 0,
            occupied: [0; LEVELS],
            stale: [0; LEVELS],
            slots: Box::new([[Slot::EMPTY; SLOTS]; LEVELS]),
            near: BinaryHeap::new(),
            near_dead: 0,
            arrivals: 0,
            timers: Slab::new(),
        }
    }

    /// Counts the timers that have neither expired nor been cancelled.
    pub(crate) fn len(&self) -> usize {
        self.timers.live
    }

    /// Adds a timer. A deadline in the past is legal: the timer is due at once, and has its place
    /// among the other due timers by deadline.
    ///
    /// # Panics
    ///
    /// At 2^32 - 1 live timers.
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let key = self.timers.insert(deadline, value);
        self.place(key.index);
        key
    }

    /// Removes a timer and returns its value, or `None` when it has expired or been cancelled
    /// already. The next timer can have its memory at once.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let deadline = self.timers.find(key)?.deadline;
        let value = self.timers.remove(key);
        if tick_of(deadline) > self.tick {
            self.unlink(key.index, deadline);
        } else {
            self.near_dead += 1;
            self.purge_near();
        }
        value
    }

    /// Returns a time before which no timer is due, or `None` when none is pending. It is not
    /// clamped to the present: a past deadline comes back as it is.
    ///
    /// It is the exact next deadline, unless a timer with that deadline was cancelled while it was
    /// in a slot. Then it can be too early, but within the same slot's span, and calling
    /// [`expire`](Self::expire) at that time makes it exact: such a cancel costs one idle wake-up
    /// at most. Within the tick of a time for which `expire` has returned `None` it is always exact.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if let Some(top) = self.near.peek() {
            return Some(top.deadline);
        }
        let (level, slot) = self.first_occupied()?;
        Some(self.slots[level][slot].earliest)
    }

    /// Returns the exact next deadline, or `None` when no timer is pending. Where
    /// [`next_deadline`](Self::next_deadline) may be too early, it walks one slot's list to correct that.
    pub(crate) fn next_exact(&mut self) -> Option<u64> {
        if self.near.is_empty() {
            let (level, slot) = self.first_occupied()?;
            if self.stale[level] & bit(slot) != 0 {
                self.refresh_earliest(level, slot);
            }
        }
        self.next_deadline()
    }

    /// Returns the next timer with its exact deadline, due or not, or `None` when no timer is pending.
    pub(crate) fn peek(&mut self) -> Option<(u64, &T)> {
        if self.near.is_empty() {
            let next = self.next_exact()?;
            // Timers that come in later and are due before are in `near` as well.
            self.advance(tick_of(next));
        }
        let top = self.near.peek()?;
        let timer = self.timers.find(top.key)?;
        Some((top.deadline, timer.value.as_ref()?))
    }

    /// Removes the next timer that is due at `now`, and returns its deadline and value. No timer is
    /// due before its deadline, not by a nanosecond.
    ///
    /// Call it until it returns `None`. A timer inserted between the calls takes part if it is due,
    /// so a caller that wants to put due timers back must first take out all of them. With `u64::MAX`
    /// it empties the wheel.
    pub(crate) fn expire(&mut self, now: u64) -> Option<(u64, T)> {
        if self.near.is_empty() {
            self.advance(tick_of(now));
        }
        let top = self.near.peek_mut()?;
        if top.deadline > now {
            return None;
        }
        let due = PeekMut::pop(top);
        let value = self.timers.remove(due.key)?;
        self.purge_near();
        Some((due.deadline, value))
    }

    /// Moves the wheel to the `target` tick, or to one before it that has timers; these are in
    /// `near` then.
    fn advance(&mut self, target: u64) {
        while self.near.is_empty() {
            let Some((level, slot)) = self.first_occupied() else {
                // Without timers it may even go back, as it does once all were taken out with `u64::MAX`.
                self.tick = target;
                return;
            };
            if self.first_tick(level, slot) > target {
                self.tick = target.max(self.tick);
                return;
            }
            // No timer is before `earliest`, so the way there is one jump, however many slots
            // of lower levels it passes.
            self.tick = tick_of(self.slots[level][slot].earliest).min(target);
            self.open(level, slot);
        }
    }

    /// Moves the timers of a slot to where they belong when the wheel stands within its span.
    fn open(&mut self, level: usize, slot: usize) {
        let mut index = self.slots[level][slot].head;
        self.empty(level, slot);
        while index != NIL {
            let next = self.timers.links[index as usize].next;
            self.place(index);
            index = next;
        }
    }

    /// Puts a timer that is nowhere where it belongs.
    fn place(&mut self, index: u32) {
        let Timer { deadline, generation, .. } = self.timers.entries[index as usize];
        if tick_of(deadline) > self.tick {
            self.append(index, deadline);
            return;
        }
        let key = TimerKey { index, generation };
        self.near.push(Near { deadline, arrival: self.arrivals, key });
        self.arrivals += 1;
    }

    fn append(&mut self, index: u32, deadline: u64) {
        let (level, slot) = self.position(deadline);
        let list = &mut self.slots[level][slot];
        let links = &mut self.timers.links;
        links[index as usize] = Links { prev: list.tail, next: NIL };
        match list.tail {
            NIL => list.head = index,
            tail => links[tail as usize].next = index,
        }
        list.tail = index;
        self.occupied[level] |= bit(slot);
        if deadline <= list.earliest {
            list.earliest = deadline;
            self.stale[level] &= !bit(slot);
        }
    }

    fn unlink(&mut self, index: u32, deadline: u64) {
        let (level, slot) = self.position(deadline);
        let list = &mut self.slots[level][slot];
        let links = &mut self.timers.links;
        let Links { prev, next } = links[index as usize];
        match prev {
            NIL => list.head = next,
            prev => links[prev as usize].next = next,
        }
        match next {
            NIL => list.tail = prev,
            next => links[next as usize].prev = prev,
        }
        if list.head == NIL {
            self.empty(level, slot);
        } else if deadline == list.earliest {
            self.stale[level] |= bit(slot);
        }
    }

    fn empty(&mut self, level: usize, slot: usize) {
        self.slots[level][slot] = Slot::EMPTY;
        self.occupied[level] &= !bit(slot);
        self.stale[level] &= !bit(slot);
    }

    fn refresh_earliest(&mut self, level: usize, slot: usize) {
        let mut earliest = u64::MAX;
        let mut index = self.slots[level][slot].head;
        while index != NIL {
            earliest = earliest.min(self.timers.entries[index as usize].deadline);
            index = self.timers.links[index as usize].next;
        }
        self.slots[level][slot].earliest = earliest;
        self.stale[level] &= !bit(slot);
    }

    /// Restores the invariant that the top and at least half of `near` are live. The work of going
    /// through all of it is spread over the cancels that made half of it dead.
    fn purge_near(&mut self) {
        if self.near_dead > self.near.len() / 2 {
            self.near.retain(|near| self.timers.find(near.key).is_some());
            self.near_dead = 0;
        }
        while self.near_dead > 0
            && let Some(top) = self.near.peek_mut()
            && self.timers.find(top.key).is_none()
        {
            PeekMut::pop(top);
            self.near_dead -= 1;
        }
    }

    /// The level and number of the slot whose timers come first.
    fn first_occupied(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The level and number of the slot for a deadline after the wheel's tick.
    fn position(&self, deadline: u64) -> (usize, usize) {
        let tick = tick_of(deadline);
        let level = (tick ^ self.tick).ilog2() / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        (level as usize, slot)
    }

    /// The tick at which a slot's span begins: the wheel's digits above its level, its number, zeros.
    fn first_tick(&self, level: usize, slot: usize) -> u64 {
        let shift = level as u32 * SLOT_BITS;
        let above = self.tick >> shift >> SLOT_BITS << SLOT_BITS;
        (above | slot as u64) << shift
    }
}

fn tick_of(time: u64) -> u64 {
    time >> TICK_BITS
}

fn bit(slot: usize) -> u64 {
    1 << slot
}

/// The list of the timers in one slot.
#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
    /// No deadline in the list is before it, and one is equal to it unless the slot is `stale`.
    earliest: u64,
}

impl Slot {
    const EMPTY: Slot = Slot { head: NIL, tail: NIL, earliest: u64::MAX };
}

/// A timer's place in `near`. It is dead when the slab no longer finds its key.
struct Near {
    deadline: u64,
    arrival: u64,
    key: TimerKey,
}

impl Ord for Near {
    /// In reverse, because the standard heap has its greatest item on top.
    fn cmp(&self, other: &Near) -> Ordering {
        (other.deadline, other.arrival).cmp(&(self.deadline, self.arrival))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Near) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Near {}

impl PartialEq for Near {
    fn eq(&self, other: &Near) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// The memory of the timers, by index.
struct Slab<T> {
    entries: Vec<Timer<T>>,
    /// As long as `entries`, and apart from it: opening a slot waits for memory link after link,
    /// and packed like this eight of them share one cache line.
    links: Vec<Links>,
    /// The entries without a timer, last in, first out. Apart for the same reason.
    vacant: Vec<u32>,
    live: usize,
}

/// A timer, or an entry that waits for one.
struct Timer<T> {
    deadline: u64,
    /// Which timer of this entry it is, counted from one.
    generation: NonZeroU32,
    /// `None` while the entry is vacant.
    value: Option<T>,
}

/// A timer's neighbours in its slot's list. It has no meaning in `near`.
#[derive(Clone, Copy)]
struct Links {
    prev: u32,
    next: u32,
}

impl<T> Slab<T> {
    fn new() -> Slab<T> {
        Slab { entries: Vec::new(), links: Vec::new(), vacant: Vec::new(), live: 0 }
    }

    fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        self.live += 1;
        let Some(index) = self.vacant.pop() else {
            return self.grow(deadline, value);
        };
        let entry = &mut self.entries[index as usize];
        entry.deadline = deadline;
        entry.value = Some(value);
        TimerKey { index, generation: entry.generation }
    }

    fn grow(&mut self, deadline: u64, value: T) -> TimerKey {
        assert!(self.entries.len() < NIL as usize, "too many timers");
        let index = self.entries.len() as u32;
        let generation = NonZeroU32::MIN;
        self.entries.push(Timer { deadline, generation, value: Some(value) });
        self.links.push(Links { prev: NIL, next: NIL });
        TimerKey { index, generation }
    }

    fn find(&self, key: TimerKey) -> Option<&Timer<T>> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.generation == key.generation && entry.value.is_some()).then_some(entry)
    }

    /// Takes out the value of a timer that `find` finds. The links stay until the entry is used again.
    fn remove(&mut self, key: TimerKey) -> Option<T> {
        let entry = &mut self.entries[key.index as usize];
        let value = entry.value.take()?;
        // An entry that has run out of generations is left alone for good, so that no key comes
        // back. That is its memory lost for every four billion timers.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            self.vacant.push(key.index);
        }
        self.live -= 1;
        Some(value)
    }
}
