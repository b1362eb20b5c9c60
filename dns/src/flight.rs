//! Lookups of one name at one time are one lookup: the first flies, and the others wait for what it brings.
//!
//! ```text
//!   join ─► nobody flies ──► lead ─► lands ──────────► everyone has the result
//!        │                    └─ unwinds ─► one who waits takes over, and the others wait for that one
//!        └► somebody flies ─► wait, until the own deadline
//! ```
//!
//! # Invariants
//!
//! - A flight is in the list exactly as long as somebody leads it, or has been chosen to.
//! - Who leads and is cancelled hands the lead to one who waits. Who was handed the lead has it, even if cancelled in the
//!   same turn: it finds out where it waits next, and hands on in its turn. So no wake is lost.
//! - Everyone keeps to their own deadline.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::sync::{Notify, NotifyError};

/// The flights under way, by key.
pub(crate) struct Flights<T> {
    flights: RefCell<ByKey<Rc<Flight<T>>>>,
}

/// The bytes of a key, and what is under it.
type ByKey<T> = HashMap<Box<[u8]>, T>;

/// A lookup that somebody does for all who want it.
type Flight<T> = Notify<News<T>>;

/// What those who wait are woken with.
#[derive(Clone)]
enum News<T> {
    Landed(T),
    /// Who led is gone.
    Lead,
}

/// What came of joining a flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Joined<T> {
    /// The caller flew itself.
    Led(T),
    /// Somebody else did.
    Followed(T),
    /// The deadline passed before anybody landed.
    TimedOut,
    /// The coroutine unwinds, and cannot wait for others.
    Refused,
}

impl<T: Clone> Flights<T> {
    pub(crate) fn new() -> Flights<T> {
        Flights { flights: RefCell::default() }
    }

    /// Gives the result of the flight under this key, which is `fly`'s own if nobody flies yet.
    ///
    /// Suspends if somebody does, and otherwise as `fly` does. A cancelled caller unwinds.
    pub(crate) fn join(&self, key: &[u8], deadline: Instant, fly: impl FnOnce() -> T) -> Joined<T> {
        let under_way = match self.flights.borrow_mut().entry(key.into()) {
            Entry::Occupied(under_way) => Ok(under_way.get().clone()),
            Entry::Vacant(place) => Err(place.insert(Rc::new(Flight::new())).clone()),
        };
        let flight = match under_way {
            Ok(flight) => flight,
            Err(flight) => return Joined::Led(self.lead(key, &flight, fly)),
        };
        match flight.wait_until(deadline) {
            Ok(News::Landed(result)) => Joined::Followed(result),
            Ok(News::Lead) => Joined::Led(self.lead(key, &flight, fly)),
            Err(NotifyError::TimedOut) => Joined::TimedOut,
            Err(_) => Joined::Refused,
        }
    }

    fn lead(&self, key: &[u8], flight: &Flight<T>, fly: impl FnOnce() -> T) -> T {
        let lead = Lead { flights: self, key, flight };
        let result = fly();
        // Taken off the list first: who comes now finds the result in the cache, or asks anew.
        std::mem::forget(lead);
        self.remove(key);
        if !flight.is_empty() {
            flight.wake_all(News::Landed(result.clone()));
        }
        result
    }

    fn remove(&self, key: &[u8]) {
        let removed = self.flights.borrow_mut().remove(key);
        drop(removed);
    }

    /// Whether somebody flies under this key.
    pub(crate) fn is_under_way(&self, key: &[u8]) -> bool {
        self.flights.borrow().contains_key(key)
    }

    /// How many lookups are under way.
    pub(crate) fn len(&self) -> usize {
        self.flights.borrow().len()
    }
}

/// The lead, which is handed on when it is dropped without a result.
struct Lead<'a, T: Clone> {
    flights: &'a Flights<T>,
    key: &'a [u8],
    flight: &'a Flight<T>,
}

impl<T: Clone> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        if !self.flight.wake_one(News::Lead) {
            self.flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use grapeshot_core::{now, sleep, spawn, test, with_timeout, yield_now};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn flights() -> Rc<Flights<u32>> {
        Rc::new(Flights::new())
    }

    /// Joins under one key; whoever flies needs a second, and brings how many have flown.
    fn join(flights: &Rc<Flights<u32>>, flown: &Rc<Cell<u32>>) -> Joined<u32> {
        flights.join(b"key", now() + MINUTE, || {
            flown.set(flown.get() + 1);
            sleep(Duration::from_secs(1));
            flown.get()
        })
    }

