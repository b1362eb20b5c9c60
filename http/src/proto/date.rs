//! The `Date` header, rendered once a second at most.
//!
//! Rendering takes longer than the rest of a small response, so the line is kept until the second
//! is another.
//! The clock is read by the caller.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The time of the last [`update`](Self::update), as IMF-fixdate (RFC 9110 section 5.6.7).
#[derive(Clone, Debug)]
pub struct DateCache {
    /// The second that is shown starts here.
    since: SystemTime,
    line: [u8; LINE.len()],
}

const LINE: &[u8; 37] = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

const SECOND: Duration = Duration::from_secs(1);

/// 9999-12-31 23:59:59, the last second the format can show.
const LAST_SECOND: u64 = 253_402_300_799;

impl DateCache {
    /// A cache that shows the start of 1970.
    pub fn new() -> Self {
        Self { since: UNIX_EPOCH, line: *LINE }
    }

    /// Takes `now` for the time; returns itself, so that it can be handed on at once.
    ///
    /// Times before 1970 and after 9999 are shown as the nearest within.
    #[inline]
    pub fn update(&mut self, now: SystemTime) -> &Self {
        if now < self.since || now >= self.since + SECOND {
            self.render(now);
        }
        self
    }

    /// Such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn text(&self) -> &str {
        // Rendering writes ASCII.
        str::from_utf8(self.line.trim_ascii_end()).map_or("", |line| &line["date: ".len()..])
    }

    /// The whole header line, with its line end.
    #[inline]
    pub(super) fn line(&self) -> &[u8; LINE.len()] {
        &self.line
    }

    #[cold]
    fn render(&mut self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.since = UNIX_EPOCH + Duration::from_secs(second.min(LAST_SECOND));
        let date = HttpDate::from(self.since);
        // The line is as long as the room for it, whatever the date.
        let _ = write!(&mut self.line[..], "date: {date}\r\n");
    }
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cache: &mut DateCache, millis: u64) -> String {
        cache.update(UNIX_EPOCH + Duration::from_millis(millis)).text().to_owned()
    }

    /// The example of RFC 9110 section 5.6.7.
    #[test]
    fn a_time_is_shown_as_imf_fixdate() {
        assert_eq!(at(&mut DateCache::new(), 784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_new_cache_shows_the_start_of_1970() {
        assert_eq!(DateCache::new().text(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(&mut DateCache::new(), 0), "Thu, 01 Jan 1970 00:00:00 GMT");
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
        let before = UNIX_EPOCH - SECOND;
        assert_eq!(cache.update(before).text(), "Thu, 01 Jan 1970 00:00:00 GMT");
        let after = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(cache.update(after).text(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
