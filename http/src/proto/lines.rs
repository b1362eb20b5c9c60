//! Where lines end, for heads and trailer sections alike.
//!
//! RFC 9112 section 2.2 lets a recipient take a lone LF for a line end.
//! We do not: two parties that disagree about where a line ends can be made to disagree about where
//! a request ends.
//! httparse is lenient here, so its answer is checked once more; that takes one look per line
//! rather than one per byte, because it refuses a lone CR itself.

/// Where the empty line that ends a head or trailer section is complete: the offset just after it.
///
/// Lone LFs count as line ends here, so that a head with them is found complete and refused, rather
/// than waited for.
/// `from` is the offset where an earlier search stopped; the line before it may still be open.
pub(super) fn blank_line_end(buf: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub("\n\r".len());
    memchr::memchr_iter(b'\n', buf.get(from..)?).find_map(|line_feed| {
        let next = from + line_feed + 1;
        match buf[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// Whether the line that starts at `start` follows a CR LF, given that a line feed precedes it.
#[inline]
pub(super) fn follows_crlf(buf: &[u8], start: usize) -> bool {
    start >= 2 && buf[start - 2] == b'\r'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_earlier_search_stopped() {
        for head in [&b"a\r\nb\r\n\r\nrest"[..], b"a\nb\n\nrest", b"a\nb\r\n\nrest"] {
            let end = head.len() - b"rest".len();
            for from in 0..end {
                assert_eq!(blank_line_end(head, from), Some(end), "from {from}");
            }
        }
    }

    #[test]
    fn no_end_is_found_in_a_prefix() {
        let head = b"a\r\nb\r\n\r\n";
        for len in 0..head.len() {
            assert_eq!(blank_line_end(&head[..len], 0), None);
        }
    }
}
