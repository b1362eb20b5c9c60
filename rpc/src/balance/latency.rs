//! How long calls take: a histogram of the last while, in a fixed space.

use std::time::{Duration, Instant};

/// Parts of each doubling: a percentile is at most a quarter too high.
const PARTS: u32 = 4;

/// Doublings of a microsecond: what takes longer than an hour counts as that.
const DOUBLINGS: u32 = 32;

const BUCKETS: usize = (PARTS * DOUBLINGS) as usize;

/// For how long a call counts: at least this, and at most twice as long.
const GENERATION: Duration = Duration::from_secs(30);

/// With fewer calls a percentile says nothing.
const MIN_CALLS: u32 = 20;

pub(crate) struct Latencies {
    /// The calls of this generation and of the one before.
    counts: [[u32; BUCKETS]; 2],
    current: usize,
    began: Option<Instant>,
}

impl Latencies {
    pub(crate) fn new() -> Latencies {
        Latencies { counts: [[0; BUCKETS]; 2], current: 0, began: None }
    }

    pub(crate) fn add(&mut self, took: Duration, now: Instant) {
        self.advance(now);
        let count = &mut self.counts[self.current][bucket(took)];
        *count = count.saturating_add(1);
    }

    /// Within what time so many percent of the calls ended; `None` if there were too few to tell.
    pub(crate) fn percentile(&mut self, percent: u32, now: Instant) -> Option<Duration> {
        self.advance(now);
        let of_bucket = |bucket: usize| u64::from(self.counts[0][bucket]) + u64::from(self.counts[1][bucket]);
        let calls: u64 = (0..BUCKETS).map(of_bucket).sum();
        if calls < u64::from(MIN_CALLS) {
            return None;
        }
        let wanted = (calls * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let bucket = (0..BUCKETS).find(|&bucket| {
            seen += of_bucket(bucket);
            seen >= wanted
        });
        bucket.map(upper_end)
    }

    fn advance(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let gone = now.saturating_duration_since(began);
        if gone < GENERATION {
            return;
        }
        if gone >= 2 * GENERATION {
            self.counts = [[0; BUCKETS]; 2];
        }
        self.current = 1 - self.current;
        self.counts[self.current] = [0; BUCKETS];
        self.began = Some(now);
    }
}

/// The bucket by the highest set bit of the microseconds and the two bits below it.
fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2();
    let part = (micros << 2 >> doubling) as u32 & (PARTS - 1);
    ((doubling * PARTS + part) as usize).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    let (doubling, part) = (bucket as u32 / PARTS, bucket as u64 % u64::from(PARTS));
    Duration::from_nanos((((u64::from(PARTS) + part + 1) * 1000) << doubling) / u64::from(PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_a_quarter_too_high() {
        let now = Instant::now();
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|millis| latencies.add(Duration::from_millis(millis), now));
        for percent in [1, 50, 95, 99] {
            let exact = Duration::from_millis(10 * u64::from(percent));
            let found = latencies.percentile(percent, now).unwrap();
            assert!(found >= exact && found <= exact * 5 / 4 + Duration::from_millis(1), "{percent}: {found:?}");
        }
    }

    #[test]
    fn a_few_calls_tell_nothing_and_old_ones_are_forgotten() {
        let start = Instant::now();
        let mut latencies = Latencies::new();
        (1..MIN_CALLS).for_each(|_| latencies.add(Duration::from_millis(1), start));
        assert_eq!(latencies.percentile(95, start), None);
        latencies.add(Duration::from_millis(1), start);
        assert!(latencies.percentile(95, start + GENERATION * 3 / 2).is_some());
        assert_eq!(latencies.percentile(95, start + GENERATION * 4), None);
    }

    #[test]
    fn every_time_has_a_bucket_that_ends_after_it() {
        for micros in (0..2000).chain((11..32).map(|doubling| (1 << doubling) + 5)) {
            let took = Duration::from_micros(micros);
            assert!(upper_end(bucket(took)) > took, "{took:?}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }
}
