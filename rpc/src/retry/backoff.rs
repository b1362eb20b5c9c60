//! How long to wait before the next attempt.

use std::time::Duration;

use grapeshot_core::random_u64;

/// Waits that grow with every failure up to a bound, each drawn at random between nothing and its bound ("full jitter"),
/// so that those who failed together do not come back together.
///
/// Of the ways to add chance this one needs the fewest calls until all are through
/// (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
/// The numbers come from the runtime's generator, so that a test's are the same each time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_rpc::retry::Backoff;
///
/// let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
/// assert_eq!(backoff.bound(1), Duration::from_millis(100));
/// assert_eq!(backoff.bound(3), Duration::from_millis(400));
/// assert_eq!(backoff.bound(30), Duration::from_secs(1));
/// assert!(backoff.delay(3) <= Duration::from_millis(400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the wait after the first failure; it doubles with each further one.
    pub first: Duration,
    /// The bound that none exceeds.
    pub most: Duration,
}

impl Backoff {
    /// The longest wait after so many failures in a row. None after none.
    pub fn bound(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.checked_mul(factor).unwrap_or(self.most).min(self.most)
    }

    /// A wait after so many failures in a row, drawn anew each time.
    pub fn delay(&self, failures: u32) -> Duration {
        let bound = u64::try_from(self.bound(failures).as_nanos()).unwrap_or(u64::MAX);
        // The remainder favours small waits by less than one in 2^20 for any bound under five hours.
        Duration::from_nanos(random_u64() % bound.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) };

    #[test]
    fn the_bound_doubles_up_to_the_most() {
        let bounds: Vec<u128> = (0..10).map(|failures| BACKOFF.bound(failures).as_millis()).collect();
        assert_eq!(bounds, [0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.bound(u32::MAX), BACKOFF.most);
    }

    #[test]
    fn delays_fill_the_whole_range_below_the_bound() {
        let delays: Vec<Duration> = (0..1000).map(|_| BACKOFF.delay(4)).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(400)));
        assert!(delays.iter().any(|delay| *delay < Duration::from_millis(40)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_millis(360)));
    }

    #[test]
    fn no_failure_means_no_delay() {
        assert_eq!(BACKOFF.delay(0), Duration::ZERO);
    }
}
