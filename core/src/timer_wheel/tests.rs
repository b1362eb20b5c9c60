//! The wheel against a model, and its edges one by one.

use std::collections::BTreeSet;
use std::iter;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const TICK: u64 = 1 << TICK_BITS;
const MILLION: u64 = 1_000_000;

/// Takes out all that is due, as (deadline, value).
fn expire_all<T>(wheel: &mut TimerWheel<T>, now: u64) -> Vec<(u64, T)> {
    iter::from_fn(|| wheel.expire(now)).collect()
}

/// Pseudo-random numbers of full width that are the same in every run (splitmix64).
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0_u64;
    iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Asserts what the module's docs and the fields promise.
fn assert_consistent<T>(wheel: &TimerWheel<T>) {
    let mut listed = 0;
    for (level, slots) in wheel.slots.iter().enumerate() {
        for (slot, list) in slots.iter().enumerate() {
            let deadlines = assert_linked(wheel, level, slot);
            let occupied = wheel.occupied[level] & bit(slot) != 0;
            let stale = wheel.stale[level] & bit(slot) != 0;
            assert_eq!(occupied, !deadlines.is_empty());
            match deadlines.iter().min() {
                None => assert!(!stale && list.earliest == u64::MAX && list.tail == NIL),
                Some(&first) => assert!(list.earliest == first || stale && list.earliest < first),
            }
            listed += deadlines.len();
        }
    }
    let live = |near: &&Near| wheel.timers.find(near.key).is_some();
    assert_eq!(wheel.near.iter().filter(live).count(), wheel.near.len() - wheel.near_dead);
    assert!(wheel.near.iter().all(|near| tick_of(near.deadline) <= wheel.tick));
    assert!(wheel.near.peek().is_none_or(|top| live(&top)));
    assert!(wheel.near_dead <= wheel.near.len() / 2);
    assert_eq!(wheel.len(), listed + wheel.near.len() - wheel.near_dead);
}

/// Asserts that a slot's timers belong there and are linked both ways, and returns their deadlines.
fn assert_linked<T>(wheel: &TimerWheel<T>, level: usize, slot: usize) -> Vec<u64> {
    let mut deadlines = Vec::new();
    let (mut prev, mut index) = (NIL, wheel.slots[level][slot].head);
    while index != NIL {
        let deadline = wheel.timers.entries[index as usize].deadline;
        assert!(tick_of(deadline) > wheel.tick);
        assert_eq!(wheel.position(deadline), (level, slot));
        assert_eq!(wheel.timers.links[index as usize].prev, prev);
        deadlines.push(deadline);
        (prev, index) = (index, wheel.timers.links[index as usize].next);
    }
    assert_eq!(wheel.slots[level][slot].tail, prev);
    deadlines
}

#[derive(Clone, Debug)]
enum Step {
    InsertAfter(u64),
    InsertBefore(u64),
    /// With the deadline of a timer inserted earlier.
    InsertEqual(prop::sample::Index),
    /// Any timer inserted earlier, gone or not.
    Cancel(prop::sample::Index),
    /// Lets time pass, and takes out at most so many of the due timers.
    Advance(u64, usize),
    /// Lets time pass until the wheel says there may be something to do.
    Wake,
}

/// Spans of time of every order of magnitude, so that every level and every edge of one is met.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..4_u64,
        4 => 0..4 * TICK,
        4 => (0..200_u64).prop_map(|ticks| ticks * TICK),
        4 => (0..64_u32, 0..3_u64).prop_map(|(bits, more)| (1_u64 << bits) - 1 + more),
        4 => (0..64_u32, any::<u64>()).prop_map(|(shift, number)| number >> shift),
        1 => Just(u64::MAX),
    ]
}

/// Spans under a quarter of a second: the two lowest levels, again and again.
fn short_span() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 0..4 * TICK, 0..200 * TICK]
}

fn steps(span: impl Strategy<Value = u64> + Clone + 'static) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => span.clone().prop_map(Step::InsertAfter),
        1 => span.clone().prop_map(Step::InsertBefore),
        4 => any::<prop::sample::Index>().prop_map(Step::InsertEqual),
        4 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => (span, 0..40_usize).prop_map(|(span, take)| Step::Advance(span, take)),
        1 => Just(Step::Wake),
    ];
    vec(step, 1..120)
}

/// The wheel beside a model that cannot be wrong.
struct Pair {
    now: u64,
    wheel: TimerWheel<u64>,
    model: BTreeSet<(u64, u64)>,
    /// All timers ever inserted, by sequence number.
    keys: Vec<(TimerKey, u64)>,
}

