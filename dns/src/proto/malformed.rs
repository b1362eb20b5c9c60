//! What can be wrong with the bytes of a reply.

use std::{error, fmt};

use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::DecodeError;

use super::master;

/// Why the bytes are no reply: what, where and by which rule.
///
/// It is the peer's fault, or that of whoever forged the message. Each `at` is an offset from the first byte of the
/// message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MalformedReply {
    /// The message is shorter than the header, which takes 12 bytes (RFC 1035 §4.1.1).
    Header {
        /// How long the message is.
        length: usize,
    },
    /// The message is longer than the 65,535 bytes that TCP can frame (RFC 1035 §4.2.2).
    TooLong {
        /// How long the message is.
        length: usize,
    },
    /// The header announces more than one question (RFC 9619 §4).
    Questions {
        /// How many it announces.
        count: u16,
    },
    /// The question cannot be read.
    Question {
        /// Where it goes wrong.
        at: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// A record cannot be read.
    Record {
        /// The section that the record is in.
        section: Section,
        /// Which record of the section, from 0.
        index: usize,
        /// Where it goes wrong.
        at: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// Bytes follow that no count in the header accounts for.
    TrailingBytes {
        /// Where they begin.
        at: usize,
        /// How many there are.
        count: usize,
    },
}

/// What is wrong at one place of a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The message ends in the middle: it was cut, or a count in its header lies.
    CutShort,
    /// A name points to what is not an earlier name, so it may never end (RFC 1035 §4.1.4).
    Pointer {
        /// The offset that it points to.
        target: usize,
    },
    /// A name takes more than [`MAX_POINTERS`](super::reply::MAX_POINTERS) pointers.
    TooManyPointers,
    /// A label begins with bits that stand for neither a length nor a pointer (RFC 6891 §5).
    LabelKind {
        /// The byte.
        byte: u8,
    },
    /// A name takes more than 255 bytes (RFC 1035 §2.3.4).
    NameTooLong,
    /// The length of a record's data goes past the end of the message.
    DataLength {
        /// The length that the record gives.
        length: usize,
        /// How many bytes are left.
        left: usize,
    },
    /// The data is not what its type says.
    Data {
        /// The type of the record.
        record_type: RecordType,
        /// What is wrong with it.
        cause: DecodeError,
    },
    /// The record has another class than the Internet's (RFC 2181 §5).
    Class {
        /// The class.
        class: DNSClass,
    },
    /// There is an OPT record already (RFC 6891 §6.1.1).
    SecondOpt,
    /// An OPT record is outside the additional section (RFC 6891 §6.1.1).
    OptOutsideAdditional,
    /// The owner of an OPT record is not the root (RFC 6891 §6.1.2).
    OptOwner,
    /// An option's length goes past the end of its OPT record (RFC 6891 §6.1.2).
    OptionLength {
        /// The code of the option.
        code: u16,
    },
}

/// A section of a reply (RFC 1035 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Records that answer the question.
    Answer,
    /// Records that point to an authority.
    Authority,
    /// Records that may help.
    Additional,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "answer",
            Self::Authority => "authority",
            Self::Additional => "additional",
        })
    }
}

impl fmt::Display for MalformedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { length } => write!(f, "{length} bytes are no DNS message, whose header alone takes 12"),
            Self::TooLong { length } => write!(f, "{length} bytes are more than a DNS message may have"),
            Self::Questions { count } => write!(f, "the reply has {count} questions"),
            Self::Question { at, fault } => write!(f, "the question is malformed at byte {at}: {fault}"),
            Self::Record { section, index, at, fault } => {
                write!(f, "record {index} of the {section} section is malformed at byte {at}: {fault}")
            }
            Self::TrailingBytes { at, count } => {
                write!(f, "{count} bytes follow the last record, which ends at byte {at}")
            }
        }
    }
}

impl error::Error for MalformedReply {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Question { fault, .. } | Self::Record { fault, .. } => match fault {
                Fault::Data { cause, .. } => Some(cause),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("the message ends in the middle"),
            Self::Pointer { target } => write!(f, "a name points to byte {target}, where no earlier name is"),
            Self::TooManyPointers => f.write_str("a name takes too many pointers"),
            Self::LabelKind { byte } => write!(f, "no label begins with byte {byte:#04x}"),
            Self::NameTooLong => f.write_str("a name takes more than 255 bytes"),
            Self::DataLength { length, left } => {
                write!(f, "the record's data is said to take {length} bytes, and {left} are left")
            }
            Self::Data { record_type, cause } => {
                write!(f, "the data of a record of type {} is wrong: {cause}", master::type_name(*record_type))
            }
            Self::Class { class } => write!(f, "the record's class is {}, not IN", u16::from(*class)),
            Self::SecondOpt => f.write_str("a second OPT record"),
            Self::OptOutsideAdditional => f.write_str("an OPT record outside the additional section"),
            Self::OptOwner => f.write_str("an OPT record that does not belong to the root"),
            Self::OptionLength { code } => write!(f, "EDNS option {code} is longer than its OPT record"),
        }
    }
}
