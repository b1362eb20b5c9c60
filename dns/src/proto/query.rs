//! A question, and the bytes that ask it.

use hickory_proto::rr::{Name, RecordType};

use super::cookie::{Cookie, OPTION_COOKIE};

/// The size of replies over UDP that is asked for by default: it passes a path of 1280 bytes in one piece (RFC 9715,
/// appendix A).
const DEFAULT_EDNS_SIZE: u16 = 1232;

/// The class of the Internet (RFC 1035 §3.2.4).
pub(super) const CLASS_IN: u16 = 1;

const TYPE_OPT: u16 = 41;
const OPTION_PADDING: u16 = 12;

const RECURSION_DESIRED: u16 = 0x0100;
const AUTHENTIC_DATA: u16 = 0x0020;
const CHECKING_DISABLED: u16 = 0x0010;
/// In the flags of an OPT record (RFC 6891 §6.1.4).
const DNSSEC_OK: u16 = 0x8000;

/// How a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOptions {
    /// The largest reply over UDP, in bytes, told by an OPT record (RFC 6891 §6.2.3); less than 512 counts as 512.
    /// None leaves the OPT record out, and with it the cookie and `dnssec_ok`.
    pub edns_size: Option<u16>,
    /// Asks the server to ask others (RFC 1035 §4.1.1, RD).
    pub recursion_desired: bool,
    /// Asks whether the server has verified the answer (RFC 6840 §5.7, AD); resolv.conf's `trust-ad`.
    pub authentic_data: bool,
    /// Asks for answers that could not be verified as well (RFC 4035 §3.2.2, CD).
    pub checking_disabled: bool,
    /// Asks for the records of DNSSEC (RFC 3225 §3, DO).
    pub dnssec_ok: bool,
    /// Random bits that choose the case of each letter of the name, which the server repeats: sixteen letters make a
    /// forged reply 65,536 times less likely to fit. None asks in the case that the name has.
    pub random_case: Option<u64>,
    /// The cookie for the server (RFC 7873 §4).
    pub cookie: Option<Cookie>,
}

impl Default for QueryOptions {
    /// Recursion desired, EDNS with replies of up to 1232 bytes, and nothing else.
    fn default() -> Self {
        Self {
            edns_size: Some(DEFAULT_EDNS_SIZE),
            recursion_desired: true,
            authentic_data: false,
            checking_disabled: false,
            dnssec_ok: false,
            random_case: None,
            cookie: None,
        }
    }
}

/// One question to one server.
///
/// ```
/// use grapeshot_dns::proto::{Name, Query, QueryOptions, RecordType};
///
/// let query = Query::new(Name::from_ascii("example.com.")?, RecordType::A, &QueryOptions::default());
/// let mut message = Vec::new();
/// query.encode(0x2a2a, &mut message);
/// assert_eq!(message.len(), 12 + 13 + 4 + 11); // The header, the name, its type and class, the OPT record.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    name: Name,
    record_type: RecordType,
    options: QueryOptions,
}

impl Query {
    /// Makes a question for the records of `record_type` that `name` owns, in the class of the Internet.
    ///
    /// A relative name is taken as if a dot ended it.
    pub fn new(mut name: Name, record_type: RecordType, options: &QueryOptions) -> Self {
        name.set_fqdn(true);
        if let Some(seed) = options.random_case {
            name = with_random_case(&name, seed);
        }
        Self { name, record_type, options: options.clone() }
    }

    /// The name asked for, in the case in which it is sent.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The type of the records asked for.
    pub fn record_type(&self) -> RecordType {
        self.record_type
    }

    /// How it is asked.
    pub fn options(&self) -> &QueryOptions {
        &self.options
    }

    /// Appends the message to `out` (RFC 1035 §4.1), under the given id.
    pub fn encode(&self, id: u16, out: &mut Vec<u8>) {
        self.encode_head(id, out);
        if let Some(size) = self.options.edns_size {
            self.encode_opt(size, 0, out);
        }
    }

