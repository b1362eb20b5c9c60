//! What two sides agree on when they meet.
//!
//! ```text
//! one side                                          the other
//! [0, id, "$/hello", [{version, name, extensions, limits}]] ──►
//!                    ◄── [1, id, nil, {version, name, extensions, limits}]
//! ```
//!
//! Both then use the extensions that both have named. A peer that answers with an error knows none of this,
//! and is spoken to in plain MessagePack-RPC.

use std::error::Error;
use std::fmt;

use super::encode::{append_map, append_text, append_uint};
use super::reader::{Mismatch, Reader};

/// The method under which a side introduces itself.
pub const HELLO_METHOD: &str = "$/hello";

/// The version of the extensions that this crate speaks.
pub const HELLO_VERSION: u64 = 1;

/// A longer introduction is refused.
pub const MAX_HELLO_BYTES: usize = 4096;

/// An addition to plain MessagePack-RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Requests and notifications may carry [`Meta`](super::Meta).
    Meta,
    /// A caller says when it no longer waits for an answer.
    Cancel,
    /// Items beside parameters and answer.
    Streams,
    /// Signs of life.
    Ping,
    /// A side says that it takes no new calls.
    GoAway,
}

impl Extension {
    /// All of them.
    pub const ALL: [Extension; 5] =
        [Extension::Meta, Extension::Cancel, Extension::Streams, Extension::Ping, Extension::GoAway];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Meta => "meta",
            Extension::Cancel => "cancel",
            Extension::Streams => "streams",
            Extension::Ping => "ping",
            Extension::GoAway => "goaway",
        }
    }

    fn named(name: &str) -> Option<Extension> {
        Extension::ALL.into_iter().find(|extension| extension.name() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of extensions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionSet {
    bits: u8,
}

impl ExtensionSet {
    /// None: plain MessagePack-RPC.
    pub const PLAIN: ExtensionSet = ExtensionSet { bits: 0 };

    /// All that this crate knows.
    pub fn all() -> ExtensionSet {
        Extension::ALL.into_iter().collect()
    }

    /// Whether one is in it.
    pub fn contains(self, extension: Extension) -> bool {
        self.bits & extension.bit() != 0
    }

    /// Those that are in both.
    pub fn intersection(self, other: ExtensionSet) -> ExtensionSet {
        ExtensionSet { bits: self.bits & other.bits }
    }

    /// Whether none is in it.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL.into_iter().filter(move |extension| self.contains(*extension))
    }
}

impl FromIterator<Extension> for ExtensionSet {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> ExtensionSet {
        ExtensionSet { bits: extensions.into_iter().fold(0, |bits, extension| bits | extension.bit()) }
    }
}

impl fmt::Debug for ExtensionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Extension::name)).finish()
    }
}

/// What a side takes, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloLimits {
    /// The longest message in bytes.
    pub frame_bytes: u64,
    /// How many calls it runs at a time; 0 when it runs none.
    pub in_flight: u64,
    /// How many bytes of a stream may be sent to it before it grants more.
    pub window_bytes: u64,
}

impl HelloLimits {
    /// Of a side that does not say.
    pub const UNSAID: HelloLimits = HelloLimits { frame_bytes: u64::MAX, in_flight: u64::MAX, window_bytes: u64::MAX };

    /// The lower one of each.
    pub fn min(self, other: HelloLimits) -> HelloLimits {
        HelloLimits {
            frame_bytes: self.frame_bytes.min(other.frame_bytes),
            in_flight: self.in_flight.min(other.in_flight),
            window_bytes: self.window_bytes.min(other.window_bytes),
        }
    }
}

/// How a side introduces itself.
///
/// ```
/// use grapeshot_rpc::proto::{Extension, ExtensionSet, Hello, HelloLimits};
///
/// let limits = HelloLimits { frame_bytes: 1 << 20, in_flight: 16, window_bytes: 4096 };
/// let ours = Hello { name: "fish".to_owned(), extensions: ExtensionSet::all(), limits, ..Hello::default() };
/// let mut bytes = Vec::new();
/// ours.append(&mut bytes);
///
/// let theirs = Hello { extensions: [Extension::Meta].into_iter().collect(), ..Hello::default() };
/// let agreed = theirs.agree(&Hello::decode(&bytes).unwrap());
/// assert!(agreed.extensions.contains(Extension::Meta));
/// assert!(!agreed.extensions.contains(Extension::Ping));
/// assert_eq!(agreed.limits, limits);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which extensions it means by their names.
    pub version: u64,
    /// What it calls itself, for logs; nobody has checked it.
    pub name: String,
    /// What it can do beyond the plain protocol.
    pub extensions: ExtensionSet,
    /// What it takes.
    pub limits: HelloLimits,
}

impl Default for Hello {
    /// No name, no extensions, no limits.
    fn default() -> Hello {
        Hello {
            version: HELLO_VERSION,
            name: String::new(),
            extensions: ExtensionSet::PLAIN,
            limits: HelloLimits::UNSAID,
        }
    }
}

/// What two sides have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The extensions that both have named.
    pub extensions: ExtensionSet,
    /// The lower limit of each.
    pub limits: HelloLimits,
}

