//! Which bytes may stand where, as one table.

/// In a token: methods, header names, connection options (RFC 9110 section 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// In a header value, obs-text included (RFC 9110 section 5.5).
pub(super) const VALUE: u8 = 2;
/// In a registered name or an IPv4 address: unreserved and sub-delims (RFC 3986 section 3.2.2).
pub(super) const HOST: u8 = 4;
/// In a path.
///
/// Of the bytes in a path or query we refuse what neither RFC 3986 nor browsers send as it is:
/// controls, space, `"`, `<`, `>`, bytes from 0x80 and, in a path, the backtick.
/// RFC 3986 would have us refuse `|`, `^`, `[`, `]`, `{`, `}` and `\` too, but browsers leave some
/// of these as they are, in paths or in queries.
pub(super) const PATH: u8 = 8;
/// In a query.
pub(super) const QUERY: u8 = 16;

/// Whether a byte is in a class.
#[inline]
pub(super) fn is(class: u8, byte: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Whether all bytes are in a class.
///
/// No early exit: for the short texts in question, finding out is cheaper than asking each time.
#[inline]
pub(super) fn all(class: u8, bytes: &[u8]) -> bool {
    bytes.iter().fold(class, |left, &byte| left & CLASSES[byte as usize]) != 0
}

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classes_of(byte as u8);
        byte += 1;
    }
    classes
};

const fn classes_of(byte: u8) -> u8 {
    let token = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => TOKEN,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' => TOKEN,
        b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => TOKEN,
        _ => 0,
    };
    let value = match byte {
        b'\t' | b' '..=0x7e | 0x80..=0xff => VALUE,
        _ => 0,
    };
    let host = match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => HOST,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => HOST,
        _ => 0,
    };
    let target = match byte {
        b'"' | b'#' | b'<' | b'>' => 0,
        b'?' | b'`' => QUERY,
        0x21..=0x7e => PATH | QUERY,
        _ => 0,
    };
    token | value | host | target
}
