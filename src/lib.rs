//! Network programs that read as if every call blocked, served by one event loop.
#![forbid(unsafe_code)]

pub use grapeshot_core::*;
pub use grapeshot_dns as dns;
pub use grapeshot_http as http;
pub use grapeshot_net as net;
pub use grapeshot_rpc as rpc;
#[cfg(feature = "tls")]
pub use grapeshot_tls as tls;

/// README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