/// Why an introduction cannot be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// It has more bytes than [`MAX_HELLO_BYTES`].
    TooLarge {
        /// So many.
        bytes: usize,
    },
    /// It is no map, or, in a request, no array of one map.
    NotAMap,
    /// What it has under this key is of another type.
    WrongType {
        /// The key.
        key: &'static str,
    },
    /// It does not say its version, or 0.
    NoVersion,
}

impl Hello {
    /// Appends the map, which is also what a side answers with.
    pub fn append(&self, out: &mut Vec<u8>) {
        append_map(out, 4);
        append_text(out, "version");
        append_uint(out, self.version);
        append_text(out, "name");
        append_text(out, &self.name);
        append_text(out, "extensions");
        out.push(0x90 | self.extensions.iter().count() as u8);
        for extension in self.extensions.iter() {
            append_text(out, extension.name());
        }
        append_text(out, "limits");
        append_map(out, 3);
        append_text(out, "frame_bytes");
        append_uint(out, self.limits.frame_bytes);
        append_text(out, "in_flight");
        append_uint(out, self.limits.in_flight);
        append_text(out, "window_bytes");
        append_uint(out, self.limits.window_bytes);
    }

    /// Appends the parameters of the request: a list with the map.
    pub fn append_params(&self, out: &mut Vec<u8>) {
        out.push(0x91);
        self.append(out);
    }

    /// Reads the map. What is unknown in it is ignored, and what it leaves away is unlimited or not there.
    ///
    /// # Errors
    ///
    /// When it is not such a map.
    pub fn decode(bytes: &[u8]) -> Result<Hello, HelloError> {
        if bytes.len() > MAX_HELLO_BYTES {
            return Err(HelloError::TooLarge { bytes: bytes.len() });
        }
        read_hello(&mut Reader::new(bytes))
    }

    /// Reads the parameters of the request.
    ///
    /// # Errors
    ///
    /// As [`decode`](Hello::decode).
    pub fn decode_params(params: &[u8]) -> Result<Hello, HelloError> {
        if params.len() > MAX_HELLO_BYTES {
            return Err(HelloError::TooLarge { bytes: params.len() });
        }
        let mut reader = Reader::new(params);
        match reader.array() {
            Ok(1..) => read_hello(&mut reader),
            _ => Err(HelloError::NotAMap),
        }
    }

    /// What both sides may use from now on. Versions above ours keep the meaning of our names.
    pub fn agree(&self, other: &Hello) -> Agreement {
        Agreement { extensions: self.extensions.intersection(other.extensions), limits: self.limits.min(other.limits) }
    }
}

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, HelloError> {
    let mut hello = Hello { version: 0, ..Hello::default() };
    for_each_key(reader, |key, reader| {
        match key {
            "version" => hello.version = reader.uint().map_err(wrong("version"))?,
            "name" => hello.name = reader.text().map_err(wrong("name"))?.to_owned(),
            "extensions" => hello.extensions = read_extensions(reader).map_err(wrong("extensions"))?,
            "limits" => hello.limits = read_limits(reader)?,
            _ => drop(reader.value().map_err(|_| HelloError::NotAMap)?),
        }
        Ok(())
    })?;
    match hello.version {
        0 => Err(HelloError::NoVersion),
        _ => Ok(hello),
    }
}

fn read_extensions(reader: &mut Reader<'_>) -> Result<ExtensionSet, Mismatch> {
    let count = reader.array()?;
    let mut known = Vec::new();
    // As many as the bytes hold at most: each turn reads one or fails.
    for _ in 0..count {
        known.extend(Extension::named(reader.text()?));
    }
    Ok(known.into_iter().collect())
}

fn read_limits(reader: &mut Reader<'_>) -> Result<HelloLimits, HelloError> {
    let mut limits = HelloLimits::UNSAID;
    for_each_key(reader, |key, reader| {
        match key {
            "frame_bytes" => limits.frame_bytes = reader.uint().map_err(wrong("frame_bytes"))?,
            "in_flight" => limits.in_flight = reader.uint().map_err(wrong("in_flight"))?,
            "window_bytes" => limits.window_bytes = reader.uint().map_err(wrong("window_bytes"))?,
            _ => drop(reader.value().map_err(|_| HelloError::NotAMap)?),
        }
        Ok(())
    })?;
    Ok(limits)
}

/// Reads a map; `read` takes the value under each key, of which one that is no text counts as empty.
fn for_each_key<'a>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&str, &mut Reader<'a>) -> Result<(), HelloError>,
) -> Result<(), HelloError> {
    let pairs = reader.map().map_err(|_| HelloError::NotAMap)?;
    for _ in 0..pairs {
        let key = match reader.text() {
            Ok(key) => key,
            Err(_) => reader.value().map(|_| "").map_err(|_| HelloError::NotAMap)?,
        };
        read(key, reader)?;
    }
    Ok(())
}

fn wrong(key: &'static str) -> impl Fn(Mismatch) -> HelloError {
    move |_| HelloError::WrongType { key }
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HelloError::TooLarge { bytes } => {
                write!(f, "the introduction has {bytes} bytes, and {MAX_HELLO_BYTES} are the limit")
            }
            HelloError::NotAMap => f.write_str("the introduction is no map"),
            HelloError::WrongType { key } => write!(f, "the introduction has a value of a wrong type under {key}"),
            HelloError::NoVersion => f.write_str("the introduction does not say its version"),
        }
    }
}

impl Error for HelloError {}
