//! Connections that come through a proxy.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use grapeshot_core::{WaitLimit, now};

use super::header::{Announced, Header, parse};
use crate::tcp::{TcpListener, TcpStream};

/// How many bytes are looked at in one system call: all of a usual header.
const WINDOW: usize = 512;

/// What a PROXY header may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its bytes. Default 4096; a version 1 header never has more than 107.
    pub max_header_len: usize,
    /// The time from the accept until it is complete. Default 5 s.
    pub header_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_header_len: 4096, header_timeout: Duration::from_secs(5) }
    }
}

/// Takes connections that all come through proxies.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::proxy_protocol::{Limits, ProxiedListener};
/// use grapeshot_net::{TcpListener, TcpStream};
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     let listener = ProxiedListener::new(listener, Limits::default());
///     let proxy = spawn(move || {
///         let mut stream = TcpStream::connect(address).unwrap();
///         stream.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nhello").unwrap();
///     });
///     let (connection, _proxy_address) = listener.accept().unwrap();
///     // In a server: in the coroutine of the connection.
///     let proxied = connection.header().unwrap();
///     assert_eq!(proxied.peer_addr(), "192.0.2.1:56324".parse().unwrap());
///     assert_eq!(proxied.stream.recv_exact(5).unwrap(), b"hello");
///     proxy.join().unwrap();
/// });
/// ```
#[derive(Debug)]
pub struct ProxiedListener {
    listener: TcpListener,
    limits: Limits,
}

impl ProxiedListener {
    /// Expects a header at the beginning of each of the listener's connections.
    pub fn new(listener: TcpListener, limits: Limits) -> ProxiedListener {
        ProxiedListener { listener, limits }
    }

    /// Waits for a connection and returns it with the proxy's address, before the header has come.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn accept(&self) -> io::Result<(Unannounced, SocketAddr)> {
        let (stream, proxy) = self.listener.accept()?;
        let deadline = now().checked_add(self.limits.header_timeout);
        Ok((Unannounced { stream, proxy, deadline, limits: self.limits.clone() }, proxy))
    }

    /// The listener below, to close or to set limits on.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }
}

/// A connection whose header has not been read; made by [`ProxiedListener::accept`].
#[derive(Debug)]
#[must_use = "the connection ends when this is dropped"]
pub struct Unannounced {
    stream: TcpStream,
    proxy: SocketAddr,
    deadline: Option<Instant>,
    limits: Limits,
}

impl Unannounced {
    /// Reads the header. Belongs into the coroutine of the connection, as the proxy may take its time.
    ///
    /// # Errors
    ///
    /// [`MalformedHeader`](super::MalformedHeader) of kind `InvalidData`; [`io::ErrorKind::TimedOut`];
    /// `UnexpectedEof` when the connection ends before; what a read fails with. The connection ends with each.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn header(self) -> io::Result<Proxied> {
        let Unannounced { stream, proxy, deadline, limits } = self;
        let header = read_until(&stream, limits.max_header_len, deadline)?;
        Ok(Proxied { stream, header, proxy })
    }
}

/// A connection through a proxy.
#[derive(Debug)]
pub struct Proxied {
    /// The client's bytes, from the first one on.
    pub stream: TcpStream,
    /// What the proxy said.
    pub header: Header,
    /// The proxy's own address.
    pub proxy: SocketAddr,
}

impl Proxied {
    /// The client's address as the proxy announced it; the proxy's own where it announced none.
    pub fn peer_addr(&self) -> SocketAddr {
        match self.header.announced {
            Announced::Inet { source, .. } => source,
            _ => self.proxy,
        }
    }
}

/// Reads the header that a connection begins with, however that was accepted, and no byte more.
///
/// The time allowed runs from now.
///
/// # Errors
///
/// As [`Unannounced::header`].
///
/// # Cancellation
///
/// Unwinds; a part of the header may have been taken off the stream.
pub fn read_header(stream: &TcpStream, limits: &Limits) -> io::Result<Header> {
    read_until(stream, limits.max_header_len, now().checked_add(limits.header_timeout))
}

/// Looks at what has come and then takes off what belongs to the header: two system calls for one that comes whole.
fn read_until(stream: &TcpStream, max_len: usize, deadline: Option<Instant>) -> io::Result<Header> {
    let limit = deadline.map_or(WaitLimit::Never, WaitLimit::At);
    let mut received = Vec::new();
    let mut window = [0; WINDOW];
    loop {
        let taken = received.len();
        let in_header = |error| explained(error, taken);
        let seen = stream.peek_within(&mut window, limit).map_err(in_header)?;
        if seen == 0 {
            return Err(in_header(ErrorKind::UnexpectedEof.into()));
        }
        received.extend_from_slice(&window[..seen]);
        let parsed = parse(&received, max_len).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let of_header = parsed.as_ref().map_or(seen, |(_, len)| len - taken);
        take_off(stream, &mut window[..of_header], limit).map_err(in_header)?;
        if let Some((header, _)) = parsed {
            return Ok(header);
        }
    }
}

fn take_off(stream: &TcpStream, mut bytes: &mut [u8], limit: WaitLimit) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = stream.read_within(bytes, limit)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
    }
    Ok(())
}

/// The same failure, with what it kept from being done.
fn explained(cause: io::Error, received: usize) -> io::Error {
    io::Error::new(cause.kind(), IncompleteHeader { received, cause })
}

/// The header did not come whole.
#[derive(Debug)]
struct IncompleteHeader {
    received: usize,
    cause: io::Error,
}

impl fmt::Display for IncompleteHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no whole PROXY header after {} bytes: {}", self.received, self.cause)
    }
}

impl std::error::Error for IncompleteHeader {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
