//! What answers are kept under: a name without regard to case, and a type.
//!
//! # Invariants
//!
//! - Names that differ in case alone have the same key (RFC 4343, section 3), and no others do.
//! - A key lies on the stack, so that asking allocates nothing.

use hickory_proto::rr::{Name, RecordType};

use super::name::{MAX_LABEL, MAX_NAME, plain_labels};

/// What stands before the name: the kind, and the type.
const HEAD: usize = 3;

/// What is kept under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The records of one type, or that there are none.
    Type = 0,
    /// That there is no such name: of all types at once.
    Name = 1,
    /// That asking for this type failed.
    Failure = 2,
}

/// A name and a type, in a form that compares as questions do.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::{Key, Name, RecordType};
///
/// let name = Name::from_ascii("WWW.Example.")?;
/// assert_eq!(Some(Key::new(&name, RecordType::A)), Key::of_text("www.example", RecordType::A));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Key {
    bytes: [u8; HEAD + MAX_NAME],
    len: u16,
}

impl Key {
    /// The key of a question. A relative name is taken as if a dot ended it.
    pub fn new(name: &Name, record_type: RecordType) -> Key {
        let mut key = Key::empty(record_type);
        for label in name {
            key.push(label);
        }
        key
    }

    /// The key of a question whose name is written as most are: labels of letters, digits, hyphens and underscores.
    ///
    /// `None` for every other name; those have to be read by the rules first.
    pub fn of_text(name: &str, record_type: RecordType) -> Option<Key> {
        let labels = name.strip_suffix('.').unwrap_or(name).as_bytes();
        // The first label has one byte for its length, as have those behind dots, and the root has one.
        if labels.len() + 2 > MAX_NAME {
            return None;
        }
        let mut key = Key::empty(record_type);
        let end = HEAD + 1 + labels.len();
        let place = &mut key.bytes[HEAD + 1..end];
        place.copy_from_slice(labels);
        place.make_ascii_lowercase();
        let mut at = HEAD;
        for label in plain_labels(labels)? {
            // What begins with xn-- is for the rules of IDN to look at.
            if label.is_empty() || label.len() > MAX_LABEL || label.get(2..4) == Some(b"--") {
                return None;
            }
            key.bytes[at] = label.len() as u8;
            at += 1 + label.len();
        }
        key.len = end as u16;
        Some(key)
    }

    fn empty(record_type: RecordType) -> Key {
        let mut key = Key { bytes: [0; HEAD + MAX_NAME], len: HEAD as u16 };
        key.bytes[1..HEAD].copy_from_slice(&u16::from(record_type).to_be_bytes());
        key
    }

    /// Appends a label; the root's own is left out, as every name has it.
    fn push(&mut self, label: &[u8]) {
        let start = usize::from(self.len) + 1;
        let end = start + label.len();
        // A name is never longer than the wire allows; were it, it would be cut short rather than end the program.
        let Some(place) = self.bytes.get_mut(start..end) else { return };
        place.copy_from_slice(label);
        place.make_ascii_lowercase();
        self.bytes[start - 1] = label.len() as u8;
        self.len = end as u16;
    }

    /// The same name, with another type.
    pub(crate) fn of_type(&self, record_type: RecordType) -> Key {
        let mut key = *self;
        key.bytes[0] = Kind::Type as u8;
        key.bytes[1..HEAD].copy_from_slice(&u16::from(record_type).to_be_bytes());
        key
    }

    /// The same name, for another kind of knowledge.
    pub(crate) fn of_kind(&self, kind: Kind) -> Key {
        let mut key = *self;
        key.bytes[0] = kind as u8;
        if kind == Kind::Name {
            key.bytes[1..HEAD].fill(0);
        }
        key
    }

    /// The type asked for.
    pub fn record_type(&self) -> RecordType {
        RecordType::from(u16::from_be_bytes([self.bytes[1], self.bytes[2]]))
    }

    /// The key as bytes: equal for equal keys, and different for different ones.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({}, {} bytes of name)", self.record_type(), self.bytes().len() - HEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn rfc_4343_section_3_case_makes_no_difference() {
        assert_eq!(Key::new(&name("a.EXAMPLE."), RecordType::A), Key::new(&name("A.example."), RecordType::A));
    }

    #[test]
    fn rfc_4343_section_3_only_letters_of_ascii_have_a_case() {
        let of_byte = |byte: u8| Name::from_labels([&[byte][..]]).unwrap();
        // The two are é and É in Latin-1, which DNS knows nothing of.
        let (low, high) = (of_byte(0xe9), of_byte(0xc9));
        assert_ne!(Key::new(&low, RecordType::A), Key::new(&high, RecordType::A));
    }

    #[test]
    fn the_type_and_the_borders_of_labels_make_a_difference() {
        let key = Key::new(&name("a.b."), RecordType::A);
        assert_ne!(key, Key::new(&name("a.b."), RecordType::AAAA));
        assert_ne!(key, Key::new(&name("a\\.b."), RecordType::A));
        assert_ne!(key, key.of_kind(Kind::Failure));
    }

    #[test]
    fn text_has_the_key_of_its_name() {
        for text in ["www.example.com", "WWW.Example.Com.", "a", "_sip._udp.example", "1.0.0.127.in-addr.arpa."] {
            assert_eq!(Key::of_text(text, RecordType::A), Some(Key::new(&name(text), RecordType::A)), "{text}");
        }
    }

    #[test]
    fn text_that_needs_rules_has_none() {
        let long_label = "a".repeat(64);
        let long_name = ["abcdefg."; 32].concat();
        for text in
            ["", ".", "a..b", "a\\.b", "bücher.example", "xn--bcher-kva.example", "a b", &long_label, &long_name]
        {
            assert_eq!(Key::of_text(text, RecordType::A), None, "{text}");
        }
    }

    #[test]
    fn the_longest_name_fits() {
        let longest =
            [["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."), String::new()].join(".");
        let key = Key::new(&name(&longest), RecordType::A);
        assert_eq!(key.bytes().len(), HEAD + MAX_NAME - 1);
        assert_eq!(Key::of_text(&longest, RecordType::A), Some(key));
    }
}
