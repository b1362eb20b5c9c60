//! Names as a person types them, names in reverse, and which name lies within which zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{error, fmt};

use hickory_proto::rr::{Label, Name};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// The longest name on the wire (RFC 1035 §2.3.4).
pub(super) const MAX_NAME: usize = 255;

/// The longest label (RFC 1035 §2.3.4).
pub(super) const MAX_LABEL: usize = 63;

/// The longest text that is taken for a name, in bytes: a name of 255 bytes is shorter, be every byte of it an escape.
pub const MAX_NAME_TEXT: usize = 4096;

/// Reads a name as a person types it or a file has it.
///
/// It is absolute if it ends in a dot ([`Name::is_fqdn`]), and relative otherwise. A backslash and a character stand
/// for that character, a backslash and three decimal digits for a byte (RFC 1035 §5.1). Labels in other scripts become
/// `xn--…` (RFC 5891 §4, with the mapping of UTS 46), and the full stops of other scripts count as dots. What is plain
/// ASCII stays as it is, so names such as `_sip._tcp` pass.
///
/// # Errors
///
/// [`NameError`] says what is wrong and where.
///
/// ```
/// use grapeshot_dns::proto::{NameError, parse_name};
///
/// let name = parse_name("bücher.example.")?;
/// assert_eq!(name.to_ascii(), "xn--bcher-kva.example.");
/// assert!(name.is_fqdn());
/// assert!(!parse_name("www")?.is_fqdn());
/// assert_eq!(parse_name("a..b"), Err(NameError::EmptyLabel { at: 2 }));
/// # Ok::<(), NameError>(())
/// ```
pub fn parse_name(text: &str) -> Result<Name, NameError> {
    read_plain(text).map_or_else(|| read_by_rules(text), Ok)
}

fn read_by_rules(text: &str) -> Result<Name, NameError> {
    if text.len() > MAX_NAME_TEXT {
        return Err(NameError::TooLong);
    }
    if text == "." {
        return Ok(Name::root());
    }
    let mut name = Name::new();
    let mut at = 0;
    loop {
        let label = TypedLabel::read(text, at)?;
        // The length of the whole is all that is left to be wrong.
        name = name.append_label(label.encode()?).map_err(|_| NameError::TooLong)?;
        at = label.end;
        if at == text.len() {
            name.set_fqdn(label.has_dot);
            return Ok(name);
        }
    }
}

/// Reads a name whose [labels are plain](plain_labels), which takes a fifth of the time that the rules do.
///
/// The labels are put as they are on the wire. `None` for every other name: what is wrong with it, the rules say.
fn read_plain(text: &str) -> Option<Name> {
    let labels = text.strip_suffix('.').unwrap_or(text).as_bytes();
    let mut wire = [0; MAX_NAME];
    // The first label has one byte for its length, as have those behind dots, and the root has one.
    let wire = wire.get_mut(..labels.len() + 2)?;
    wire[1..=labels.len()].copy_from_slice(labels);
    let mut at = 0;
    for label in plain_labels(labels)? {
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        wire[at] = label.len() as u8;
        at += 1 + label.len();
    }
    let mut name = Name::read(&mut BinDecoder::new(wire)).ok()?;
    name.set_fqdn(labels.len() < text.len());
    Some(name)
}

/// The labels of a name that is written as most are: of letters, digits, hyphens and underscores. `None` for every other.
///
/// How long they are has not been looked at.
pub(super) fn plain_labels(name: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.');
    // Without a way out in the middle, many bytes are looked at in one step.
    let are_plain = name.iter().fold(true, |are_plain, byte| are_plain & is_plain(byte));
    are_plain.then(|| name.split(|&byte| byte == b'.'))
}

/// A label as it is typed, its escapes undone.
struct TypedLabel {
    /// Where it begins in the text.
    start: usize,
    /// Where the text goes on.
    end: usize,
    /// Whether a dot ended it.
    has_dot: bool,
    bytes: Vec<u8>,
    /// Whether a byte was given by an escape: then the bytes are meant, and not text in some script.
    has_escape: bool,
}

impl TypedLabel {
    fn read(text: &str, start: usize) -> Result<Self, NameError> {
        let mut label = Self { start, end: start, has_dot: false, bytes: Vec::new(), has_escape: false };
        while let Some(character) = text[label.end..].chars().next() {
            let at = label.end;
            label.end += character.len_utf8();
            match character {
                // The full stops of UTS 46 §4.
                '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => {
                    label.has_dot = true;
                    break;
                }
                '\\' => {
                    let (byte, length) = unescape(&text.as_bytes()[label.end..]).ok_or(NameError::Escape { at })?;
                    label.bytes.push(byte);
                    label.has_escape = true;
                    label.end += length;
                }
                _ if character.is_control() || character.is_whitespace() => return Err(NameError::Character { at }),
                _ => label.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if label.bytes.is_empty() { Err(NameError::EmptyLabel { at: start }) } else { Ok(label) }
    }

    fn encode(&self) -> Result<Label, NameError> {
        let at = self.start;
        if self.bytes.is_ascii() || self.has_escape {
            return Label::from_raw_bytes(&self.bytes).map_err(|_| NameError::LabelTooLong { at });
        }
        // Only an escape makes bytes that are no text.
        let text = std::str::from_utf8(&self.bytes).map_err(|_| NameError::Script { at })?;
        Label::from_utf8(text).map_err(|_| NameError::Script { at })
    }
}

/// The byte that stands behind a backslash, and how many characters stand for it (RFC 1035 §5.1).
fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [first, ..] if first.is_ascii_digit() => {
            let digits = std::str::from_utf8(text.get(..3)?).ok()?;
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            Some((digits.parse().ok().filter(|_| is_number)?, 3))
        }
        [first, ..] if first.is_ascii() => Some((*first, 1)),
        _ => None,
    }
}

