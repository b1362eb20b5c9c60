//! How many calls succeeded and failed in the last while, in a fixed space.

use std::time::{Duration, Instant};

/// Into how many parts the time is cut; the oldest is forgotten as a whole.
const PARTS: usize = 10;

/// Counts over a time that moves along.
pub(crate) struct Window {
    part: Duration,
    /// Successes and failures; the one that is being filled is at `filling`.
    parts: [(u32, u32); PARTS],
    filling: usize,
    /// When the part that is being filled began; `None` before the first call.
    began: Option<Instant>,
}

impl Window {
    pub(crate) fn new(window: Duration) -> Window {
        // A part of no time would go by without end.
        let part = (window / PARTS as u32).max(Duration::from_nanos(1));
        Window { part, parts: [(0, 0); PARTS], filling: 0, began: None }
    }

    pub(crate) fn add(&mut self, is_success: bool, now: Instant) {
        self.advance(now);
        let (successes, failures) = &mut self.parts[self.filling];
        let count = if is_success { successes } else { failures };
        *count = count.saturating_add(1);
    }

    /// Successes and failures.
    pub(crate) fn counts(&mut self, now: Instant) -> (u32, u32) {
        self.advance(now);
        let sum = |sum: (u32, u32), part: &(u32, u32)| (sum.0.saturating_add(part.0), sum.1.saturating_add(part.1));
        self.parts.iter().fold((0, 0), sum)
    }

    pub(crate) fn clear(&mut self) {
        self.parts = [(0, 0); PARTS];
        self.began = None;
    }

    fn advance(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let gone = now.saturating_duration_since(began).as_nanos() / self.part.as_nanos();
        if gone >= PARTS as u128 {
            self.clear();
            self.began = Some(now);
            return;
        }
        for _ in 0..gone {
            self.filling = (self.filling + 1) % PARTS;
            self.parts[self.filling] = (0, 0);
        }
        self.began = Some(began + self.part * gone as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_is_older_than_its_time_and_nothing_else() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(Duration::from_secs(10));
        window.add(true, at(0));
        window.add(false, at(5));
        window.add(false, at(5));
        assert_eq!(window.counts(at(9)), (1, 2));
        assert_eq!(window.counts(at(10)), (0, 2));
        assert_eq!(window.counts(at(14)), (0, 2));
        assert_eq!(window.counts(at(15)), (0, 0));
        window.add(true, at(100));
        assert_eq!(window.counts(at(100)), (1, 0));
    }
}
