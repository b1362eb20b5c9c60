//! Names, questions and answers, without I/O: bytes to meaning and back.
//!
//! ```text
//!   a name as typed ─► parse_name ─► Search, Special, Hosts ─► Query ─► bytes to a server
//!                                                                           │
//!   records_of, service_order, sort_addresses ◄─ Cache ◄─ Outcome ◄─ Reply ◄┘ bytes from a server
//!                     │
//!                     └─► Race: which address is tried when          present_record: for people to read
//! ```
//!
//! Nothing here reads, writes, waits, looks at a clock, or draws random numbers: contents of files, points in time and
//! seeds are arguments. hickory-proto decodes the data of records, and its types are those of this interface; what is
//! around the data (the header, the walk over names, OPT records) is read here, with the place of every fault.
//!
//! # Invariants
//!
//! - Bytes of a peer never panic, and never take more than a few steps for each of them: a name takes at most
//!   [`MAX_POINTERS`] pointers, a chain at most [`MAX_ALIASES`] aliases, and a count is believed as far as there are
//!   bytes for it.
//! - Parsing does not judge. A [`Reply`] is what the bytes say; [`Reply::belongs_to`] tells whose it is, and only then
//!   [`Reply::outcome`] what it means.
//! - What is written as text is read again as the same, and has no control characters.
//!
//! # What is absent
//!
//! Zones, transfers, updates, signatures (TSIG, DNSSEC), and any class but the Internet's.
//!
//! # Reading order
//!
//! The modules below, from top to bottom: messages, records and names first, then the system's files and orders, then
//! the cache.

mod query;
mod reply;
mod outcome;
mod edns;
mod cookie;
mod rcode;
mod name;
mod records;
mod service_binding;
mod service_order;
mod master;
mod malformed;
mod wire;
mod host_address;
mod hosts;
mod resolv_conf;
mod nsswitch;
mod search;
mod special;
mod address_order;
mod policy_table;
mod interfaces;
mod race;
mod request;
mod cache;
mod cache_key;
mod least_recent;

pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};

pub use self::address_order::{SourceAddress, sort_addresses};
pub use self::cache::{
    Cache, CacheCounts, CacheLimits, CachedAbsence, CachedRecords, Found, MAX_CACHED_ALIASES, MAX_FAILURE_TTL,
    MIN_FAILURE_TTL,
};
pub use self::cache_key::Key;
pub use self::cookie::{CLIENT_COOKIE_LENGTH, Cookie, CookieState, CookieVerdict};
pub use self::edns::{Edns, ExtendedError, MAX_EXTENDED_ERROR_TEXT, MAX_EXTENDED_ERRORS};
pub use self::host_address::{Family, HostAddress};
pub use self::hosts::{Hosts, HostsEntry, MAX_NAMES};
pub use self::interfaces::{LocalAddresses, MAX_LOCAL_ADDRESSES};
pub use self::malformed::{Fault, MalformedReply, Section};
pub use self::master::{
    Presentation, Style, TextStyle, parse_type, present_data, present_name, present_record, type_name,
};
pub use self::name::{MAX_NAME_TEXT, NameError, is_within, parse_name, reverse_address, reverse_name};
pub use self::nsswitch::{HostsOrder, MAX_SOURCES, NameSource, SourceStatus, Step};
pub use self::outcome::{Alias, Answer, MAX_ALIASES, Negative, Outcome, Referral};
pub use self::policy_table::{MAX_POLICIES, PolicyTable};
pub use self::query::{Query, QueryOptions};
pub use self::race::{MIN_ATTEMPT_DELAY, Race, RaceOptions, RaceStep};
pub use self::rcode::rcode_name;
pub use self::records::{Caa, Cname, Mx, Ns, Ptr, RecordData, Soa, Srv, Txt, records_of};
pub use self::reply::{MAX_POINTERS, Reply};
pub use self::request::{BadRequest, Request, Response};
pub use self::resolv_conf::{MAX_ATTEMPTS, MAX_NDOTS, MAX_SEARCH, MAX_SERVERS, MAX_TIMEOUT, ResolvConf, ServerLine};
pub use self::search::{Search, SearchStep};
pub use self::service_binding::{Https, ServiceBinding, ServiceBindings, service_bindings};
pub use self::service_order::{MAX_SERVICE_TARGETS, service_order};
pub use self::special::{LOOPBACK, Special};
