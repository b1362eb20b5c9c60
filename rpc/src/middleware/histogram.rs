//! Durations counted in buckets of fixed bounds, four to each doubling.

use std::time::Duration;

/// How many buckets each doubling has.
const STEPS: usize = 4;

/// The longest duration that has a bucket to itself: 2^27 µs, 134 s. What is longer is in the last one.
const DOUBLINGS: usize = 27;

/// Those below 4 µs, of 1 µs each, and then [`STEPS`] for each doubling.
const BUCKETS: usize = STEPS * (DOUBLINGS - 1);

/// How often durations occurred, to the microsecond below 8 µs and to a quarter above, up to 134 s.
///
/// It takes the same room however many are counted.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    count: u64,
    sum: Duration,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; BUCKETS], count: 0, sum: Duration::ZERO, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        self.counts[bucket(duration)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
        self.longest = self.longest.max(duration);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest one.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The duration that a share of them does not exceed: 0.5 for the median, 0.99 for all but one of a hundred.
    ///
    /// It is the upper bound of the bucket, so up to a quarter too long, and never longer than the longest;
    /// `None` when nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Some(match bucket {
            Some(bucket) if bucket + 1 < BUCKETS => bound(bucket).min(self.longest),
            _ => self.longest,
        })
    }

    /// The buckets that are not empty: the bound that their durations lie below, and how many they are.
    ///
    /// The last bucket, of what is longer than all bounds, has [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let bounds = (0..BUCKETS).map(|bucket| if bucket + 1 < BUCKETS { bound(bucket) } else { Duration::MAX });
        bounds.zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let doublings = micros.ilog2() as usize;
    let step = (micros >> (doublings - 2)) as usize % STEPS;
    ((doublings - 1) * STEPS + step).min(BUCKETS - 1)
}

/// What all in a bucket lie below.
fn bound(bucket: usize) -> Duration {
    let micros = match bucket {
        0..STEPS => bucket as u64 + 1,
        _ => ((STEPS + bucket % STEPS + 1) as u64) << (bucket / STEPS - 1),
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_the_bucket_whose_bounds_are_around_it() {
        for exponent in 0..27 {
            for offset in [-1, 0, 1, 2, 3] {
                let micros = ((1i64 << exponent) + offset).max(0) as u64;
                let duration = Duration::from_micros(micros);
                let bucket = bucket(duration);
                assert!(bucket == BUCKETS - 1 || duration < bound(bucket), "{duration:?} in {bucket}");
                assert!(bucket == 0 || duration >= bound(bucket - 1), "{duration:?} in {bucket}");
            }
        }
    }

    #[test]
    fn bounds_grow_by_a_quarter_at_most_above_eight_microseconds() {
        for bucket in 8..BUCKETS - 1 {
            let (below, above) = (bound(bucket - 1).as_micros(), bound(bucket).as_micros());
            assert!(below < above && above * 4 <= below * 5, "{below} to {above}");
        }
    }

    #[test]
    fn quantiles_are_bounds_of_buckets_and_never_longer_than_the_longest() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=100 {
            histogram.add(Duration::from_millis(millis));
        }
        let median = histogram.quantile(0.5).unwrap();
        assert!(median >= Duration::from_millis(50) && median <= Duration::from_micros(62_500), "{median:?}");
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(1024)));
        assert_eq!((histogram.count(), histogram.sum()), (100, Duration::from_millis(5050)));
    }

    #[test]
    fn what_is_longer_than_all_bounds_is_in_the_last_bucket() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::MAX);
        histogram.add(Duration::from_secs(200));
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(Duration::MAX, 2)]);
        assert_eq!(histogram.quantile(0.5), Some(Duration::MAX));
    }
}
