//! The `Date` header's value, rendered once a second at most.
//!
//! Rendering takes longer than the rest of a small response; so the text is kept until the second
//! is another.
//! The clock is read by the caller.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// A time as IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
#[derive(Clone, Debug, Default)]
pub struct DateCache {
    second: Option<u64>,
    text: String,
}

impl DateCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text for `now`, always 29 bytes.
    ///
    /// The format has years 1970 to 9999; a time outside of them is shown as the nearest within.
    pub fn at(&mut self, now: SystemTime) -> &str {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST_SECOND);
        if self.second != Some(second) {
            self.render(second);
        }
        &self.text
    }

    #[cold]
    fn render(&mut self, second: u64) {
        self.second = Some(second);
        self.text.clear();
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
        // Writing to a String does not fail.
        let _ = write!(self.text, "{date}");
    }
}

/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cache: &mut DateCache, millis: u64) -> String {
        cache.at(UNIX_EPOCH + Duration::from_millis(millis)).to_owned()
    }

    /// The example of RFC 9110 section 5.6.7.
    #[test]
    fn a_time_is_shown_as_imf_fixdate() {
        assert_eq!(at(&mut DateCache::new(), 784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_text_changes_with_the_second_and_not_before() {
        let mut cache = DateCache::new();
        assert_eq!(at(&mut cache, 1_000), "Thu, 01 Jan 1970 00:00:01 GMT");
        assert_eq!(at(&mut cache, 1_999), "Thu, 01 Jan 1970 00:00:01 GMT");
        assert_eq!(at(&mut cache, 2_000), "Thu, 01 Jan 1970 00:00:02 GMT");
    }

    #[test]
    fn a_clock_that_goes_back_is_followed() {
        let mut cache = DateCache::new();
        at(&mut cache, 5_000);
        assert_eq!(at(&mut cache, 4_000), "Thu, 01 Jan 1970 00:00:04 GMT");
    }

    #[test]
    fn times_outside_the_format_are_shown_as_the_nearest_within() {
        let mut cache = DateCache::new();
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(cache.at(before), "Thu, 01 Jan 1970 00:00:00 GMT");
        let after = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(cache.at(after), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
