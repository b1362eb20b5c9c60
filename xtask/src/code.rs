//! Rust source without what is not code.
//!
//! `tests/architecture.rs` includes this file as well.

/// The source with its comments and the contents of its string and character literals blanked out.
///
/// Every byte stays at its place, and so does every line.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = text_end(bytes, at);
        if end > at {
            code.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            // A whole word at a time, so that the r of `for"…` is not taken for the beginning of a raw string.
            let word = bytes[at..].iter().take_while(|byte| is_word(**byte)).count().max(1);
            code.extend(bytes[at..at + word].iter().map(|&byte| if byte.is_ascii() { byte as char } else { ' ' }));
            at += word;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none does.
fn text_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let len = match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'"', ..] => quoted_len(rest, b'"'),
        [b'\'', ..] => char_len(rest),
        [b'r', ..] => raw_string_len(rest, 1),
        [b'b' | b'c', b'r', ..] => raw_string_len(rest, 2),
        _ => 0,
    };
    at + len
}

fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A quote with one character or an escape up to the next quote; anything else is a lifetime.
fn char_len(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted_len(rest, b'\'');
    }
    let is_continuation = |byte: &&u8| **byte & 0xC0 == 0x80;
    let width = 1 + rest.iter().skip(2).take_while(is_continuation).count();
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

fn raw_string_len(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0; // A word that begins with r, or a raw identifier.
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = &rest[open + 1..];
    match body.windows(close.len()).position(|window| window == close) {
        Some(len) => open + 1 + len + close.len(),
        None => rest.len(),
    }
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_code(source: &str, expected: &str) {
        let code = code_only(source);
        assert_eq!(code.len(), source.len());
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&code), words(expected), "{source}");
    }

    #[test]
    fn comments_are_blanked() {
        assert_code("a // unsafe\nb", "a b");
        assert_code("a /* x /* unsafe */ y */ b", "a b");
        assert_code("a /* never closed", "a");
    }

    #[test]
    fn strings_are_blanked() {
        assert_code(r#"f("unsafe \" unsafe", b"x")"#, "f( , b )");
        assert_code(r##"f(r"\", r#"a " b"#, br#""#)"##, "f( , , )");
        assert_code("for r in x", "for r in x");
        assert_code("let r#type = 1", "let r#type = 1");
    }

    #[test]
    fn characters_are_blanked_and_lifetimes_are_kept() {
        assert_code(r#"f('"', '\'', 'ä', b'x', "y")"#, "f( , , , b , )");
        assert_code("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let code = code_only("a\n/* b\nc */\n\"d\ne\"\nf");
        assert_eq!(code.lines().nth(5), Some("f"));
    }
}
