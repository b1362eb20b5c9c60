//! Finds where a message ends that comes in pieces, and refuses what is too large or too deep before it has come.
//!
//! A message is one MessagePack value. The scanner looks at heads only, steps over bodies, and keeps its place:
//! however small the pieces are, each head is read once (or twice, when its own bytes come apart).
//! It uses no recursion; its only memory is one count for each container that is open, of which the limit on depth
//! allows so many.
//!
//! A length that lies is refused at its head. A body counts against the limit on bytes as soon as its head is read,
//! and each value that a container announces counts as the one byte that it has at least.

use std::error::Error;
use std::fmt;

use super::head::{Head, head};

/// How far the first message in a buffer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// It is whole and has so many bytes. The scanner is ready for the next one.
    Complete(usize),
    /// It is not: come again with the same bytes and more.
    NeedMore,
}

/// Why bytes are no message that is allowed. No boundary of messages can be found after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// The message is longer than the limit, or announces values that would make it so.
    TooLarge {
        /// Where the head stands that says so, in bytes from the start of the message.
        at: usize,
        /// The bytes that the message would have at least.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Arrays and maps lie in each other more deeply than the limit.
    TooDeep {
        /// Where the first one begins that is too deep.
        at: usize,
        /// The limit.
        limit: usize,
    },
    /// A value begins with the byte 0xc1, which MessagePack never uses.
    Reserved {
        /// Where it stands.
        at: usize,
    },
}

/// Finds the ends of messages, one after the other.
///
/// ```
/// use grapeshot_rpc::proto::{Scan, Scanner};
///
/// let mut scanner = Scanner::new(1024, 8);
/// let message = [0x94, 0x00, 0x01, 0xa3, b'n', b'o', b'p', 0x90];
/// assert_eq!(scanner.scan(&message[..5]), Ok(Scan::NeedMore));
/// assert_eq!(scanner.scan(&message), Ok(Scan::Complete(8)));
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    max_bytes: usize,
    max_depth: usize,
    place: Place,
    /// How many values each container around the innermost lacks, from the outermost on, with the one that is open.
    around: Vec<usize>,
}

/// Where the scanner is, apart from what lies around it.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where the next head begins; beyond the bytes that are there while a body is on its way.
    next: usize,
    /// The bytes that the message has at least: those before `next`, and one for each value that is announced
    /// and lacking.
    least: usize,
    /// How many values the innermost container lacks; with none open, whether the message itself does.
    lacking: usize,
}

impl Place {
    const START: Place = Place { next: 0, least: 1, lacking: 1 };
}

impl Scanner {
    /// A scanner for messages of at most so many bytes, in which at most so many arrays and maps lie in each other.
    ///
    /// The message's own array counts as one, and that of its parameters as another.
    pub fn new(max_bytes: usize, max_depth: usize) -> Scanner {
        Scanner { max_bytes, max_depth, place: Place::START, around: Vec::new() }
    }

    /// Changes the limit on bytes, such as after the peer has named its own.
    /// It holds for the message that has begun, too.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Goes on with the message whose bytes, so far as they have come, are `bytes`: always from its first one.
    ///
    /// # Errors
    ///
    /// When the message breaks a limit or is no MessagePack. The same call gives the same error again.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scan, ScanError> {
        // A copy, which stays in registers: most messages have few values, and each costs a few instructions.
        let mut place = self.place;
        let scanned = self.advance(&mut place, bytes);
        self.place = match scanned {
            Ok(Scan::Complete(_)) => Place::START,
            _ => place,
        };
        scanned
    }

    #[inline]
    fn advance(&mut self, place: &mut Place, bytes: &[u8]) -> Result<Scan, ScanError> {
        while place.lacking > 0 {
            let Some(rest) = bytes.get(place.next..) else {
                return Ok(Scan::NeedMore);
            };
            match head(rest) {
                // It was counted when it was announced.
                Head::Scalar(1) => {
                    place.next += 1;
                    place.lacking -= 1;
                }
                Head::Scalar(length) => {
                    self.pass(place, length, 0)?;
                    place.lacking -= 1;
                }
                Head::Container { head, values } => self.open(place, head, values)?,
                Head::Short => return Ok(Scan::NeedMore),
                Head::Reserved => return Err(ScanError::Reserved { at: place.next }),
            }
            while place.lacking == 0
                && let Some(around) = self.around.pop()
            {
                place.lacking = around - 1;
            }
        }
        if place.next > bytes.len() {
            return Ok(Scan::NeedMore);
        }
        // Nothing may have been checked since the limit was lowered.
        if place.least > self.max_bytes {
            return Err(ScanError::TooLarge { at: place.next, bytes: place.least, limit: self.max_bytes });
        }
        Ok(Scan::Complete(place.next))
    }

    #[inline]
    fn open(&mut self, place: &mut Place, head: usize, values: usize) -> Result<(), ScanError> {
        if self.around.len() >= self.max_depth {
            return Err(ScanError::TooDeep { at: place.next, limit: self.max_depth });
        }
        self.pass(place, head, values)?;
        self.around.push(place.lacking);
        place.lacking = values;
        Ok(())
    }

    /// Steps over a value's bytes, or over a container's head, which announces so many values.
    #[inline]
    fn pass(&self, place: &mut Place, length: usize, values: usize) -> Result<(), ScanError> {
        // The value itself was counted as one byte, when it was announced.
        let least = place.least.saturating_add(length - 1).saturating_add(values);
        if least > self.max_bytes {
            return Err(ScanError::TooLarge { at: place.next, bytes: least, limit: self.max_bytes });
        }
        place.least = least;
        place.next = place.next.saturating_add(length);
        Ok(())
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::TooLarge { at, bytes, limit } => {
                write!(f, "the message has {bytes} bytes or more, as byte {at} says, and {limit} are the limit")
            }
            ScanError::TooDeep { at, limit } => {
                write!(f, "more than {limit} arrays and maps lie in each other at byte {at} of the message")
            }
            ScanError::Reserved { at } => {
                write!(f, "byte {at} of the message is 0xc1, with which no MessagePack value begins")
            }
        }
    }
}

impl Error for ScanError {}