/// Why a text is no name. Each `at` is an offset into the text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// A label is empty: the text is, or it begins with a dot, or has two in a row (RFC 1035 §2.3.1).
    EmptyLabel {
        /// Where the label would be.
        at: usize,
    },
    /// A label takes more than 63 bytes (RFC 1035 §2.3.4).
    LabelTooLong {
        /// Where the label begins.
        at: usize,
    },
    /// The name takes more than 255 bytes (RFC 1035 §2.3.4), or its text more than [`MAX_NAME_TEXT`].
    TooLong,
    /// Behind a backslash stands neither an ASCII character nor a number of three digits up to 255.
    Escape {
        /// Where the backslash is.
        at: usize,
    },
    /// A blank or a control character that no escape stands for.
    Character {
        /// Where it is.
        at: usize,
    },
    /// A label in another script has a character that no name may have, or takes more than 63 bytes as `xn--…`
    /// (RFC 5891 §4).
    Script {
        /// Where the label begins.
        at: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyLabel { at } => write!(f, "the name has an empty label at byte {at}"),
            Self::LabelTooLong { at } => write!(f, "the name's label at byte {at} takes more than 63 bytes"),
            Self::TooLong => f.write_str("the name takes more than 255 bytes"),
            Self::Escape { at } => write!(f, "the name's backslash at byte {at} begins no escape"),
            Self::Character { at } => write!(f, "the name has a blank or control character at byte {at}"),
            Self::Script { at } => write!(f, "the name's label at byte {at} cannot be written as xn--"),
        }
    }
}

impl error::Error for NameError {}

/// The name whose PTR records name the host at `address` (RFC 1035 §3.5, RFC 3596 §2.5).
///
/// ```
/// use grapeshot_dns::proto::{reverse_address, reverse_name};
///
/// let name = reverse_name([192, 0, 2, 7].into());
/// assert_eq!(name.to_ascii(), "7.2.0.192.in-addr.arpa.");
/// assert_eq!(reverse_address(&name), Some([192, 0, 2, 7].into()));
/// ```
pub fn reverse_name(address: IpAddr) -> Name {
    let mut name = Name::from(address);
    name.set_fqdn(true);
    name
}

/// The address that a name in reverse is for, or None when it is no such name, or that of a whole network.
pub fn reverse_address(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&[u8]> = name.iter().collect();
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    match labels.as_slice() {
        [bytes @ .., zone, arpa] if bytes.len() == 4 && is(zone, "in-addr") && is(arpa, "arpa") => {
            let mut octets = [0; 4];
            for (octet, label) in octets.iter_mut().rev().zip(bytes) {
                *octet = decimal(label)?;
            }
            Some(Ipv4Addr::from(octets).into())
        }
        [nibbles @ .., zone, arpa] if nibbles.len() == 32 && is(zone, "ip6") && is(arpa, "arpa") => {
            let mut address = 0_u128;
            for label in nibbles.iter().rev() {
                let &[digit] = *label else { return None };
                address = address << 4 | u128::from(char::from(digit).to_digit(16)?);
            }
            Some(Ipv6Addr::from(address).into())
        }
        _ => None,
    }
}

/// A byte in decimal, as [`reverse_name`] writes it: without a zero in front.
fn decimal(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// Whether two names are the same, without regard to case (RFC 4343 §3) or to whether they end in a dot.
///
/// [`Name`]'s own comparison also finds out which comes first, and so takes several times as long.
pub(super) fn is_same(name: &Name, other: &Name) -> bool {
    let (labels, others) = (name.iter(), other.iter());
    // Most are spelt alike, which is seen sooner.
    let is_same = |(label, other): (&[u8], &[u8])| label == other || label.eq_ignore_ascii_case(other);
    labels.len() == others.len() && labels.zip(others).all(is_same)
}

/// Whether `name` is `zone` or lies below it, without regard to case (RFC 1034 §3.1, RFC 4343 §3).
pub fn is_within(name: &Name, zone: &Name) -> bool {
    let (labels, above) = (name.iter(), zone.iter());
    labels.len() >= above.len() && labels.rev().zip(above.rev()).all(|(label, other)| label.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_plain_name_is_read_as_the_rules_read_it(text in "[a-zA-Z0-9_.-]{0,40}|([a-z]{1,66}[.]){0,6}|([a-z]{40,60}[.]){4}[a-z]{0,40}") {
            if let Some(name) = read_plain(&text) {
                let by_rules = read_by_rules(&text).unwrap();
                proptest::prop_assert!(name.eq_case(&by_rules) && name.is_fqdn() == by_rules.is_fqdn(), "{text}");
            } else {
                proptest::prop_assert!(read_by_rules(&text).is_err() || text == ".", "{text}");
            }
        }
    }

    #[test]
    fn only_plain_names_are_read_without_the_rules() {
        assert!(["www.example.com", "WWW.example.", "_sip._udp.x", "a"].iter().all(|text| read_plain(text).is_some()));
        for text in ["", ".", ".a", "a..b", "a\\.b", "b\u{fc}cher.example", "a b", "a\u{3002}b"] {
            assert_eq!(read_plain(text), None, "{text}");
        }
    }
}
