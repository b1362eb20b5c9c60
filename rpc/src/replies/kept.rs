//! The replies of one client that are kept: by number, and in the order in which they go when there are too many.
//!
//! A number says nothing of how long its reply is wanted: a slow call has a lower one than the fast ones that were made
//! after it, and a client that has their replies cannot say so before it has that of the slow one.
//! So the replies go by when their methods ended; and as a reply for which a caller was there when it came has been sent,
//! while one for which none was is still to be fetched, these are spared while they are no more than half of all.
//!
//! # Invariants
//!
//! - A reply has a place in one of the two orders, and an order has no place without its reply.

use std::collections::BTreeMap;

use super::client::Reply;

#[derive(Default)]
pub(super) struct Replies {
    by_number: BTreeMap<u64, Kept>,
    /// By when they ended: the numbers of those that were handed to a caller.
    handed_out: BTreeMap<u64, u64>,
    /// By when they ended: the numbers of those for which no caller was there yet.
    unfetched: BTreeMap<u64, u64>,
    /// How many replies have come.
    ends: u64,
}

struct Kept {
    reply: Reply,
    bytes: usize,
    /// The how manieth it was.
    end: u64,
}

/// Replies that were let go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dropped {
    pub(super) replies: usize,
    pub(super) bytes: usize,
}

impl Replies {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.by_number.contains_key(&number)
    }

    /// Keeps the reply of a number that has none; `handed_out` says whether a caller was there for it.
    pub(super) fn insert(&mut self, number: u64, reply: Reply, bytes: usize, handed_out: bool) {
        self.ends += 1;
        let end = self.ends;
        self.by_number.insert(number, Kept { reply, bytes, end });
        let order = if handed_out { &mut self.handed_out } else { &mut self.unfetched };
        order.insert(end, number);
    }

    /// The reply of a number, for a caller.
    pub(super) fn fetch(&mut self, number: u64) -> Option<Reply> {
        let kept = self.by_number.get(&number)?;
        if self.unfetched.remove(&kept.end).is_some() {
            self.handed_out.insert(kept.end, number);
        }
        Some(kept.reply.clone())
    }

    pub(super) fn remove(&mut self, number: u64) -> Dropped {
        let Some(kept) = self.by_number.remove(&number) else { return Dropped::default() };
        if self.handed_out.remove(&kept.end).is_none() {
            self.unfetched.remove(&kept.end);
        }
        Dropped { replies: 1, bytes: kept.bytes }
    }

    /// Lets one go if there are more than `most`: of those that were handed out the one that ended first,
    /// or of the others if these are more than half.
    pub(super) fn shrink_to(&mut self, most: usize) -> Dropped {
        if self.len() <= most {
            return Dropped::default();
        }
        let unfetched_go = self.unfetched.len() > most.div_ceil(2);
        let first = if unfetched_go { self.unfetched.first_entry() } else { self.handed_out.first_entry() };
        first.map(|first| *first.get()).map(|number| self.remove(number)).unwrap_or_default()
    }

    /// Lets those below a number go.
    pub(super) fn remove_below(&mut self, number: u64) -> Dropped {
        let mut dropped = Dropped::default();
        while let Some(first) =
            self.by_number.first_key_value().map(|(first, _)| *first).filter(|first| *first < number)
        {
            let one = self.remove(first);
            dropped.replies += one.replies;
            dropped.bytes += one.bytes;
        }
        dropped
    }

    /// Lets all go.
    pub(super) fn into_dropped(self) -> Dropped {
        Dropped { replies: self.len(), bytes: self.by_number.values().map(|kept| kept.bytes).sum() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Encoded;

    #[derive(Clone, Debug)]
    enum Step {
        Insert { number: u64, handed_out: bool },
        Fetch(u64),
        Remove(u64),
        RemoveBelow(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = || 0_u64..30;
        prop_oneof![
            6 => (number(), any::<bool>()).prop_map(|(number, handed_out)| Step::Insert { number, handed_out }),
            2 => number().prop_map(Step::Fetch),
            1 => number().prop_map(Step::Remove),
            1 => (0_u64..10).prop_map(Step::RemoveBelow),
        ]
    }

    /// The plain rule: number and whether it was handed out, in the order of their ends.
    fn shrink(plain: &mut Vec<(u64, bool)>, most: usize) {
        if plain.len() > most {
            let unfetched = plain.iter().filter(|(_, handed_out)| !handed_out).count();
            let goes = unfetched <= most.div_ceil(2);
            plain.remove(plain.iter().position(|(_, handed_out)| *handed_out == goes).unwrap());
        }
    }

    proptest! {
        #[test]
        fn it_keeps_what_a_plain_list_keeps(
            most in 0_usize..6,
            steps in proptest::collection::vec(step(), 0..100),
        ) {
            let (mut replies, mut plain) = (Replies::default(), Vec::new());
            let mut bytes = 0;
            for step in steps {
                let dropped = match step {
                    Step::Insert { number, .. } if replies.contains(number) => continue,
                    Step::Insert { number, handed_out } => {
                        replies.insert(number, Ok(Encoded::nil()), 10, handed_out);
                        bytes += 10;
                        plain.push((number, handed_out));
                        shrink(&mut plain, most);
                        replies.shrink_to(most)
                    }
                    Step::Fetch(number) => {
                        let found = plain.iter_mut().find(|(kept, _)| *kept == number).map(|kept| kept.1 = true);
                        prop_assert_eq!(replies.fetch(number).is_some(), found.is_some());
                        Dropped::default()
                    }
                    Step::Remove(number) => {
                        plain.retain(|(kept, _)| *kept != number);
                        replies.remove(number)
                    }
                    Step::RemoveBelow(number) => {
                        plain.retain(|(kept, _)| *kept >= number);
                        replies.remove_below(number)
                    }
                };
                bytes -= dropped.bytes;
                prop_assert!(plain.len() <= most && plain.iter().all(|(number, _)| replies.contains(*number)));
                prop_assert_eq!((replies.len(), bytes), (plain.len(), plain.len() * 10));
                prop_assert_eq!(replies.handed_out.len() + replies.unfetched.len(), plain.len());
            }
            prop_assert_eq!(replies.into_dropped().bytes, bytes);
        }
    }
}
