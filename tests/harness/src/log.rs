//! The last part of what a program printed on one of its streams, and the search for lines in it.

use crate::output::Captured;

/// Bounded: keeps the last `limit` bytes and counts the rest.
///
/// Positions count bytes from the stream's beginning, so cutting the front moves none of them.
pub(crate) struct Log {
    /// Up to twice `limit`, so that cutting copies each byte at most once.
    bytes: Vec<u8>,
    limit: usize,
    cut: u64,
    /// Lines before this position have been handed out or passed over.
    position: u64,
    ended: bool,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Log {
        Log { bytes: Vec::new(), limit, cut: 0, position: 0, ended: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > self.limit.saturating_mul(2) {
            self.cut_front();
        }
    }

    /// Nothing follows: a last line without its newline counts from now on.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next complete line that contains `text`; this one and those before it will not be looked at again.
    /// Without a match nothing is passed over.
    pub(crate) fn next_line(&mut self, text: &str) -> Option<String> {
        let mut start = usize::try_from(self.position.saturating_sub(self.cut)).ok()?;
        while let Some(rest) = self.bytes.get(start..) {
            let (line, next) = match rest.iter().position(|&byte| byte == b'\n') {
                Some(newline) => (&rest[..newline], start + newline + 1),
                None if self.ended && !rest.is_empty() => (rest, start + rest.len()),
                None => return None,
            };
            let line = String::from_utf8_lossy(line);
            if line.contains(text) {
                let line = line.trim_end_matches('\r').to_owned();
                self.position = self.cut + next as u64;
                return Some(line);
            }
            start = next;
        }
        None
    }

    pub(crate) fn captured(&self) -> Captured {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        Captured { bytes: self.bytes[surplus..].to_vec(), cut: self.cut + surplus as u64 }
    }

    fn cut_front(&mut self) {
        let surplus = self.bytes.len() - self.limit;
        self.bytes.drain(..surplus);
        self.cut += surplus as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_and_counts_what_it_cut() {
        let mut log = Log::new(4);
        for byte in b"0123456789" {
            log.push(&[*byte]);
        }
        let captured = log.captured();
        assert_eq!(captured.bytes, b"6789");
        assert_eq!(captured.cut, 6);
    }

    #[test]
    fn hands_out_each_matching_line_once() {
        let mut log = Log::new(100);
        log.push(b"ready 1\nnoise\nready 2\nread");
        assert_eq!(log.next_line("ready").as_deref(), Some("ready 1"));
        assert_eq!(log.next_line("ready").as_deref(), Some("ready 2"));
        assert_eq!(log.next_line("ready"), None);
        log.push(b"y 3\r\n");
        assert_eq!(log.next_line("ready").as_deref(), Some("ready 3"));
    }

    #[test]
    fn a_search_without_a_match_passes_nothing_over() {
        let mut log = Log::new(100);
        log.push(b"first\nsecond\n");
        assert_eq!(log.next_line("third"), None);
        assert_eq!(log.next_line("first").as_deref(), Some("first"));
    }

    #[test]
    fn an_unfinished_line_counts_once_the_stream_has_ended() {
        let mut log = Log::new(100);
        log.push(b"last");
        assert_eq!(log.next_line("last"), None);
        log.end();
        assert_eq!(log.next_line("last").as_deref(), Some("last"));
        assert_eq!(log.next_line("last"), None);
    }

    #[test]
    fn a_line_is_found_after_the_front_was_cut() {
        let mut log = Log::new(8);
        log.push(b"one\n");
        assert_eq!(log.next_line("one").as_deref(), Some("one"));
        log.push(b"padding padding\ntwo\n");
        assert_eq!(log.next_line("two").as_deref(), Some("two"));
    }
}
