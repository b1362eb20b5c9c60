//! Several endpoints behind one caller: which of them gets a call, and which gets none as it fails.
//!
//! ```text
//!   Retrying::across ── goes on to another endpoint when a call certainly did not run, or may run twice
//!        │
//!     Balancer ◄── EndpointSource: a list, ServiceRecords (DNS SRV), or one of your own; asked again as it says
//!        │ ├── Policy: which of those that take calls, by priority, weight and load
//!        │ └── breaker of each endpoint: ejected when it fails, back by a probe
//!        ▼
//!   Retrying::beneath ── one for each endpoint: numbers, with which a lost call is asked for again at the same server
//!        ▼
//!      Pool ── several connections to one endpoint, if one is not enough
//!        ▼
//!   Reconnecting ── one connection, made when it is needed and made again when it was lost
//!        ▼
//!      Client
//! ```
//!
//! Each of them is a [`Caller`](crate::Caller), does one thing, and can be left out.
//!
//! # Which guarantee holds
//!
//! | a call is | a server is killed, or its connection lost | it runs |
//! |---|---|---|
//! | [`Never`](crate::Repeat::Never) repeated | before it was sent: goes on to another endpoint; after: `OutcomeUnknown` | at most once |
//! | [`Idempotent`](crate::Repeat::Idempotent) | goes on to another endpoint in any case | at least once, if it succeeds |
//! | [`Sequenced`](crate::Repeat::Sequenced) | asked for again at the same server while it is the same process, which then gives the reply that it kept; else `OutcomeUnknown` | at most once |
//!
//! The kept replies of a server die with it. A numbered call that may have run there is therefore not made anywhere else,
//! and not on the process that follows it at the same address either, which does not know the client's id:
//! its caller hears that the outcome is unknown, and nothing claims more.
//! Before a server that keeps no replies ([`AtMostOnce`](crate::replies::AtMostOnce)) a sequenced call is as one that is
//! never repeated.
//!
//! # Ejection
//!
//! Each endpoint has a circuit breaker. Failures in a row, or too few successes in a while, open it ([`BreakerOptions`];
//! what counts as a failure is the table of [`Verdict`]), and the endpoint gets no calls. When the time is over it gets
//! one call at a time as a probe: a success brings it back, and a failure ejects it for twice as long.
//! Only a share of the endpoints is ejected at a time ([`BalancerOptions::ejected_percent`]).
//! A circuit breaker of a single endpoint is a balancer of it, with that share set to 100.
//!
//! # What is absent
//!
//! Checks of endpoints that get no calls, locality, subsets for very many clients, and consistent hashing.

mod balancer;
mod policy;
mod endpoint;
mod service_record;
mod refresh;
mod members;
mod state;
mod error;
mod breaker;
mod window;
mod hedge;
mod latency;

pub use self::balancer::{Balancer, BalancerOptions};
pub use self::breaker::{BreakerOptions, Verdict};
pub use self::endpoint::{Endpoint, EndpointSource, Found, MAX_ENDPOINTS};
pub use self::error::{AllEndpointsFailed, MAX_KEPT_TEXT};
pub use self::hedge::{HedgeCounts, HedgeDelay, HedgeOptions, MAX_HEDGED_METHODS, MIN_HEDGE_DELAY};
pub use self::policy::Policy;
pub use self::refresh::{MAX_FIND_TIME, MIN_FIND_PAUSE};
pub use self::service_record::{MAX_REFRESH, MIN_REFRESH, ServiceRecords};
pub use self::state::{EndpointState, Standing};