    /// Appends the message to `out`, filled up to a multiple of `block` bytes, so that its length does not give the
    /// name away on an encrypted transport (RFC 7830; RFC 8467 §4.1 advises 128).
    ///
    /// Without EDNS there is nothing to fill it up with, and it is as [`encode`](Self::encode) makes it.
    pub fn encode_padded(&self, id: u16, block: u16, out: &mut Vec<u8>) {
        let start = out.len();
        self.encode_head(id, out);
        if let Some(size) = self.options.edns_size {
            let bare = out.len() - start + OPT_LENGTH + self.cookie_length() + OPTION_HEAD;
            let block = usize::from(block.max(1));
            let padding = OPTION_HEAD + bare.next_multiple_of(block) - bare;
            self.encode_opt(size, padding, out);
        }
    }

    fn encode_head(&self, id: u16, out: &mut Vec<u8>) {
        let options = &self.options;
        let mut flags = 0;
        for (wanted, flag) in [
            (options.recursion_desired, RECURSION_DESIRED),
            (options.authentic_data, AUTHENTIC_DATA),
            (options.checking_disabled, CHECKING_DISABLED),
        ] {
            flags |= if wanted { flag } else { 0 };
        }
        let additionals = u16::from(options.edns_size.is_some());
        for field in [id, flags, 1, 0, 0, additionals] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        encode_name(&self.name, out);
        out.extend_from_slice(&u16::from(self.record_type).to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
    }

    /// The OPT record (RFC 6891 §6.1.2): the size stands where the class does, the flags where the TTL does.
    /// `padding` is the whole length of the padding option, 0 for none.
    fn encode_opt(&self, size: u16, padding: usize, out: &mut Vec<u8>) {
        let flags = if self.options.dnssec_ok { DNSSEC_OK } else { 0 };
        let length = (self.cookie_length() + padding) as u16;
        out.push(0);
        for field in [TYPE_OPT, size.max(512), 0, flags, length] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        if let Some(cookie) = &self.options.cookie {
            let cookie = cookie.as_bytes();
            out.extend_from_slice(&OPTION_COOKIE.to_be_bytes());
            out.extend_from_slice(&(cookie.len() as u16).to_be_bytes());
            out.extend_from_slice(cookie);
        }
        if padding > 0 {
            let zeros = padding - OPTION_HEAD;
            out.extend_from_slice(&OPTION_PADDING.to_be_bytes());
            out.extend_from_slice(&(zeros as u16).to_be_bytes());
            out.resize(out.len() + zeros, 0);
        }
    }

    fn cookie_length(&self) -> usize {
        self.options.cookie.as_ref().map_or(0, |cookie| OPTION_HEAD + cookie.as_bytes().len())
    }
}

/// The bytes of an OPT record without options.
const OPT_LENGTH: usize = 11;

/// The code and the length of an option.
const OPTION_HEAD: usize = 4;

/// Appends a name without compression (RFC 1035 §3.1). A [`Name`] is never longer than the wire allows.
pub(super) fn encode_name(name: &Name, out: &mut Vec<u8>) {
    for label in name {
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
}

/// The same name, each letter in upper or lower case as a generator seeded with `seed` says.
fn with_random_case(name: &Name, seed: u64) -> Name {
    let mut labels = Vec::with_capacity(name.num_labels().into());
    let mut bits = Bits { state: seed, left: 0, word: 0 };
    for label in name {
        let mut label = label.to_vec();
        for letter in label.iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
            *letter = if bits.next() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        }
        labels.push(label);
    }
    let mut cased = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap_or_else(|_| name.clone());
    cased.set_fqdn(true);
    cased
}

/// Bits drawn from a seed by SplitMix64 (Steele, Lea and Flood, 2014), which passes over all 2^64 states.
struct Bits {
    state: u64,
    left: u32,
    word: u64,
}

impl Bits {
    fn next(&mut self) -> bool {
        if self.left == 0 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            self.word = z ^ (z >> 31);
            self.left = 64;
        }
        self.left -= 1;
        let bit = self.word & 1 == 1;
        self.word >>= 1;
        bit
    }
}
