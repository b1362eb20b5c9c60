//! Points in time as a person reads them: in the Gregorian calendar, in UTC.

use std::fmt;
use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 60 * 60;

/// The days from 1 March of the year 0, in which a period of 400 years began.
const FIRST_OF_1970: u64 = 719_468;

/// A number of seconds since 1970 began, shown as `2024-02-29 12:34:56 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) u64);

impl Date {
    /// A moment of a day. What was before 1970 is taken for its first second; nothing for a month or day that is none.
    pub(crate) fn of(year: u64, month: u64, day: u64, second: u64) -> Option<Date> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || second > DAY {
            return None;
        }
        let (year, from_march) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
        let day_of_year = (153 * from_march + 2) / 5 + day - 1;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
        Some(Date((days * DAY + second).saturating_sub(FIRST_OF_1970 * DAY)))
    }
}

impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Date {
        Date(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

impl From<Date> for SystemTime {
    fn from(date: Date) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(date.0)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// Year, month and day. A year is taken to begin in March, so that the odd day of a leap year is its last.
///
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + FIRST_OF_1970;
    let (period, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30 and 31 days repeat from March on: 153 days in five of them.
    let from_march = (5 * day + 2) / 153;
    let day_of_month = day - (153 * from_march + 2) / 5 + 1;
    let (month, later) = if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
    (400 * period + year + later, month, day_of_month)
}

/// A span of time as a person says it: in days if there is more than one, else in hours, minutes or seconds.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("days", DAY), ("hours", 60 * 60), ("minutes", 60)];
        match units.iter().find(|(_, seconds)| self.0 >= 2 * seconds) {
            Some((unit, seconds)) => write!(f, "{} {unit}", self.0 / seconds),
            None => write!(f, "{} seconds", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_dates_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(Date(seconds).to_string(), date);
            let (year, month, day) = civil(seconds / DAY);
            assert_eq!(Date::of(year, month, day, seconds % DAY), Some(Date(seconds)));
        }
    }

    #[test]
    fn spans_are_said_in_the_largest_unit_of_which_there_are_two() {
        for (seconds, span) in [(0, "0 seconds"), (119, "119 seconds"), (120, "2 minutes"), (86_400, "24 hours")] {
            assert_eq!(Span(seconds).to_string(), span);
        }
        assert_eq!(Span(690 * DAY + 5).to_string(), "690 days");
    }
}