impl Pair {
    fn new() -> Pair {
        Pair { now: 0, wheel: TimerWheel::new(), model: BTreeSet::new(), keys: Vec::new() }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::InsertAfter(span) => self.insert(self.now.saturating_add(*span)),
            Step::InsertBefore(span) => self.insert(self.now.saturating_sub(*span)),
            Step::InsertEqual(_) | Step::Cancel(_) if self.keys.is_empty() => {}
            Step::InsertEqual(which) => self.insert(which.get(&self.keys).1),
            Step::Cancel(which) => self.cancel(which.index(self.keys.len())),
            Step::Advance(span, take) => {
                self.now = self.now.saturating_add(*span);
                self.expire(*take);
            }
            Step::Wake => {
                self.now = self.wheel.next_deadline().unwrap_or(0).max(self.now);
                self.expire(usize::MAX);
            }
        }
        self.compare();
    }

    fn insert(&mut self, deadline: u64) {
        let sequence = self.keys.len() as u64;
        self.keys.push((self.wheel.insert(deadline, sequence), deadline));
        self.model.insert((deadline, sequence));
    }

    fn cancel(&mut self, which: usize) {
        let (key, deadline) = self.keys[which];
        let sequence = which as u64;
        let expected = self.model.remove(&(deadline, sequence)).then_some(sequence);
        assert_eq!(self.wheel.cancel(key), expected);
    }

    fn expire(&mut self, take: usize) {
        for _ in 0..take {
            let expected = self.model.first().copied().filter(|first| first.0 <= self.now);
            assert_eq!(self.wheel.expire(self.now), expected);
            let Some(expired) = expected else {
                // What makes `next_deadline` exact within the tick, and keeps levels low.
                assert_eq!(self.wheel.tick, tick_of(self.now));
                return;
            };
            self.model.remove(&expired);
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        self.model.first().map(|first| first.0)
    }

    fn compare(&self) {
        assert_consistent(&self.wheel);
        assert!(self.wheel.tick <= tick_of(self.now));
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.next_deadline().is_some(), !self.model.is_empty());
        assert!(self.wheel.next_deadline() <= self.next_deadline());
    }

    fn finish(mut self) {
        let exact = self.next_deadline();
        assert_eq!(self.wheel.next_exact(), exact);
        assert_eq!(self.wheel.next_deadline(), exact);
        let rest: Vec<_> = self.model.into_iter().collect();
        assert_eq!(expire_all(&mut self.wheel, u64::MAX), rest);
        let mut keys = self.keys.into_iter();
        assert!(keys.all(|(key, _)| self.wheel.cancel(key).is_none()));
        assert_consistent(&self.wheel);
    }
}

fn follow(steps: &[Step]) {
    let mut pair = Pair::new();
    for step in steps {
        pair.apply(step);
    }
    pair.finish();
}

