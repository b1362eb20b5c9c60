//! Which of the endpoints that take calls gets the next one.
//!
//! Round robin is "smooth": of three endpoints with the weights 4, 1 and 1 the first does not get four calls in a row.
//! Each choice adds to every endpoint its share, takes the one that has most, and takes the sum of all shares from it.
//! Source: the weighted round robin of nginx 1.3.1, as its change log describes it.

use std::cell::Cell;

use grapeshot_core::random_u64;

/// How a balancer chooses, among the endpoints of the best priority that has one that takes calls.
///
/// All respect the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest calls in flight for its weight; of equals, one after the other.
    ///
    /// Failures in a row of the last second count as calls in flight, here and below:
    /// an endpoint that fails at once would seem idle else, and draw all calls to itself.
    #[default]
    LeastLoaded,
    /// The less loaded one of two drawn at random (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
    /// Balancing", 2001). For many balancers over the same endpoints: they do not all find the same one.
    PowerOfTwo,
}

/// An endpoint of weight 0 gets one call where one of weight 1 gets this many.
const SHARE: u64 = 100;

/// What a policy looks at.
pub(crate) struct Load {
    pub(crate) in_flight: Cell<usize>,
    pub(crate) weight: Cell<u16>,
    /// Failures that weigh like calls in flight.
    pub(crate) penalty: Cell<u32>,
    /// What it has been given of its share, in round robin.
    turn: Cell<i64>,
}

impl Load {
    pub(crate) fn new(weight: u16) -> Load {
        Load { in_flight: Cell::new(0), weight: Cell::new(weight), penalty: Cell::new(0), turn: Cell::new(0) }
    }

    fn share(&self) -> u64 {
        (u64::from(self.weight.get()) * SHARE).max(1)
    }

    /// Whether one more call would be a lighter burden here.
    fn is_lighter_than(&self, other: &Load) -> bool {
        self.burden_beside(other) < other.burden_beside(self)
    }

    fn burden_beside(&self, other: &Load) -> u64 {
        (self.in_flight.get() as u64 + u64::from(self.penalty.get()) + 1).saturating_mul(other.share())
    }
}

impl Policy {
    /// Chooses one of `candidates`, by its index; `None` if there are none.
    pub(crate) fn choose<'a>(self, candidates: impl Iterator<Item = &'a Load> + Clone) -> Option<usize> {
        match self {
            Policy::RoundRobin => next_in_turn(candidates.enumerate()),
            Policy::LeastLoaded => {
                let mut lightest = candidates.clone().next()?;
                candidates.clone().filter(|load| load.is_lighter_than(lightest)).for_each(|load| lightest = load);
                next_in_turn(candidates.enumerate().filter(|(_, load)| !lightest.is_lighter_than(load)))
            }
            Policy::PowerOfTwo => {
                let first = draw(candidates.clone().enumerate())?;
                let rest = candidates.enumerate().filter(|(index, _)| *index != first.0);
                let lighter = draw(rest).filter(|second| second.1.is_lighter_than(first.1));
                Some(lighter.unwrap_or(first).0)
            }
        }
    }
}

fn next_in_turn<'a>(candidates: impl Iterator<Item = (usize, &'a Load)>) -> Option<usize> {
    let (mut sum, mut next) = (0, None::<(usize, &Load)>);
    for (index, load) in candidates {
        let share = load.share() as i64;
        sum += share;
        load.turn.set(load.turn.get().saturating_add(share));
        if next.is_none_or(|(_, best)| load.turn.get() > best.turn.get()) {
            next = Some((index, load));
        }
    }
    let (index, load) = next?;
    load.turn.set(load.turn.get().saturating_sub(sum));
    Some(index)
}

/// Draws one, each as likely as its share.
fn draw<'a>(candidates: impl Iterator<Item = (usize, &'a Load)> + Clone) -> Option<(usize, &'a Load)> {
    let sum: u64 = candidates.clone().map(|(_, load)| load.share()).sum();
    let lot = random_u64().checked_rem(sum)?;
    let mut running = 0;
    candidates.into_iter().find(|(_, load)| {
        running += load.share();
        running > lot
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn loads(weights: &[u16]) -> Vec<Load> {
        weights.iter().map(|&weight| Load::new(weight)).collect()
    }

    fn choices(policy: Policy, loads: &[Load], calls: usize) -> Vec<usize> {
        (0..calls).map(|_| policy.choose(loads.iter()).unwrap()).collect()
    }

    fn counts(choices: &[usize], endpoints: usize) -> Vec<usize> {
        (0..endpoints).map(|endpoint| choices.iter().filter(|&&choice| choice == endpoint).count()).collect()
    }

    #[test]
    fn nobody_is_chosen_of_nobody() {
        for policy in [Policy::RoundRobin, Policy::LeastLoaded, Policy::PowerOfTwo] {
            assert_eq!(policy.choose([].iter()), None);
        }
    }

    #[test]
    fn round_robin_gives_each_its_weight_and_mixes_them() {
        let choices = choices(Policy::RoundRobin, &loads(&[4, 1, 1]), 6);
        assert_eq!(choices, [0, 0, 1, 0, 2, 0]);
    }

    proptest! {
        /// In a round of as many calls as the weights add up to, each gets exactly its own.
        #[test]
        fn every_round_gives_each_its_weight(weights in vec(1_u16..20, 1..12), rounds in 1_usize..4) {
            let loads = loads(&weights);
            let sum = weights.iter().map(|&weight| usize::from(weight)).sum::<usize>();
            for _ in 0..rounds {
                let counts = counts(&choices(Policy::RoundRobin, &loads, sum), weights.len());
                prop_assert_eq!(counts, weights.iter().map(|&weight| usize::from(weight)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn without_any_weight_all_are_equal() {
        assert_eq!(choices(Policy::RoundRobin, &loads(&[0, 0, 0]), 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn one_without_weight_among_others_gets_hardly_any() {
        let choices = choices(Policy::RoundRobin, &loads(&[1, 0]), 1010);
        assert_eq!(counts(&choices, 2), [1000, 10]);
    }

    #[test]
    fn the_least_loaded_for_its_weight_is_chosen_and_equals_take_turns() {
        let loads = loads(&[1, 1, 2]);
        loads[0].in_flight.set(1);
        loads[2].in_flight.set(3);
        assert_eq!(choices(Policy::LeastLoaded, &loads, 2), [1, 1]);
        loads[1].in_flight.set(1);
        // Two of weight 1 with two calls each, and one of weight 2 with four.
        let all_equal = choices(Policy::LeastLoaded, &loads, 8);
        assert_eq!(counts(&all_equal, 3), [2, 2, 4]);
    }

    #[test]
    fn of_two_drawn_the_more_loaded_is_never_chosen() {
        let loads = loads(&[1, 1]);
        loads[0].in_flight.set(1);
        assert!(choices(Policy::PowerOfTwo, &loads, 100).iter().all(|&choice| choice == 1));
    }

    #[test]
    fn of_many_equals_two_choices_find_each_about_as_often() {
        let loads = loads(&[1; 10]);
        let choices = choices(Policy::PowerOfTwo, &loads, 10_000);
        assert!(counts(&choices, 10).iter().all(|count| (800..1200).contains(count)));
    }
}
