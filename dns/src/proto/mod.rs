//! Names, questions and answers, without I/O: bytes to meaning and back.

mod query;
mod reply;
mod outcome;
mod edns;
mod cookie;
mod rcode;
mod name;
mod master;
mod malformed;
mod wire;

pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};

pub use self::cookie::{CLIENT_COOKIE_LENGTH, Cookie};
pub use self::edns::{Edns, ExtendedError};
pub use self::malformed::{Fault, MalformedReply, Section};
pub use self::master::type_name;
pub use self::name::is_within;
pub use self::outcome::{Alias, Answer, MAX_ALIASES, Negative, Outcome, Referral};
pub use self::query::{DEFAULT_EDNS_SIZE, Query, QueryOptions};
pub use self::rcode::rcode_name;
pub use self::reply::{MAX_POINTERS, Reply};
