//! Connecting by name: whoever answers first, in the order of RFC 6724 and at the pace of RFC 8305.
//!
//! ```text
//!   lookup ── addresses of a family ──┐                       ┌─ the first connection ─► the others are closed
//!   (a coroutine)                     ├─► Race ─► attempts ───┤
//!   attempts ─── ends ────────────────┘  (a coroutine each)   └─ all failed ─► ConnectError names each
//! ```
//!
//! # Invariants
//!
//! - When a call returns, or unwinds, no attempt of its is left: they are children of its scope, and their sockets are closed.
//! - A call ends at its limit, lookup included; an attempt ends at its own.
//! - Numbers are no names: nobody is asked for them.
//!
//! # What is absent
//!
//! Proxies, and a memory of which address was fast.
//!
//! Sources: RFC 8305, RFC 6724, RFC 2782.

mod driver;
mod error;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use grapeshot_core::now;
use grapeshot_net::TcpStream;

pub use self::error::{ConnectError, ConnectErrorKind, FailedAttempt};
use crate::error::LookupError;
#[cfg(doc)]
use crate::error::LookupErrorKind;
use crate::lookup::Lookup;
use crate::proto::{Family, HostAddress, RaceOptions, RecordType, Srv};
use crate::question::Call;
use crate::resolver::Resolver;
use crate::system::network;
use crate::trace::Tracer;

/// How a host is connected to.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_dns::ConnectOptions;
///
/// let options = ConnectOptions { timeout: Duration::from_secs(5), ..ConnectOptions::default() };
/// assert_eq!(options.race.attempt_delay, Duration::from_millis(250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// How long all may take, the lookup included; 30 s unless set.
    pub timeout: Duration,
    /// How long one attempt may take; 10 s unless set.
    pub attempt_timeout: Duration,
    /// Which addresses are tried; all unless set.
    pub family: Family,
    /// When each is tried.
    pub race: RaceOptions,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            family: Family::Any,
            race: RaceOptions::default(),
        }
    }
}

/// Connects to a host by its name, as the system's files say, or by its address.
///
/// This is [`Resolver::connect`] of [`Resolver::of_thread`].
///
/// # Errors
///
/// As [`Resolver::connect`].
///
/// # Cancellation
///
/// As [`Resolver::connect`].
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
/// use grapeshot_dns::connect;
/// use grapeshot_net::TcpListener;
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let port = listener.local_addr().unwrap().port();
///     let server = spawn(move || listener.accept().map(|_| ()));
///     let stream = connect("127.0.0.1", port).unwrap();
///     assert_eq!(stream.peer_addr().unwrap().port(), port);
///     server.join().unwrap().unwrap();
/// });
/// ```
pub fn connect(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    Resolver::of_thread().connect(host, port)
}

impl Resolver {
    /// Connects to a host by its name or its address, whichever of its addresses answers first.
    ///
    /// The addresses are tried in the order of RFC 6724 and at the pace of RFC 8305; those that lose are closed.
    /// An address may stand in brackets, as in a URL. Suspends.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which names every address that was tried and why it failed.
    ///
    /// # Cancellation
    ///
    /// Unwinds; all attempts are closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::{Config, ConnectErrorKind, Resolver};
    /// use grapeshot_net::TcpListener;
    ///
    /// test::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    ///     let port = listener.local_addr().unwrap().port();
    ///     // Where ::1 refuses, 127.0.0.1 is tried at once.
    ///     let stream = Resolver::new(Config::default()).connect("localhost", port).unwrap();
    ///     assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    /// });
    /// ```
    pub fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        self.connect_with(host, port, &ConnectOptions::default())
    }

    /// As [`connect`](Self::connect), with other limits.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancellation
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_with(&self, host: &str, port: u16, options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
        let target = driver::Target { host, port, options };
        if let Some(address) = parse_numeric(host) {
            return match network::socket_address(&address, port) {
                Some(address) if options.family.includes(address.ip()) => target.connect_to(&[address]),
                _ => Err(target.error(ConnectErrorKind::NoAddress)),
            };
        }
        target.race(|heard| self.addresses_as_heard(&target, heard))
    }

    /// Connects to a service by its SRV records: to the first of its servers that can be connected to (RFC 2782).
    ///
    /// `name` has the form `_service._protocol.domain`, and the records say which hosts and ports. They are tried one after
    /// the other, by priority and by lots among equals; each as [`connect`](Self::connect) does it. Suspends.
    /// What to do for a domain without such records is for the caller to say: the error's kind tells.
    ///
    /// # Errors
    ///
    /// [`ConnectErrorKind::Lookup`] if there are no records, or one that says that the service is not offered
    /// ([`LookupErrorKind::NoService`]); [`ConnectErrorKind::Servers`] with the error of each server;
    /// [`ConnectErrorKind::TimedOut`] if the limit was reached before a server could be tried.
    ///
    /// # Cancellation
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::{Config, ConnectErrorKind, ConnectOptions, Resolver};
    ///
    /// test::run(|| {
    ///     let resolver = Resolver::new(Config::default());
    ///     let error = resolver.connect_service("_imap._tcp.example.invalid", &ConnectOptions::default()).unwrap_err();
    ///     assert!(matches!(error.kind(), ConnectErrorKind::Lookup(_)));
    /// });
    /// ```
    pub fn connect_service(&self, name: &str, options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
        let began = now();
        let servers =
            self.service(name).map_err(|error| ConnectError::new(name, None, ConnectErrorKind::Lookup(error)))?;
        let mut failed = Vec::new();
        for Srv { port, target, .. } in servers {
            let left = options.timeout.saturating_sub(now() - began);
            if left.is_zero() {
                break;
            }
            match self.connect_with(&target.to_ascii(), port, &ConnectOptions { timeout: left, ..*options }) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed.push(error),
            }
        }
        let kind = match failed.is_empty() {
            true => ConnectErrorKind::TimedOut { limit: options.timeout },
            false => ConnectErrorKind::Servers(failed),
        };
        Err(ConnectError::new(name, None, kind))
    }

    /// Looks up a host, and tells of the addresses of each family as soon as they are known.
    fn addresses_as_heard(
        &self,
        target: &driver::Target<'_>,
        heard: &driver::Heard<'_>,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        let known = RefCell::new(Vec::new());
        let call = self.call(Tracer::OFF);
        let tell = |found: &Lookup| {
            let mut addresses = known.borrow().clone();
            addresses.extend(found.addresses().map(|address| SocketAddr::new(address, target.port)));
            call.sort(&mut addresses);
            known.replace(addresses.clone());
            let is_v4 = found.record_type() == Some(RecordType::A);
            heard(if is_v4 { Family::V4 } else { Family::V6 }, addresses);
        };
        let host = Call { heard: Some(&tell), ..call.clone() }.resolve(target.host, target.options.family)?;
        Ok(host.socket_addresses(target.port))
    }
}

fn parse_numeric(host: &str) -> Option<HostAddress> {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(inside) => HostAddress::parse(inside).filter(|address| address.ip.is_ipv6()),
        None => HostAddress::parse_typed(host),
    }
}
