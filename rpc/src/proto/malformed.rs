//! What can be wrong with a message, and who has to hear of it.

use std::error::Error;
use std::fmt;

/// A message that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedMessage {
    /// What is wrong.
    pub fault: MessageFault,
    /// Where, in bytes from the start of the message.
    pub at: usize,
    /// Who has to hear of it.
    pub concerns: Concerns,
}

/// Who has to hear that a message is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// The peer, which waits for the answer to this call of its own. The connection goes on.
    Request(u32),
    /// Whoever waits here for the answer to this call. The connection goes on.
    Response(u32),
    /// Nobody: the message is dropped, and the connection goes on.
    Nobody,
    /// All who use the connection: it cannot go on, as nothing says any longer where messages begin,
    /// or as somebody waits for an answer whom nobody can name.
    Connection,
}

/// What is wrong with a message.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// It is no array. Most likely the peer speaks another protocol.
    NotAnArray,
    /// It is an empty array, or its first element is not the number of a type.
    NoType,
    /// There is no such type of message.
    UnknownType {
        /// The type.
        kind: u64,
    },
    /// It has too few or too many elements for its type.
    Arity {
        /// So many.
        found: usize,
    },
    /// The id is not an unsigned number of 32 bits.
    Id,
    /// The method is not text.
    Method,
    /// The method is text that is not UTF-8.
    MethodNotUtf8,
    /// The parameters are not an array.
    Params,
    /// The metadata are not a map.
    Meta,
    /// A grant or a ping does not carry an unsigned number.
    Number,
    /// It ends within a value, so it is not what a scanner found.
    Truncated,
    /// More bytes follow its end, so it is not what a scanner found.
    Trailing {
        /// So many.
        bytes: usize,
    },
    /// A value begins with 0xc1, which MessagePack never uses.
    Reserved,
}

impl fmt::Display for MalformedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the message)", self.fault, self.at)
    }
}

impl fmt::Display for MessageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            MessageFault::NotAnArray => "a message is an array, and this is none",
            MessageFault::NoType => "a message begins with the number of its type",
            MessageFault::UnknownType { kind } => return write!(f, "there is no message of the type {kind}"),
            MessageFault::Arity { found } => return write!(f, "a message of this type does not have {found} elements"),
            MessageFault::Id => "the id of a call is an unsigned number of 32 bits",
            MessageFault::Method => "the method is text",
            MessageFault::MethodNotUtf8 => "the method is not UTF-8",
            MessageFault::Params => "the parameters are an array",
            MessageFault::Meta => "the metadata are a map",
            MessageFault::Number => "an unsigned number is missing",
            MessageFault::Truncated => "it ends within a value",
            MessageFault::Trailing { bytes } => return write!(f, "{bytes} bytes follow its end"),
            MessageFault::Reserved => "no value begins with 0xc1",
        };
        f.write_str(what)
    }
}

impl Error for MalformedMessage {}
