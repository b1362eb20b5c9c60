//! The headers that all responses of a server have, `Date` and `Server`, rendered once a second at most.
//!
//! Rendering takes longer than the rest of a small response, so the lines are kept until the second
//! is another. They are kept as the end of a head, which most responses then get in one copy.
//! The clock is read by the caller.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use httpdate::HttpDate;

/// The time of the last [`update`](Self::update), as IMF-fixdate (RFC 9110 section 5.6.7), and the server's name.
#[derive(Clone, Debug)]
pub struct StandingHeaders {
    /// The second that is shown starts here.
    since: SystemTime,
    /// The line of the date, that of the server if it has a name, and the empty line.
    end_of_head: Vec<u8>,
}

const LINE: &[u8; 37] = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

const SECOND: Duration = Duration::from_secs(1);

/// 9999-12-31 23:59:59, the last second the format can show.
const LAST_SECOND: u64 = 253_402_300_799;

impl StandingHeaders {
    /// Headers that show the start of 1970, and the value of `server` unless there is none.
    pub fn new(server: Option<&HeaderValue>) -> Self {
        let mut end_of_head = LINE.to_vec();
        if let Some(server) = server {
            end_of_head.extend_from_slice(b"server: ");
            end_of_head.extend_from_slice(server.as_bytes());
            end_of_head.extend_from_slice(b"\r\n");
        }
        end_of_head.extend_from_slice(b"\r\n");
        Self { since: UNIX_EPOCH, end_of_head }
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

    /// All of it: the lines and the empty line that ends a head.
    #[inline]
    pub(super) fn end_of_head(&self) -> &[u8] {
        &self.end_of_head
    }

    /// The line of the date, with its line end.
    pub(super) fn date_line(&self) -> &[u8] {
        &self.end_of_head[..LINE.len()]
    }

    /// The line of the server, with its line end; empty if it has no name.
    pub(super) fn server_line(&self) -> &[u8] {
        &self.end_of_head[LINE.len()..self.end_of_head.len() - b"\r\n".len()]
    }

    #[cold]
    fn render(&mut self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.since = UNIX_EPOCH + Duration::from_secs(second.min(LAST_SECOND));
        let date = HttpDate::from(self.since);
        // The line is as long as the room for it, whatever the date.
        let _ = write!(&mut self.end_of_head[..LINE.len()], "date: {date}\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> StandingHeaders {
        StandingHeaders::new(None)
    }

    fn text(standing: &StandingHeaders) -> String {
        let line = String::from_utf8(standing.date_line().to_vec()).unwrap();
        line.strip_prefix("date: ").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    }

    fn at(standing: &mut StandingHeaders, millis: u64) -> String {
        text(standing.update(UNIX_EPOCH + Duration::from_millis(millis)))
    }

    #[test]
    fn the_lines_are_those_of_which_the_end_consists() {
        for server in [None, Some(HeaderValue::from_static("me"))] {
            let standing = StandingHeaders::new(server.as_ref());
            let lines = [standing.date_line(), standing.server_line(), b"\r\n"].concat();
            assert_eq!(standing.end_of_head(), lines);
            assert_eq!(standing.server_line(), server.map_or(&b""[..], |_| b"server: me\r\n"));
        }
    }

    /// The example of RFC 9110 section 5.6.7.
    #[test]
    fn a_time_is_shown_as_imf_fixdate() {
        assert_eq!(at(&mut new(), 784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn new_ones_show_the_start_of_1970() {
        assert_eq!(text(&new()), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(&mut new(), 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn the_text_changes_with_the_second_and_not_before() {
        let mut standing = new();
        assert_eq!(at(&mut standing, 1_000), "Thu, 01 Jan 1970 00:00:01 GMT");
        assert_eq!(at(&mut standing, 1_999), "Thu, 01 Jan 1970 00:00:01 GMT");
        assert_eq!(at(&mut standing, 2_000), "Thu, 01 Jan 1970 00:00:02 GMT");
    }

    #[test]
    fn a_clock_that_goes_back_is_followed() {
        let mut standing = new();
        at(&mut standing, 5_000);
        assert_eq!(at(&mut standing, 4_000), "Thu, 01 Jan 1970 00:00:04 GMT");
    }

    #[test]
    fn times_outside_the_format_are_shown_as_the_nearest_within() {
        let mut standing = new();
        let before = UNIX_EPOCH - SECOND;
        assert_eq!(text(standing.update(before)), "Thu, 01 Jan 1970 00:00:00 GMT");
        let after = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(text(standing.update(after)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
