//! Happy Eyeballs version 2: which address is tried when, without I/O (RFC 8305).
//!
//! ```text
//!   answers ──► [ addresses, sorted ] ──► next() ──┬─► Start(address)   at most one per attempt delay
//!                                                  ├─► Wait(until)      for an event, or that time
//!   failed(address) ───────────────────────────────┴─► Lost             all have failed, and none is left
//! ```
//!
//! - Answers for AAAA and A come by themselves. AAAA starts the race at once; A alone waits 50 ms for it (section 3).
//! - The first address tried is the first by RFC 6724; from there on the families take turns (section 4).
//! - An attempt follows the one before it after 250 ms, or at once when one has failed (section 5).
//!
//! # Invariants
//!
//! - Each address is started once; what an answer brings later is put in its place among those that are left.
//! - No more than [`RaceOptions::max_attempts`] run at a time, and no more than [`RaceOptions::max_addresses`] are tried in all.
//!
//! # What is absent
//!
//! Sockets, timers and the end: who has a connection stops asking, and closes the others (section 5).
//! Remembering which addresses were fast (section 4 allows it), NAT64 synthesis (section 7).
//!
//! Source: RFC 8305.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::host_address::Family;

/// The limits of a race; the defaults are those of RFC 8305, section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaceOptions {
    /// How long IPv4 addresses wait for the answer with those of IPv6; 50 ms unless set.
    pub resolution_delay: Duration,
    /// How long an attempt has before the next one is started beside it; 250 ms unless set, and no less than 10 ms.
    pub attempt_delay: Duration,
    /// How many attempts run at a time; 8 unless set.
    pub max_attempts: usize,
    /// How many addresses are tried in all; 32 unless set.
    pub max_addresses: usize,
}

/// The shortest delay between attempts (RFC 8305, section 8).
pub const MIN_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