proptest! {
    /// SCH-5.
    #[test]
    fn does_what_an_ordered_map_does_over_all_times(steps in steps(span().boxed())) {
        follow(&steps);
    }

    /// SCH-5.
    #[test]
    fn does_what_an_ordered_map_does_over_short_times(steps in steps(short_span().boxed())) {
        follow(&steps);
    }

    /// SCH-5: whatever the levels from which equal deadlines come together.
    #[test]
    fn equal_deadlines_expire_in_order_of_insertion(
        deadline in any::<u64>(),
        mut starts in vec(any::<u64>(), 1..30),
    ) {
        let mut wheel = TimerWheel::new();
        starts.iter_mut().for_each(|start| *start %= deadline.max(1));
        starts.sort_unstable();
        for (sequence, &start) in starts.iter().enumerate() {
            prop_assert_eq!(wheel.expire(start), None);
            wheel.insert(deadline, sequence);
        }
        let expired: Vec<_> = expire_all(&mut wheel, deadline).into_iter().map(|due| due.1).collect();
        prop_assert_eq!(expired, (0..starts.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_timer_is_early_by_a_nanosecond(deadline in 1..=u64::MAX, start in any::<u64>()) {
        let mut wheel = TimerWheel::new();
        wheel.expire(start.min(deadline - 1));
        wheel.insert(deadline, ());
        prop_assert_eq!(wheel.expire(deadline - 1), None);
        prop_assert_eq!(wheel.expire(deadline), Some((deadline, ())));
    }

    /// The loop may trust `next_deadline` alone: each wake-up expires a timer or is paid for by a cancel.
    #[test]
    fn idle_wakes_are_no_more_than_cancels(
        deadlines in vec(span(), 1..60),
        cancels in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut wheel = TimerWheel::new();
        let keys: Vec<_> = deadlines.iter().map(|&deadline| wheel.insert(deadline, ())).collect();
        let cancelled = cancels.iter().filter_map(|which| wheel.cancel(*which.get(&keys))).count();
        let mut idle = 0;
        while let Some(deadline) = wheel.next_deadline() {
            idle += usize::from(expire_all(&mut wheel, deadline).is_empty());
        }
        prop_assert!(idle <= cancelled);
    }

    /// What the virtual clock relies on.
    #[test]
    fn a_jump_to_the_exact_deadline_always_expires_a_timer(
        deadlines in vec(span(), 1..60),
        cancels in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut wheel = TimerWheel::new();
        let keys: Vec<_> = deadlines.iter().map(|&deadline| wheel.insert(deadline, ())).collect();
        for which in cancels {
            wheel.cancel(*which.get(&keys));
        }
        while let Some(deadline) = wheel.next_exact() {
            prop_assert_eq!(wheel.expire(deadline), Some((deadline, ())));
        }
        prop_assert_eq!(wheel.len(), 0);
    }
}

#[test]
fn a_new_wheel_has_nothing_to_do() {
    let mut wheel = TimerWheel::<()>::new();
    assert_eq!(wheel.next_deadline(), None);
    assert_eq!(wheel.next_exact(), None);
    assert_eq!(wheel.expire(u64::MAX), None);
    assert_eq!(wheel.len(), 0);
}

#[test]
fn a_timer_at_zero_is_due_at_zero() {
    let mut wheel = TimerWheel::new();
    wheel.insert(0, ());
    assert_eq!(wheel.next_deadline(), Some(0));
    assert_eq!(wheel.expire(0), Some((0, ())));
}

/// It also shows that an idle gap is jumped: stepping through 2^44 ticks would take days.
#[test]
fn a_timer_at_the_end_of_time_is_due_then_and_no_sooner() {
    let mut wheel = TimerWheel::new();
    wheel.insert(u64::MAX, ());
    assert_eq!(wheel.next_deadline(), Some(u64::MAX));
    assert_eq!(wheel.expire(u64::MAX - 1), None);
    assert_eq!(wheel.expire(u64::MAX), Some((u64::MAX, ())));
}

#[test]
fn a_past_timer_is_due_after_those_with_an_earlier_or_equal_deadline() {
    let mut wheel = TimerWheel::new();
    wheel.insert(5 * TICK, "later");
    wheel.insert(3 * TICK, "equal");
    wheel.insert(2 * TICK, "earlier");
    assert_eq!(wheel.expire(9 * TICK), Some((2 * TICK, "earlier")));
    wheel.insert(3 * TICK, "past");
    let rest: Vec<_> = expire_all(&mut wheel, 9 * TICK).into_iter().map(|due| due.1).collect();
    assert_eq!(rest, ["equal", "past", "later"]);
}

/// TMO-5: a timeout of zero is inserted before the sleep of zero under it, so it wins.
#[test]
fn of_two_timers_due_now_the_first_inserted_is_first() {
    let mut wheel = TimerWheel::new();
    wheel.expire(7 * TICK + 7);
    wheel.insert(7 * TICK + 7, "timeout");
    wheel.insert(7 * TICK + 7, "sleep");
    assert_eq!(wheel.expire(7 * TICK + 7), Some((7 * TICK + 7, "timeout")));
}

/// TMO-3.
#[test]
fn a_cancelled_timer_does_not_expire() {
    for deadline in [0, 1, TICK, 100 * TICK, u64::MAX] {
        let mut wheel = TimerWheel::new();
        let key = wheel.insert(deadline, "value");
        assert_eq!(wheel.cancel(key), Some("value"));
        assert_eq!(wheel.next_deadline(), None);
        assert_eq!(wheel.expire(u64::MAX), None);
    }
}

#[test]
fn the_key_of_an_expired_timer_does_not_cancel_the_next_in_its_place() {
    let mut wheel = TimerWheel::new();
    let stale = wheel.insert(1, "old");
    wheel.expire(1);
    let key = wheel.insert(2, "new");
    assert_eq!(stale.index, key.index);
    assert_eq!(wheel.cancel(stale), None);
    assert_eq!(wheel.cancel(key), Some("new"));
    assert_eq!(wheel.cancel(key), None);
}

#[test]
fn a_key_from_another_wheel_cancels_nothing() {
    let key = TimerWheel::new().insert(1, ());
    assert_eq!(TimerWheel::<()>::new().cancel(key), None);
}

#[test]
fn a_place_out_of_generations_is_not_used_again() {
    let mut wheel = TimerWheel::new();
    let first = wheel.insert(1, ());
    wheel.cancel(first);
    wheel.timers.entries[0].generation = NonZeroU32::MAX;
    let last = wheel.insert(1, ());
    assert_eq!(wheel.cancel(last), Some(()));
    assert_eq!(wheel.cancel(last), None);
    assert_ne!(wheel.insert(1, ()).index, last.index);
    assert_eq!(wheel.len(), 1);
    assert_consistent(&wheel);
}

#[test]
fn after_the_earliest_was_cancelled_one_idle_wake_makes_the_bound_exact() {
    let mut wheel = TimerWheel::new();
    let earliest = wheel.insert(200 * TICK, ());
    wheel.insert(220 * TICK, ());
    wheel.cancel(earliest);
    assert_eq!(wheel.next_deadline(), Some(200 * TICK));
    assert_eq!(wheel.expire(200 * TICK), None);
    assert_eq!(wheel.next_deadline(), Some(220 * TICK));
}

#[test]
fn a_wheel_emptied_ahead_of_time_serves_the_present_again() {
    let mut wheel = TimerWheel::new();
    wheel.insert(u64::MAX, "last");
    wheel.insert(3, "first");
    assert_eq!(expire_all(&mut wheel, u64::MAX), [(3, "first"), (u64::MAX, "last")]);
    assert_eq!(wheel.expire(4), None);
    wheel.insert(9 * TICK, "next");
    assert_eq!(wheel.occupied[0], bit(9));
    assert_eq!(wheel.expire(9 * TICK), Some((9 * TICK, "next")));
}

#[test]
fn a_wheel_asked_about_the_past_keeps_its_order() {
    let mut wheel = TimerWheel::new();
    for number in 0..10 {
        wheel.insert(number * 30 * TICK, number);
    }
    assert_eq!(expire_all(&mut wheel, 90 * TICK).len(), 4);
    assert_eq!(wheel.expire(0), None);
    assert_consistent(&wheel);
    wheel.insert(TICK, 99);
    let rest: Vec<_> = expire_all(&mut wheel, u64::MAX).into_iter().map(|due| due.1).collect();
    assert_eq!(rest, [99, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn dead_timers_of_the_present_tick_never_outnumber_the_living() {
    let mut wheel = TimerWheel::new();
    let keep = wheel.insert(0, 0);
    for number in 1..10_000 {
        let key = wheel.insert(number % TICK, number);
        assert_eq!(wheel.cancel(key), Some(number));
        assert!(wheel.near.len() <= 2);
    }
    assert_eq!(wheel.cancel(keep), Some(0));
    assert!(wheel.near.is_empty());
}

#[test]
fn a_timer_of_two_words_takes_at_most_48_bytes() {
    assert!(size_of::<Timer<[u64; 2]>>() + size_of::<Links>() <= 48);
    assert_eq!(size_of::<TimerKey>(), 8);
    assert_eq!(size_of::<Option<TimerKey>>(), 8);
}

#[test]
fn a_second_million_cancelled_needs_no_more_memory_than_the_first() {
    let mut wheel = TimerWheel::new();
    let mut round = |now: u64| {
        wheel.expire(now);
        let deadlines = numbers().map(|number| now + number % (1 << 36)).take(MILLION as usize);
        let keys: Vec<_> = deadlines.map(|deadline| wheel.insert(deadline, ())).collect();
        assert!(keys.into_iter().all(|key| wheel.cancel(key).is_some()));
        assert!(wheel.len() == 0 && wheel.near.is_empty());
        let Slab { entries, links, vacant, .. } = &wheel.timers;
        [entries.capacity(), links.capacity(), vacant.capacity(), wheel.near.capacity()]
    };
    let first = round(0);
    assert_eq!(round(1 << 30), first);
}

#[test]
fn a_million_timers_expire_in_order() {
    let mut wheel = TimerWheel::new();
    let mut expected: Vec<_> = numbers().map(|number| number % 1_000_000_000).zip(0..MILLION).collect();
    for &(deadline, sequence) in &expected {
        wheel.insert(deadline, sequence);
    }
    expected.sort_unstable();
    let mut expired = Vec::new();
    for now in (0..=1_000).map(|millisecond| millisecond * MILLION) {
        expired.append(&mut expire_all(&mut wheel, now));
        assert!(expired.last().is_none_or(|last| last.0 <= now));
    }
    assert!(expired == expected);
}
