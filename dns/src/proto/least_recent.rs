//! Values in the order in which they were last used.
//!
//! # Invariants
//!
//! - The slots in use form one list, from the most to the least recently used; the free ones form another.
//! - A [`Place`] is good until its value is removed; after that it may name another value.

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// The end of a list.
const NONE: u32 = u32::MAX;

/// Values, of which the least recently used one can be told.
#[derive(Debug)]
pub(crate) struct LeastRecent<T> {
    slots: Vec<Slot<T>>,
    first: u32,
    last: u32,
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    before: u32,
    after: u32,
}

impl<T> LeastRecent<T> {
    pub(crate) fn new() -> LeastRecent<T> {
        LeastRecent { slots: Vec::new(), first: NONE, last: NONE, free: NONE, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a value as the one used last.
    pub(crate) fn push(&mut self, value: T) -> Place {
        let slot = Slot { value: Some(value), before: NONE, after: NONE };
        let index = if self.free == NONE {
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.slots[index as usize].after;
            self.slots[index as usize] = slot;
            index
        };
        self.len += 1;
        self.link_first(index);
        Place(index)
    }

    /// The value at a place, without using it.
    pub(crate) fn at(&self, place: Place) -> &T {
        match &self.slots[place.0 as usize].value {
            Some(value) => value,
            None => unreachable!("a place is good until its value is removed"),
        }
    }

    /// The value at a place, which becomes the one used last.
    pub(crate) fn touch(&mut self, place: Place) -> &mut T {
        if self.first != place.0 {
            self.unlink(place.0);
            self.link_first(place.0);
        }
        match &mut self.slots[place.0 as usize].value {
            Some(value) => value,
            None => unreachable!("a place is good until its value is removed"),
        }
    }

    pub(crate) fn remove(&mut self, place: Place) -> T {
        self.unlink(place.0);
        let slot = &mut self.slots[place.0 as usize];
        slot.after = self.free;
        self.free = place.0;
        self.len -= 1;
        match slot.value.take() {
            Some(value) => value,
            None => unreachable!("a place is good until its value is removed"),
        }
    }

    /// The value that has not been used for longest.
    pub(crate) fn least_recent(&self) -> Option<Place> {
        (self.last != NONE).then_some(Place(self.last))
    }

    fn link_first(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.before = NONE;
        slot.after = self.first;
        match self.first {
            NONE => self.last = index,
            first => self.slots[first as usize].before = index,
        }
        self.first = index;
    }

    fn unlink(&mut self, index: u32) {
        let Slot { before, after, .. } = self.slots[index as usize];
        match before {
            NONE => self.first = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.slots[after as usize].before = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn the_value_that_was_not_used_for_longest_is_told() {
        let mut values = LeastRecent::new();
        let first = values.push(1);
        values.push(2);
        assert_eq!(*values.touch(first), 1);
        let oldest = values.least_recent().unwrap();
        assert_eq!(values.remove(oldest), 2);
        assert_eq!(values.least_recent(), Some(first));
        assert_eq!(values.remove(first), 1);
        assert_eq!((values.len(), values.least_recent()), (0, None));
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_queue(steps in proptest::collection::vec(0_u8..=255, 0..200)) {
            let mut values = LeastRecent::new();
            let mut model: VecDeque<(Place, usize)> = VecDeque::new();
            for (number, &step) in steps.iter().enumerate() {
                let chosen = if model.is_empty() { None } else { Some(usize::from(step) % model.len()) };
                match (step % 3, chosen) {
                    (0, Some(index)) => {
                        let (place, value) = model.remove(index).unwrap();
                        proptest::prop_assert_eq!(*values.touch(place), value);
                        model.push_back((place, value));
                    }
                    (1, Some(index)) => {
                        let (place, value) = model.remove(index).unwrap();
                        proptest::prop_assert_eq!(values.remove(place), value);
                    }
                    _ => model.push_back((values.push(number), number)),
                }
                proptest::prop_assert_eq!(values.len(), model.len());
                proptest::prop_assert_eq!(values.least_recent(), model.front().map(|entry| entry.0));
            }
            // Slots are used again.
            proptest::prop_assert!(values.slots.len() <= steps.len());
        }
    }
}
