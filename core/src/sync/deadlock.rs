//! Circles of coroutines that wait for each other, and the error that breaks them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::holder::Holder;
use crate::identity::CoroutineId;

/// Coroutines wait for each other in a circle, and this one was picked to break it (SYN-9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlockError {
    circle: Vec<DeadlockLink>,
}

/// One coroutine of a circle, and what it waits for, which the next one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlockLink {
    /// Its number; `None` for code outside coroutines.
    pub coroutine: Option<CoroutineId>,
    /// Who it is, in words.
    pub description: String,
    /// What it waits for.
    pub key: String,
}

impl DeadlockError {
    pub(super) fn new(links: impl IntoIterator<Item = (Holder, String)>) -> DeadlockError {
        let link =
            |(holder, key): (Holder, _)| DeadlockLink { coroutine: holder.id(), description: holder.describe(), key };
        DeadlockError { circle: links.into_iter().map(link).collect() }
    }

    /// Of one who would wait for itself.
    #[cold]
    pub(super) fn of_one(holder: Holder, key: String) -> DeadlockError {
        DeadlockError::new([(holder, key)])
    }

    /// Those who wait for each other: the one that got this error first, then whom it waits for, and so on.
    pub fn circle(&self) -> &[DeadlockLink] {
        &self.circle
    }
}

impl fmt::Display for DeadlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadlock: ")?;
        for (index, link) in self.circle.iter().enumerate() {
            let holder = &self.circle[(index + 1) % self.circle.len()];
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} waits for {}, held by {}", link.description, link.key, holder.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeadlockError {}

/// That one coroutine waits for another to give something up.
pub(super) struct Edge<W> {
    pub(super) waiter: Holder,
    pub(super) holder: Holder,
    pub(super) wanted: W,
}

/// The circles in "who waits for whom", where each waits for one thing at a time.
///
/// By topological removal, in time linear in the number of waiters: whoever is waited for by nobody goes,
/// and with it one reason to wait for another.
pub(super) fn circles<W>(edges: Vec<Edge<W>>) -> Vec<Vec<Edge<W>>> {
    let mut waited_for: BTreeMap<Holder, usize> = BTreeMap::new();
    for edge in &edges {
        *waited_for.entry(edge.holder).or_default() += 1;
    }
    let mut edges: BTreeMap<Holder, Edge<W>> = edges.into_iter().map(|edge| (edge.waiter, edge)).collect();
    let is_free = |waiter: &&Holder| !waited_for.contains_key(waiter);
    let mut free: VecDeque<Holder> = edges.keys().filter(is_free).copied().collect();
    while let Some(holder) = free.pop_front() {
        let Some(edge) = edges.remove(&holder) else { continue };
        let Some(count) = waited_for.get_mut(&edge.holder) else { continue };
        *count -= 1;
        if *count == 0 {
            free.push_back(edge.holder);
        }
    }
    let mut circles = Vec::new();
    while let Some((_, first)) = edges.pop_first() {
        let mut circle = vec![first];
        while let Some(next) = circle.last().and_then(|last| edges.remove(&last.holder)) {
            circle.push(next);
        }
        circles.push(circle);
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::{Edge, Holder, circles};
    use crate::identity::CoroutineId;

    /// The circles among numbers, of which the first waits for the second.
    fn circles_of(pairs: &[(u64, u64)]) -> Vec<Vec<u64>> {
        let holder = |number: u64| Holder::from(CoroutineId(number.try_into().unwrap()));
        let edge = |&(waiter, held_by)| Edge { waiter: holder(waiter), holder: holder(held_by), wanted: waiter };
        let found = circles(pairs.iter().map(edge).collect());
        found.into_iter().map(|circle| circle.into_iter().map(|edge| edge.wanted).collect()).collect()
    }

    #[test]
    fn who_waits_for_one_that_does_not_wait_is_in_no_circle() {
        assert!(circles_of(&[]).is_empty());
        assert!(circles_of(&[(1, 2), (3, 2), (2, 4)]).is_empty());
    }

    #[test]
    fn circles_are_found_without_those_who_wait_for_their_members() {
        assert_eq!(circles_of(&[(1, 2), (2, 1)]), [[1, 2]]);
        assert_eq!(
            circles_of(&[(9, 8), (8, 3), (1, 2), (2, 3), (3, 1), (4, 5), (6, 7), (7, 6)]),
            [vec![1, 2, 3], vec![6, 7]]
        );
        assert_eq!(circles_of(&[(5, 5)]), [[5]]);
    }

    /// `SYN-9`: a scan must not hold the thread for long.
    #[test]
    fn a_long_chain_is_no_harder_than_its_length() {
        let mut pairs: Vec<_> = (1..100_000).map(|number| (number, number + 1)).collect();
        assert!(circles_of(&pairs).is_empty());
        pairs.push((100_000, 1));
        assert_eq!(circles_of(&pairs)[0].len(), 100_000);
    }
}
