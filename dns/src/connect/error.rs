//! Why there is no connection: every address that was tried, and what came of it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::error::{LookupError, LookupErrorKind};

/// Why there is no connection to a host: which addresses were tried, and what each said.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::{Config, ConnectErrorKind, Resolver};
///
/// test::run(|| {
///     let error = Resolver::new(Config::default()).connect("www.invalid", 80).unwrap_err();
///     assert!(matches!(error.kind(), ConnectErrorKind::Lookup(_)));
///     assert!(error.to_string().starts_with("cannot connect to www.invalid, port 80: no such name: www.invalid."));
///     // A program that ends with it says the same.
///     assert_eq!(format!("{error:?}"), format!("ConnectError({error})"));
/// });
/// ```
pub struct ConnectError {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) kind: ConnectErrorKind,
    pub(super) attempts: Vec<FailedAttempt>,
}

/// What kind of failure kept a connection from coming about.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// The host has no addresses, as far as could be found out.
    Lookup(LookupError),
    /// The host has no addresses of the family asked for, or its zone is no interface of this machine.
    NoAddress,
    /// None of the addresses could be connected to; [`ConnectError::attempts`] has the reasons.
    AllFailed,
    /// There was no connection within the limit, and not all attempts had ended.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// No coroutine could be had to do the work in.
    NoCoroutine(io::Error),
    /// None of the servers of a service could be connected to; these are their errors, in the order they were tried.
    Servers(Vec<ConnectError>),
}

/// An address that was tried without success.
#[derive(Debug)]
pub struct FailedAttempt {
    /// The address.
    pub address: SocketAddr,
    /// What the system said; of kind `TimedOut` when the attempt met a limit, of its own or of the whole.
    pub error: io::Error,
    /// How long it took.
    pub took: Duration,
}

impl ConnectError {
    pub(super) fn new(host: &str, port: impl Into<Option<u16>>, kind: ConnectErrorKind) -> ConnectError {
        ConnectError { host: host.to_owned(), port: port.into(), kind, attempts: Vec::new() }
    }

    /// The host or the service, as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; `None` for a service, whose servers have one each.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> &ConnectErrorKind {
        &self.kind
    }

    /// The addresses that were tried, in the order in which their attempts ended.
    pub fn attempts(&self) -> &[FailedAttempt] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ", port {port}")?;
        }
        f.write_str(": ")?;
        match &self.kind {
            ConnectErrorKind::Lookup(error) => error.fmt(f)?,
            ConnectErrorKind::NoAddress => f.write_str("it has no address that could be tried")?,
            ConnectErrorKind::AllFailed => f.write_str("no address could be reached")?,
            ConnectErrorKind::TimedOut { limit } => write!(f, "not within the time limit of {limit:?}")?,
            ConnectErrorKind::NoCoroutine(error) => error.fmt(f)?,
            ConnectErrorKind::Servers(servers) => {
                f.write_str("none of its servers could be reached")?;
                for server in servers {
                    write!(f, "; {server}")?;
                }
            }
        }
        for (number, FailedAttempt { address, error, took }) in self.attempts.iter().enumerate() {
            let before = if number == 0 { ": " } else { "; " };
            write!(f, "{before}{address}: {error} after {took:.0?}")?;
        }
        Ok(())
    }
}

/// As for people: a program that ends with an error shows it in this form.
impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectError({self})")
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            ConnectErrorKind::Lookup(error) => Some(error),
            ConnectErrorKind::NoCoroutine(error) => Some(error),
            ConnectErrorKind::Servers(servers) => servers.last().map(|server| server as &(dyn Error + 'static)),
            _ => self.attempts.last().map(|attempt| &attempt.error as &(dyn Error + 'static)),
        }
    }
}

impl ConnectError {
    /// What std would call it.
    fn io_kind(&self) -> io::ErrorKind {
        match &self.kind {
            ConnectErrorKind::Lookup(lookup) => match lookup.kind() {
                LookupErrorKind::NoSuchName | LookupErrorKind::NoData => io::ErrorKind::NotFound,
                LookupErrorKind::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::Other,
            },
            ConnectErrorKind::NoAddress => io::ErrorKind::AddrNotAvailable,
            ConnectErrorKind::TimedOut { .. } => io::ErrorKind::TimedOut,
            ConnectErrorKind::NoCoroutine(error) => error.kind(),
            ConnectErrorKind::AllFailed => {
                self.attempts.last().map_or(io::ErrorKind::Other, |attempt| attempt.error.kind())
            }
            ConnectErrorKind::Servers(servers) => servers.last().map_or(io::ErrorKind::Other, ConnectError::io_kind),
        }
    }
}

impl From<ConnectError> for io::Error {
    /// Of kind `NotFound` for a host that does not exist, `TimedOut` for a limit, else as the last attempt's.
    fn from(error: ConnectError) -> io::Error {
        io::Error::new(error.io_kind(), error)
    }
}