    #[test]
    fn those_who_want_the_same_at_one_time_share_one_flight() {
        test::run(|| {
            let (flights, flown) = (flights(), Rc::new(Cell::new(0)));
            let joining = (0..3).map(|_| {
                let (flights, flown) = (flights.clone(), flown.clone());
                spawn(move || join(&flights, &flown))
            });
            let joined: Vec<_> = joining.collect();
            let joined: Vec<_> = joined.into_iter().map(|joining| joining.join().unwrap()).collect();
            assert_eq!(joined, [Joined::Led(1), Joined::Followed(1), Joined::Followed(1)]);
            assert_eq!(flights.len(), 0);
            assert_eq!(join(&flights, &flown), Joined::Led(2), "who comes later flies anew");
        });
    }

    #[test]
    fn keys_are_kept_apart() {
        test::run(|| {
            let flights = flights();
            let other = spawn({
                let flights = flights.clone();
                move || {
                    flights.join(b"other", now() + MINUTE, || {
                        sleep(MINUTE);
                        1
                    })
                }
            });
            yield_now();
            assert_eq!(flights.join(b"key", now() + MINUTE, || 2), Joined::Led(2));
            assert_eq!(other.join().unwrap(), Joined::Led(1));
        });
    }

    #[test]
    fn a_flight_whose_leader_is_cancelled_goes_on_for_the_others() {
        test::run(|| {
            let (flights, flown) = (flights(), Rc::new(Cell::new(0)));
            let spawn_one = || {
                let (flights, flown) = (flights.clone(), flown.clone());
                spawn(move || join(&flights, &flown))
            };
            let (leader, second, third) = (spawn_one(), spawn_one(), spawn_one());
            sleep(Duration::from_millis(500));
            leader.cancel();
            assert_eq!(second.join().unwrap(), Joined::Led(2));
            assert_eq!(third.join().unwrap(), Joined::Followed(2));
            assert_eq!(flights.len(), 0);
        });
    }

    #[test]
    fn a_lead_handed_to_one_that_is_cancelled_in_the_same_turn_is_handed_on() {
        test::run(|| {
            let (flights, flown) = (flights(), Rc::new(Cell::new(0)));
            let spawn_one = || {
                let (flights, flown) = (flights.clone(), flown.clone());
                spawn(move || join(&flights, &flown))
            };
            let (leader, second, third) = (spawn_one(), spawn_one(), spawn_one());
            sleep(Duration::from_millis(500));
            leader.cancel();
            // The leader has unwound and woken the second, which has not run yet.
            yield_now();
            second.cancel();
            assert!(matches!(third.join().unwrap(), Joined::Led(_)));
            assert_eq!(flights.len(), 0);
        });
    }

    #[test]
    fn a_leader_that_panics_hands_on_too() {
        test::run(|| {
            let flights = flights();
            let leader = spawn({
                let flights = flights.clone();
                move || {
                    flights.join(b"key", now() + MINUTE, || {
                        sleep(MINUTE);
                        panic!("lost")
                    })
                }
            });
            yield_now();
            let deadline = now() + 2 * MINUTE;
            assert_eq!(flights.join(b"key", deadline, || 7), Joined::Led(7));
            assert!(leader.join().is_err());
        });
    }

    #[test]
    fn everyone_keeps_to_their_own_deadline_and_limit() {
        test::run(|| {
            let flights = flights();
            let leader = spawn({
                let flights = flights.clone();
                move || {
                    flights.join(b"key", now() + 10 * MINUTE, || {
                        sleep(10 * MINUTE);
                        1
                    })
                }
            });
            yield_now();
            assert_eq!(flights.join(b"key", now() + MINUTE, || 2), Joined::TimedOut);
            assert!(with_timeout(MINUTE, || flights.join(b"key", now() + 2 * MINUTE, || 3)).is_err());
            assert_eq!(leader.join().unwrap(), Joined::Led(1));
            assert_eq!(flights.len(), 0);
        });
    }

    #[test]
    fn no_schedule_loses_a_result_or_a_flight() {
        for seed in 0..200 {
            test::Test::new().seed(seed).run(move || {
                let (flights, flown) = (flights(), Rc::new(Cell::new(0)));
                let mut joining: Vec<_> = (0..8)
                    .map(|number| {
                        let (flights, flown) = (flights.clone(), flown.clone());
                        spawn(move || {
                            sleep(Duration::from_millis(number * 300));
                            join(&flights, &flown)
                        })
                    })
                    .collect();
                for cancelled in [1, 3, 4] {
                    sleep(Duration::from_millis((seed % 7) * 100));
                    joining[cancelled].cancel();
                }
                for index in [4, 3, 1] {
                    drop(joining.remove(index));
                }
                for join in joining {
                    assert!(matches!(join.join().unwrap(), Joined::Led(_) | Joined::Followed(_)));
                }
                assert_eq!(flights.len(), 0);
            });
        }
    }
}
