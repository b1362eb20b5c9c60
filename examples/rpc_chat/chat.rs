//! What either side can ask of the other.

use std::fmt;

use grapeshot::rpc;
use grapeshot::rpc::{Context, ServiceError};

/// The server's side. `RoomService` and `RoomClient` are made of it.
#[rpc::service]
pub(crate) trait Room {
    /// Comes in under a name, and answers with the names of all who are there.
    fn join(&self, context: &Context, name: &str) -> Result<Vec<String>, ChatError>;

    /// Says something to all others.
    fn speak(&self, text: &str) -> Result<(), ChatError>;
}

/// A client's side. `EarService` and `EarClient` are made of it.
#[rpc::service]
pub(crate) trait Ear {
    /// Somebody says something. A call and no notification: its answer tells the server that this client keeps up.
    fn say(&self, from: &str, text: &str);
}

/// What the server does not do, and why.
#[derive(Debug, PartialEq, ServiceError)]
pub(crate) enum ChatError {
    #[rpc(code = 1)]
    NameTaken { name: String },
    #[rpc(code = 2)]
    NoName { longest: usize },
    #[rpc(code = 3)]
    NotHere,
    #[rpc(code = 4)]
    RoomFull { people: usize },
    #[rpc(code = 5)]
    TooLong { bytes: usize, limit: usize },
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChatError::NameTaken { name } => write!(f, "somebody here is {name} already"),
            ChatError::NoName { longest } => write!(f, "a name is one to {longest} letters and digits"),
            ChatError::NotHere => f.write_str("you are not in the room, or no longer: you were too many lines behind"),
            ChatError::RoomFull { people } => write!(f, "the room is full: {people} people are in it"),
            ChatError::TooLong { bytes, limit } => write!(f, "that has {bytes} bytes, and {limit} are the limit"),
        }
    }
}
