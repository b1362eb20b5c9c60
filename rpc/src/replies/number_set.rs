//! A set of numbers that grows upwards and loses its lowest: kept as stretches, so that a row of them costs two words.

use std::collections::BTreeMap;

/// Numbers, as stretches that neither overlap nor touch.
#[derive(Debug, Default)]
pub(super) struct NumberSet {
    /// First to last, both in the set.
    stretches: BTreeMap<u64, u64>,
}

impl NumberSet {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.stretch_before(number).is_some_and(|(_, last)| number <= last)
    }

    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let last = match number.checked_add(1).and_then(|next| self.stretches.remove(&next)) {
            Some(last) => last,
            None => number,
        };
        let first = match self.stretch_before(number) {
            Some((first, before)) if before.checked_add(1) == Some(number) => first,
            _ => number,
        };
        self.stretches.insert(first, last);
    }

    /// Takes out everything below a number.
    pub(super) fn remove_below(&mut self, number: u64) {
        let cut = self.stretch_before(number).filter(|(first, last)| *first < number && number <= *last);
        self.stretches = self.stretches.split_off(&number);
        if let Some((_, last)) = cut {
            self.stretches.insert(number, last);
        }
    }

    /// How many stretches there are.
    pub(super) fn stretches(&self) -> usize {
        self.stretches.len()
    }

    /// The last stretch that does not begin after a number.
    fn stretch_before(&self, number: u64) -> Option<(u64, u64)> {
        self.stretches.range(..=number).next_back().map(|(first, last)| (*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: impl IntoIterator<Item = u64>) -> NumberSet {
        let mut set = NumberSet::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }

    #[test]
    fn a_row_is_one_stretch_in_whatever_order_it_came() {
        assert_eq!(set([1, 2, 3, 4]).stretches(), 1);
        assert_eq!(set([4, 2, 3, 1]).stretches(), 1);
        assert_eq!(set([1, 3]).stretches(), 2);
    }

    #[test]
    fn a_cut_within_a_stretch_leaves_its_upper_part() {
        let mut set = set(1..=10);
        set.remove_below(6);
        assert!(!set.contains(5));
        assert!(set.contains(6) && set.contains(10));
    }

    #[test]
    fn the_last_number_there_is_can_be_in_it() {
        let mut set = set([u64::MAX, u64::MAX - 1]);
        assert_eq!(set.stretches(), 1);
        set.remove_below(u64::MAX);
        assert!(set.contains(u64::MAX) && !set.contains(u64::MAX - 1));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..40), 0..100),
        ) {
            let (mut set, mut plain) = (NumberSet::default(), BTreeSet::new());
            for (cut, number) in steps {
                if cut && number % 4 == 0 {
                    set.remove_below(number);
                    plain = plain.split_off(&number);
                } else {
                    set.insert(number);
                    plain.insert(number);
                }
                for number in 0..41 {
                    prop_assert_eq!(set.contains(number), plain.contains(&number));
                }
                let gaps = plain.iter().filter(|number| !plain.contains(&(**number + 1))).count();
                prop_assert_eq!(set.stretches(), gaps);
            }
        }
    }
}
