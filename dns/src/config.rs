//! What a resolver is told: whom to ask, how often, how long, and in which form.
//!
//! A [`Config`] is a plain value. It comes from [`System`](crate::System), which reads resolv.conf, or from the program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;

/// The port that name servers listen on for UDP and TCP (RFC 1035, section 4.2).
pub const DNS_PORT: u16 = 53;

/// The port that name servers listen on for TLS (RFC 7858, section 3.1).
pub const DNS_OVER_TLS_PORT: u16 = 853;

/// The size of a reply over UDP that is asked for: it passes a path of 1280 bytes in one piece (RFC 9715, appendix A).
pub const EDNS_SIZE: u16 = 1232;

/// A server to ask.
///
/// # Examples
///
/// ```
/// use std::net::Ipv4Addr;
/// use grapeshot_dns::NameServer;
///
/// let server = NameServer::from(Ipv4Addr::new(192, 0, 2, 53));
/// assert_eq!(server.address.port(), 53);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameServer {
    /// Where it listens. A link-local IPv6 address carries its zone as the scope id.
    pub address: SocketAddr,
    /// The name its certificate must show, which asks for DNS over TLS (RFC 8310, section 8.1); `None` for plain DNS.
    pub tls_name: Option<String>,
}

impl NameServer {
    /// A server that is asked over TLS, and has to prove that it is `name`.
    pub fn over_tls(address: SocketAddr, name: impl Into<String>) -> NameServer {
        NameServer { address, tls_name: Some(name.into()) }
    }
}

impl From<SocketAddr> for NameServer {
    fn from(address: SocketAddr) -> NameServer {
        NameServer { address, tls_name: None }
    }
}

/// On port 53.
impl From<IpAddr> for NameServer {
    fn from(address: IpAddr) -> NameServer {
        NameServer::from(SocketAddr::new(address, DNS_PORT))
    }
}

/// On port 53.
impl From<Ipv4Addr> for NameServer {
    fn from(address: Ipv4Addr) -> NameServer {
        NameServer::from(IpAddr::V4(address))
    }
}

/// Whom a resolver asks, and how.
///
/// The names and defaults are those of resolv.conf(5), with one exception: EDNS is on.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::Config;
///
/// let config = Config { ndots: 2, ..Config::with_servers(["192.0.2.53:53".parse().unwrap()]) };
/// assert_eq!(config.servers.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers, in the order they are asked; one on this machine unless set.
    pub servers: Vec<NameServer>,
    /// What is appended to a name that does not end in a dot, in this order; nothing unless set.
    pub search: Vec<Name>,
    /// A name with at least so many dots is asked for as it is before `search` is tried; 1 unless set.
    pub ndots: usize,
    /// How long one server has to answer one query; 5 s unless set.
    pub timeout: Duration,
    /// How often all servers are asked before the lookup fails; 2 unless set.
    pub attempts: u32,
    /// Whether lookups begin with each server in turn, and not always with the first.
    pub rotate: bool,
    /// Whether queries go over TCP from the start (`use-vc`).
    pub use_tcp: bool,
    /// The size of a UDP reply that is asked for by EDNS (RFC 6891); `None` for no EDNS. 1232 unless set.
    pub edns_size: Option<u16>,
    /// Whether A and AAAA are asked for one after the other, for servers and firewalls that lose the second of two.
    pub single_request: bool,
    /// Whether AAAA is not asked for at all when a host is resolved (`no-aaaa`).
    pub no_aaaa: bool,
    /// Whether the server is trusted to have validated, so that its AD bit is asked for and passed on (RFC 6840, section 5.7).
    pub trust_ad: bool,
    /// Whether the letters of a query are sent in random case, and the reply must repeat them.
    pub random_case: bool,
    /// Whether cookies are sent and checked (RFC 7873).
    pub cookies: bool,
}

impl Config {
    /// The defaults, with these servers.
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> Config {
        Config { servers: servers.into_iter().map(NameServer::from).collect(), ..Config::default() }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            servers: vec![NameServer::from(Ipv4Addr::LOCALHOST)],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
            edns_size: Some(EDNS_SIZE),
            single_request: false,
            no_aaaa: false,
            trust_ad: false,
            random_case: false,
            cookies: false,
        }
    }
}
