//! The server name in a client's first message.
//!
//! A server knows the name once it has chosen a certificate, but not after a resumed handshake, where none is chosen:
//! so it is read from the message itself (RFC 6066, 3).
//!
//! ```text
//!   record  = type 22 ‖ version ‖ length ‖ fragment          (RFC 8446, 5.1; a message may span several)
//!   message = type 1 ‖ length (3) ‖ legacy_version (2) ‖ random (32) ‖ session id <1> ‖ suites <2>
//!             ‖ compression <1> ‖ extensions <2>             (RFC 8446, 4.1.2)
//!   extension 0 = list <2> of: name_type 0 ‖ host_name <2>   (RFC 6066, 3)
//! ```

/// The most that is looked through for the end of the message; a message itself is at most 64 KiB for rustls.
const MAX_LOOKED_AT: usize = 80 << 10;

const RECORD_HEADER: usize = 5;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const MESSAGE_HEADER: usize = 4;
const SERVER_NAME: usize = 0;
const HOST_NAME: u8 = 0;

/// What the bytes so far hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// The beginning of a message, which cannot be whole before there are this many bytes.
    Partial(usize),
    /// A whole message, with the name it asks for.
    Whole(Option<String>),
    /// No such message; rustls will say what is wrong with it.
    Not,
}

/// Looks for a whole client hello at the front of a connection's bytes.
pub(crate) fn look(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [] => break,
            [HANDSHAKE_RECORD, ..] if rest.len() < RECORD_HEADER => break,
            [HANDSHAKE_RECORD, 3, _, high, low, fragment @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length == 0 {
                    return Hello::Not;
                }
                message.extend_from_slice(&fragment[..length.min(fragment.len())]);
                rest = &fragment[length.min(fragment.len())..];
            }
            _ => return Hello::Not,
        }
        match message_length(&message) {
            Some(length) if message.len() >= length => {
                return Hello::Whole(server_name(&message[MESSAGE_HEADER..length]));
            }
            None if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) => return Hello::Not,
            _ => {}
        }
    }
    let missing = message_length(&message).map_or(1, |length| length - message.len());
    if bytes.len() > MAX_LOOKED_AT { Hello::Not } else { Hello::Partial(bytes.len() + missing) }
}

/// How long the message is with its header, once that is there and right.
fn message_length(message: &[u8]) -> Option<usize> {
    match message {
        [CLIENT_HELLO, a, b, c, ..] => Some(MESSAGE_HEADER + u32::from_be_bytes([0, *a, *b, *c]) as usize),
        _ => None,
    }
}

fn server_name(body: &[u8]) -> Option<String> {
    let mut fields = Fields(body);
    fields.take(2 + 32)?;
    fields.prefixed(1)?;
    fields.prefixed(2)?;
    fields.prefixed(1)?;
    let mut extensions = Fields(fields.prefixed(2)?);
    loop {
        let kind = extensions.number(2)?;
        let body = extensions.prefixed(2)?;
        if kind == SERVER_NAME {
            let mut names = Fields(Fields(body).prefixed(2)?);
            let [HOST_NAME] = names.take(1)? else { return None };
            return std::str::from_utf8(names.prefixed(2)?).ok().map(str::to_ascii_lowercase);
        }
    }
}

/// Takes fields off the front of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// A field behind its length.
    fn prefixed(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.number(width)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(width: usize, bytes: &[u8]) -> Vec<u8> {
        let length = (bytes.len() as u32).to_be_bytes();
        [&length[4 - width..], bytes].concat()
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &prefixed(1, &[]), &prefixed(2, &[0x13, 1]), &prefixed(1, &[0])].concat();
        [vec![CLIENT_HELLO], prefixed(3, &[body, prefixed(2, extensions)].concat())].concat()
    }

    fn naming(name: &str) -> Vec<u8> {
        let list = prefixed(2, &[vec![HOST_NAME], prefixed(2, name.as_bytes())].concat());
        let other = [vec![0, 43], prefixed(2, &[2, 3, 4])].concat();
        message(&[other, vec![0, 0], prefixed(2, &list)].concat())
    }

    fn records(message: &[u8], fragment: usize) -> Vec<u8> {
        let record = |fragment: &[u8]| [&[HANDSHAKE_RECORD, 3, 1][..], &prefixed(2, fragment)].concat();
        message.chunks(fragment).flat_map(record).collect()
    }

    #[test]
    fn rfc6066_section3_the_name_is_found_however_the_message_is_cut() {
        let whole = Hello::Whole(Some("example.org".to_owned()));
        for fragment in [1, 2, 5, 100, 1000] {
            let bytes = records(&naming("Example.ORG"), fragment);
            assert_eq!(look(&bytes), whole, "in fragments of {fragment}");
            for cut in 0..bytes.len() {
                let Hello::Partial(needed) = look(&bytes[..cut]) else { panic!("{cut} of {}", bytes.len()) };
                assert!(cut < needed && needed <= bytes.len(), "{needed} after {cut} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn a_message_without_a_name_is_whole_all_the_same() {
        assert_eq!(look(&records(&message(&[]), 1000)), Hello::Whole(None));
    }

    #[test]
    fn what_cannot_become_a_hello_is_said_at_once() {
        for bytes in [&b"G"[..], &[22, 2, 0, 0, 1], &[22, 3, 1, 0, 0], &[22, 3, 1, 0, 1, 2], &[0x80, 1]] {
            assert_eq!(look(bytes), Hello::Not, "{bytes:?}");
        }
    }

    #[test]
    fn lengths_that_lie_find_no_name_and_do_no_harm() {
        let mut bytes = naming("example.org");
        for place in MESSAGE_HEADER..bytes.len() {
            let before = bytes[place];
            bytes[place] = 0xff;
            assert!(matches!(look(&records(&bytes, 1000)), Hello::Whole(_)), "at {place}");
            bytes[place] = before;
        }
    }

    #[test]
    fn a_message_that_never_ends_is_given_up() {
        let endless = [&[CLIENT_HELLO, 0xff, 0xff, 0xff][..], &vec![0; MAX_LOOKED_AT]].concat();
        assert_eq!(look(&records(&endless, 16384)), Hello::Not);
    }
}
