//! Why a head or a trailer section is refused: the slow second look at what failed.
//!
//! The fast path only learns that something is wrong.
//! This module reads the same bytes again, line by line and by the grammar, to say what and where.
//! It runs once for a connection that is about to be closed.
//!
//! ```text
//! request-line = method SP request-target SP HTTP-version CRLF        RFC 9112 section 3
//! field-line   = field-name ":" OWS field-value OWS CRLF              RFC 9112 section 5
//! ```

use super::classes::{TOKEN, VALUE, is};
use super::error::{HeadError, SyntaxFault};

/// Explains a request head that starts at `start`.
#[cold]
pub(super) fn head(buf: &[u8], start: usize) -> HeadError {
    match find_head_fault(buf, start) {
        Some(error) => error,
        None => HeadError::Syntax { at: buf.len(), fault: SyntaxFault::Unknown },
    }
}

/// Explains header lines: the offset and the fault.
#[cold]
pub(super) fn header_lines(buf: &[u8]) -> (usize, SyntaxFault) {
    find_header_fault(buf, 0).unwrap_or((buf.len(), SyntaxFault::Unknown))
}

/// The first fault of a head that may be cut short, or `None` if there is none in it.
pub(super) fn find_head_fault(buf: &[u8], start: usize) -> Option<HeadError> {
    match request_line_end(buf, start) {
        Err(error) => Some(error),
        Ok(None) => None,
        Ok(Some(end)) => find_header_fault(buf, end).map(|(at, fault)| HeadError::Syntax { at, fault }),
    }
}

/// The offset after the request line, or `None` if it is cut short.
fn request_line_end(buf: &[u8], start: usize) -> Result<Option<usize>, HeadError> {
    let syntax = |at, fault| Err(HeadError::Syntax { at, fault });
    let end_of_token = |from: usize, valid: fn(u8) -> bool| (from..buf.len()).find(|&at| !valid(buf[at]));

    let Some(at) = end_of_token(start, |byte| is(TOKEN, byte)) else { return Ok(None) };
    match buf[at] {
        b' ' if at > start => {}
        b'\r' | b'\n' => return syntax(at, SyntaxFault::MissingTarget),
        byte => return syntax(at, SyntaxFault::InvalidMethod(byte)),
    }
    let target = at + 1;
    let Some(at) = end_of_token(target, |byte| byte > b' ' && byte != 0x7f) else { return Ok(None) };
    match buf[at] {
        b' ' if at > target => {}
        b' ' => return syntax(at, SyntaxFault::MissingTarget),
        b'\r' | b'\n' if at == target => return syntax(at, SyntaxFault::MissingTarget),
        b'\r' | b'\n' => return syntax(at, SyntaxFault::MissingVersion),
        byte => return syntax(at, SyntaxFault::InvalidTargetByte(byte)),
    }
    // Valid UTF-8 gets as far as `target`, which refuses it too.
    if str::from_utf8(&buf[target..at]).is_err() {
        let beyond_ascii = (target..at).find(|&at| !buf[at].is_ascii()).unwrap_or(target);
        return syntax(beyond_ascii, SyntaxFault::InvalidTargetByte(buf[beyond_ascii]));
    }
    let version = at + 1;
    let end = version + VERSION.len();
    let given = &buf[version..end.min(buf.len())];
    if matches!(given, [b'\r' | b'\n', ..]) {
        return syntax(version, SyntaxFault::MissingVersion);
    }
    if !starts_like_a_version(given) {
        return syntax(version, SyntaxFault::InvalidVersion);
    }
    match &buf[end.min(buf.len())..] {
        [b'\n', ..] => syntax(end, SyntaxFault::BareLineFeed),
        [b'\r', b'\n', ..] | [b'\r'] | [] => {
            let spoken = [&b"HTTP/1.1"[..], b"HTTP/1.0"];
            if spoken.iter().any(|version| version.starts_with(given)) {
                Ok((buf.len() >= end + 2).then_some(end + 2))
            } else {
                Err(HeadError::UnsupportedVersion { at: version })
            }
        }
        [b'\r', ..] => syntax(end, SyntaxFault::BareCarriageReturn),
        [_, ..] => syntax(version, SyntaxFault::InvalidVersion),
    }
}

/// `HTTP-version = "HTTP" "/" DIGIT "." DIGIT` (RFC 9112 section 2.3), with `D` for a digit.
const VERSION: &[u8] = b"HTTP/D.D";

fn starts_like_a_version(given: &[u8]) -> bool {
    given.iter().zip(VERSION).all(|(&byte, &expected)| match expected {
        b'D' => byte.is_ascii_digit(),
        _ => byte == expected,
    })
}

fn find_header_fault(buf: &[u8], mut line: usize) -> Option<(usize, SyntaxFault)> {
    loop {
        match buf.get(line..)? {
            [b'\r', b'\n', ..] | [b'\r'] | [] => return None,
            [b'\r', ..] => return Some((line, SyntaxFault::BareCarriageReturn)),
            [b'\n', ..] => return Some((line, SyntaxFault::BareLineFeed)),
            [b' ' | b'\t', ..] => return Some((line, SyntaxFault::FoldedLine)),
            [_, ..] => match header_line_end(buf, line) {
                Ok(Some(next)) => line = next,
                Ok(None) => return None,
                Err(found) => return Some(found),
            },
        }
    }
}

/// The offset after a header line, or `None` if it is cut short.
fn header_line_end(buf: &[u8], line: usize) -> Result<Option<usize>, (usize, SyntaxFault)> {
    let Some(name_len) = buf[line..].iter().position(|&byte| !is(TOKEN, byte)) else {
        return Ok(None);
    };
    let colon = line + name_len;
    match buf[colon] {
        b':' if name_len > 0 => {}
        b' ' | b'\t' => {
            let next = buf[colon..].iter().find(|&&byte| byte != b' ' && byte != b'\t');
            return Err(match next {
                Some(b':') => (colon, SyntaxFault::SpaceBeforeColon),
                _ => (colon, SyntaxFault::InvalidHeaderName(buf[colon])),
            });
        }
        b'\r' | b'\n' => return Err((colon, SyntaxFault::MissingColon)),
        byte => return Err((colon, SyntaxFault::InvalidHeaderName(byte))),
    }
    let value = colon + 1;
    let Some(value_len) = buf[value..].iter().position(|&byte| !is(VALUE, byte)) else {
        return Ok(None);
    };
    let end = value + value_len;
    match buf[end..] {
        [b'\r', b'\n', ..] => Ok(Some(end + 2)),
        [b'\r'] => Ok(None),
        [b'\r', ..] => Err((end, SyntaxFault::BareCarriageReturn)),
        [b'\n', ..] => Err((end, SyntaxFault::BareLineFeed)),
        _ => Err((end, SyntaxFault::InvalidHeaderValue(buf[end]))),
    }
}