impl Default for RaceOptions {
    fn default() -> RaceOptions {
        RaceOptions {
            resolution_delay: Duration::from_millis(50),
            attempt_delay: Duration::from_millis(250),
            max_attempts: 8,
            max_addresses: 32,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// Start an attempt at this address.
    Start(SocketAddr),
    /// Wait for an answer or the end of an attempt, and at most until this time.
    Wait(Option<Instant>),
    /// No attempt runs, and there is nothing left to try.
    Lost,
}

/// A race between the addresses of one host.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use grapeshot_dns::proto::{Family, Race, RaceOptions, RaceStep};
///
/// let now = Instant::now();
/// let mut race = Race::new(RaceOptions::default());
/// let address = "192.0.2.1:80".parse().unwrap();
/// race.answered(now, Family::Any, &[address]);
/// assert_eq!(race.next(now), RaceStep::Start(address));
/// assert_eq!(race.next(now), RaceStep::Wait(None));
/// race.failed(now, address);
/// assert_eq!(race.next(now), RaceStep::Lost);
/// ```
#[derive(Clone, Debug)]
pub struct Race {
    options: RaceOptions,
    /// Whether an answer is still to come.
    awaits_v6: bool,
    awaits_v4: bool,
    /// Sorted, the preferred one first.
    left: Vec<SocketAddr>,
    started: HashSet<SocketAddr>,
    running: Vec<SocketAddr>,
    last_started: Option<SocketAddr>,
    /// No attempt before this time.
    not_before: Option<Instant>,
}

impl Race {
    /// A race that waits for its addresses.
    pub fn new(options: RaceOptions) -> Race {
        let attempt_delay = options.attempt_delay.max(MIN_ATTEMPT_DELAY);
        Race {
            options: RaceOptions { attempt_delay, ..options },
            awaits_v6: true,
            awaits_v4: true,
            left: Vec::new(),
            started: HashSet::new(),
            running: Vec::new(),
            last_started: None,
            not_before: None,
        }
    }

    /// Takes in an answer: `addresses` are all that are known so far, sorted by RFC 6724, and those of `family` are complete.
    ///
    /// There may be none. [`Family::Any`] says that nothing more will come.
    pub fn answered(&mut self, now: Instant, family: Family, addresses: &[SocketAddr]) {
        self.awaits_v6 &= family == Family::V4;
        self.awaits_v4 &= family == Family::V6;
        self.left.clear();
        for address in addresses {
            if !self.started.contains(address) && !self.left.contains(address) {
                self.left.push(*address);
            }
        }
        self.left.truncate(self.options.max_addresses.saturating_sub(self.started.len()));
        if self.started.is_empty() && family == Family::V4 && self.awaits_v6 {
            self.not_before = now.checked_add(self.options.resolution_delay);
        } else if self.started.is_empty() {
            self.not_before = None;
        }
    }

    /// Takes in that an attempt has failed. The next one need not wait.
    pub fn failed(&mut self, now: Instant, address: SocketAddr) {
        if let Some(place) = self.running.iter().position(|running| *running == address) {
            self.running.swap_remove(place);
            self.not_before = Some(now);
        }
    }

    /// What is to be done now; to be asked again after each [`Start`](RaceStep::Start), event, and time waited for.
    pub fn next(&mut self, now: Instant) -> RaceStep {
        let Some(place) = self.next_place() else {
            let may_go_on = !self.running.is_empty() || self.awaits_v4 || self.awaits_v6;
            return if may_go_on { RaceStep::Wait(None) } else { RaceStep::Lost };
        };
        if self.running.len() >= self.options.max_attempts.max(1) {
            return RaceStep::Wait(None);
        }
        if let Some(time) = self.not_before.filter(|&time| time > now) {
            return RaceStep::Wait(Some(time));
        }
        let address = self.left.remove(place);
        self.started.insert(address);
        self.running.push(address);
        self.last_started = Some(address);
        self.not_before = now.checked_add(self.options.attempt_delay);
        RaceStep::Start(address)
    }

    /// The first address of the family whose turn it is, or else the first there is.
    fn next_place(&self) -> Option<usize> {
        let takes_turns =
            |address: &SocketAddr| self.last_started.is_some_and(|last| last.is_ipv4() != address.is_ipv4());
        self.left.iter().position(takes_turns).or_else(|| (!self.left.is_empty()).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESOLUTION: Duration = Duration::from_millis(50);
    const ATTEMPT: Duration = Duration::from_millis(250);

    fn v6(last: u16) -> SocketAddr {
        format!("[2001:db8::{last}]:80").parse().unwrap()
    }

    fn v4(last: u16) -> SocketAddr {
        format!("192.0.2.{last}:80").parse().unwrap()
    }

    fn race() -> (Race, Instant) {
        (Race::new(RaceOptions::default()), Instant::now())
    }

    /// All addresses in the order they would be tried if none failed, and how long after the first each is started.
    fn schedule(race: &mut Race, start: Instant) -> Vec<(SocketAddr, Duration)> {
        let mut now = start;
        let mut started = Vec::new();
        loop {
            match race.next(now) {
                RaceStep::Start(address) => started.push((address, now - start)),
                RaceStep::Wait(Some(until)) => now = until,
                RaceStep::Wait(None) | RaceStep::Lost => return started,
            }
        }
    }

    fn order(race: &mut Race, now: Instant) -> Vec<SocketAddr> {
        schedule(race, now).into_iter().map(|(address, _)| address).collect()
    }

    #[test]
    fn rfc_8305_section_3_addresses_of_ipv6_are_used_at_once() {
        let (mut race, now) = race();
        assert_eq!(race.next(now), RaceStep::Wait(None));
        race.answered(now, Family::V6, &[v6(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v6(1)));
    }

    #[test]
    fn rfc_8305_section_3_addresses_of_ipv4_wait_for_those_of_ipv6() {
        let (mut race, now) = race();
        race.answered(now, Family::V4, &[v4(1)]);
        assert_eq!(race.next(now), RaceStep::Wait(Some(now + RESOLUTION)));
        assert_eq!(race.next(now + RESOLUTION), RaceStep::Start(v4(1)));
    }

    #[test]
    fn rfc_8305_section_3_the_wait_ends_with_an_answer() {
        let (mut race, now) = race();
        race.answered(now, Family::V4, &[v4(1)]);
        race.answered(now, Family::V6, &[v6(1), v4(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v6(1)));
    }

    #[test]
    fn rfc_8305_section_3_the_wait_ends_with_an_answer_without_addresses() {
        let (mut race, now) = race();
        race.answered(now, Family::V4, &[v4(1)]);
        race.answered(now, Family::V6, &[v4(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v4(1)));
    }

    #[test]
    fn rfc_8305_section_3_an_answer_that_comes_late_joins_the_race() {
        let (mut race, now) = race();
        race.answered(now, Family::V4, &[v4(1), v4(2)]);
        assert_eq!(race.next(now + RESOLUTION), RaceStep::Start(v4(1)));
        race.answered(now + RESOLUTION, Family::V6, &[v6(1), v4(1), v4(2)]);
        assert_eq!(order(&mut race, now + RESOLUTION), [v6(1), v4(2)]);
    }

    #[test]
    fn rfc_8305_section_4_families_take_turns_after_the_first_address() {
        let (mut race, now) = race();
        race.answered(now, Family::Any, &[v6(1), v6(2), v6(3), v4(1), v4(2)]);
        assert_eq!(order(&mut race, now), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    }

    #[test]
    fn rfc_8305_section_4_the_preferred_family_comes_first() {
        let (mut race, now) = race();
        race.answered(now, Family::Any, &[v4(1), v4(2), v6(1)]);
        assert_eq!(order(&mut race, now), [v4(1), v6(1), v4(2)]);
    }

    #[test]
    fn rfc_8305_section_5_attempts_follow_each_other_after_the_delay() {
        let (mut race, now) = race();
        race.answered(now, Family::Any, &[v6(1), v4(1), v6(2)]);
        assert_eq!(schedule(&mut race, now), [(v6(1), Duration::ZERO), (v4(1), ATTEMPT), (v6(2), ATTEMPT * 2)]);
    }

    #[test]
    fn rfc_8305_section_5_a_failure_starts_the_next_attempt_at_once() {
        let (mut race, now) = race();
        race.answered(now, Family::Any, &[v6(1), v4(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v6(1)));
        race.failed(now + RESOLUTION, v6(1));
        assert_eq!(race.next(now + RESOLUTION), RaceStep::Start(v4(1)));
    }

    #[test]
    fn rfc_8305_section_8_the_delay_is_no_shorter_than_10_ms() {
        let now = Instant::now();
        let mut race = Race::new(RaceOptions { attempt_delay: Duration::ZERO, ..RaceOptions::default() });
        race.answered(now, Family::Any, &[v6(1), v4(1)]);
        assert_eq!(schedule(&mut race, now)[1], (v4(1), MIN_ATTEMPT_DELAY));
    }

    #[test]
    fn a_race_is_lost_when_all_have_failed_and_no_answer_is_to_come() {
        let (mut race, now) = race();
        race.answered(now, Family::V6, &[v6(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v6(1)));
        race.failed(now, v6(1));
        assert_eq!(race.next(now), RaceStep::Wait(None));
        race.answered(now, Family::V4, &[v6(1), v4(1)]);
        assert_eq!(race.next(now), RaceStep::Start(v4(1)));
        race.failed(now, v4(1));
        assert_eq!(race.next(now), RaceStep::Lost);
    }

    #[test]
    fn no_more_attempts_run_at_a_time_than_allowed() {
        let now = Instant::now();
        let mut race = Race::new(RaceOptions { max_attempts: 2, ..RaceOptions::default() });
        race.answered(now, Family::Any, &[v4(1), v4(2), v4(3)]);
        assert_eq!(order(&mut race, now), [v4(1), v4(2)]);
        race.failed(now, v4(1));
        assert_eq!(race.next(now), RaceStep::Start(v4(3)));
    }

    #[test]
    fn no_more_addresses_are_tried_than_allowed() {
        let (mut race, now) = race();
        let many: Vec<SocketAddr> = (1..=100).map(v6).collect();
        race.answered(now, Family::V6, &many);
        let mut tried = 0;
        while let RaceStep::Start(address) = race.next(now) {
            tried += 1;
            race.failed(now, address);
        }
        race.answered(now, Family::V4, &many);
        assert_eq!((tried, race.next(now)), (32, RaceStep::Lost));
    }

    proptest! {
        #[test]
        fn every_address_is_started_once_and_the_race_ends(
            answers in proptest::collection::vec(proptest::collection::vec((any::<bool>(), 1_u16..20), 0..10), 2),
            failures in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let (mut race, mut now) = race();
            let mut known: Vec<SocketAddr> = Vec::new();
            let mut started: Vec<SocketAddr> = Vec::new();
            let mut answers = answers.into_iter().zip([Family::V4, Family::V6]);
            let mut failures = failures.into_iter();
            loop {
                match race.next(now) {
                    RaceStep::Start(address) => {
                        prop_assert!(!started.contains(&address) && known.contains(&address));
                        started.push(address);
                        if failures.next().unwrap_or(true) {
                            race.failed(now, address);
                        }
                    }
                    RaceStep::Wait(Some(until)) => {
                        prop_assert!(until > now);
                        now = until;
                    }
                    RaceStep::Wait(None) => match answers.next() {
                        Some((addresses, family)) => {
                            known.extend(addresses.iter().map(|&(is_v6, last)| if is_v6 { v6(last) } else { v4(last) }));
                            race.answered(now, family, &known);
                        }
                        None => match started.iter().find(|address| race.running.contains(address)) {
                            Some(&address) => race.failed(now, address),
                            None => prop_assert!(false, "it waits for nothing"),
                        },
                    },
                    RaceStep::Lost => break,
                }
            }
            known.sort();
            known.dedup();
            started.sort();
            prop_assert_eq!(known, started);
        }
    }
}
