//! A stream of bytes inside TLS.
//!
//! ```text
//!   fresh ──► handshake ──► open ──┬─ close_write ──► half closed ─┐
//!                 │                ├─ peer's close_notify ─────────┼──► closed
//!                 │                └─ close, drop ─────────────────┘
//!                 └─ failed: an alert out, the same error from then on
//! ```
//!
//! # Invariants
//!
//! - Nothing of rustls is borrowed while a coroutine waits: each step takes what is there and hands out what is to go.
//!   A step of the handshake in which rustls itself waits, for a signature, has rustls to itself.
//! - Records leave in the order in which they were made, whoever sends them. Who is cut off while it sends leaves the
//!   rest to the next that does; nothing is lost and nothing is sent twice.
//! - One coroutine does the handshake, and others that need it wait for its end. If it is cut off, another goes on.
//! - Bytes that a write was told to have taken are never taken back, and those of one that failed by a limit before
//!   were never taken.
//! - A connection without bytes under way holds no buffer.

mod session;
mod step;
mod advance;
mod outgoing;
mod buffers;
mod turns;
mod transfer;
mod handshake;
mod facts;
mod carrying;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use grapeshot_core::WaitLimit;
use rustls::pki_types::ServerName;

pub use self::facts::Buffered;
use self::session::Session;
use self::turns::Turns;
use crate::carrier::{Carrier, Patience};
use crate::config::{ClientConfig, IN_ASCII, Limits, ServerConfig, Signing};

/// A TLS connection over the stream `S`: `Read` and `Write` for it and for a reference to it.
///
/// The handshake is done by the first call that needs it, or by [`handshake`](Self::handshake), and suspends only the
/// coroutine that does it. One coroutine may read while another writes.
/// A second writer gets [`SimultaneousError`](grapeshot_core::SimultaneousError), and so does a second reader.
///
/// The end of the stream is an end only if the peer has said so. A stream that just ends gives
/// [`ErrorKind::UnexpectedEof`]: somebody may have cut it off (RFC 8446, 6.1).
///
/// Dropping it says close_notify if that goes without waiting. While a panic or a cancellation unwinds it does not,
/// so that the peer can tell a part of a message from a whole one.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::memory;
/// use grapeshot_tls::{ClientConfig, ServerConfig, TlsStream};
/// # #[cfg(feature = "self-signed")] {
///
/// test::run(|| {
///     let own = grapeshot_tls::SelfSigned::new(["example.org"]).unwrap();
///     let (near, far) = memory::pair();
///     let config = own.server_config().unwrap();
///     let server = spawn(move || {
///         let mut stream = TlsStream::server(far, &config).unwrap();
///         stream.write_all(b"hello").unwrap();
///         stream.close().unwrap();
///     });
///     let config = own.client_config().unwrap();
///     let mut greeting = String::new();
///     TlsStream::client(near, &config, "example.org").unwrap().read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
///     server.join().unwrap();
/// });
/// # }
/// ```
pub struct TlsStream<S: Carrier> {
    carrier: S,
    session: RefCell<Session>,
    turns: Turns,
    read_timeout: Cell<Option<Duration>>,
    write_timeout: Cell<Option<Duration>>,
    limits: Cell<Limits>,
    handshake_deadline: Cell<Option<Instant>>,
    /// The last messages of the handshake may not have left yet.
    opening: Cell<bool>,
    /// The handshake may wait for another thread, and so needs a limit on that as well.
    may_sign_off_loop: bool,
}

impl<S: Carrier> TlsStream<S> {
    /// The client's end of a connection to the server of this name: a DNS name or an IP address.
    ///
    /// An IPv6 address may stand in brackets, as in a URL. An international name is given in its ASCII form, `xn--…`
    /// (RFC 5890 section 2.3.2.1). Sends nothing yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a name that is neither; what rustls says of the configuration.
    pub fn client(stream: S, config: &ClientConfig, server_name: &str) -> io::Result<TlsStream<S>> {
        let session = Session::client(config.used().clone(), parsed(server_name)?);
        let may_sign_off_loop =
            config.signing() != Signing::OnLoop && config.rustls().client_auth_cert_resolver.has_certs();
        Ok(TlsStream::new(stream, session.map_err(unfit)?, config.limits(), may_sign_off_loop))
    }

    /// The server's end of a connection.
    ///
    /// Reads nothing yet. Early data (0-RTT) is not accepted, whatever the configuration says: it can be replayed.
    ///
    /// # Errors
    ///
    /// What rustls says of the configuration.
    pub fn server(stream: S, config: &ServerConfig) -> io::Result<TlsStream<S>> {
        let session = Session::server(config.used().clone());
        let may_sign_off_loop = config.signing() != Signing::OnLoop;
        Ok(TlsStream::new(stream, session.map_err(unfit)?, config.limits(), may_sign_off_loop))
    }

    fn new(carrier: S, session: Session, limits: Limits, may_sign_off_loop: bool) -> TlsStream<S> {
        TlsStream {
            carrier,
            session: RefCell::new(session),
            turns: Turns::default(),
            read_timeout: Cell::new(None),
            write_timeout: Cell::new(None),
            limits: Cell::new(limits),
            handshake_deadline: Cell::new(None),
            opening: Cell::new(true),
            may_sign_off_loop,
        }
    }

    /// The stream below. What is read from or written to it directly is lost to TLS.
    pub fn inner(&self) -> &S {
        &self.carrier
    }

    /// Reads what there is, waiting at most as `limit` says, whatever the stream's own timeout is.
    ///
    /// # Errors
    ///
    /// As `Read::read`: [`ErrorKind::TimedOut`]; a [`TlsError`](crate::TlsError); what the stream below fails with.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; no byte is lost.
    pub fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.read_patiently(buf, Patience::Within(limit))
    }

    /// Reads what there is, and never waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where a read would wait, which includes a handshake that is not done; else as
    /// [`read_within`](Self::read_within).
    ///
    /// # Cancellation
    ///
    /// Unwinds, before anything is read: it may give way to others.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_patiently(buf, Patience::Try)
    }

    /// Writes up to 64 KiB, waiting at most as `limit` says, whatever the stream's own timeout is.
    ///
    /// A limit that is a duration is for each wait: it passes when the peer takes nothing for so long.
    /// What it says to have written has been taken, though a last part may have to wait for the next write, or for
    /// [`flush`](Write::flush), when the limit passes meanwhile.
    ///
    /// # Errors
    ///
    /// As `Write::write`: [`ErrorKind::TimedOut`], when nothing of `bytes` has been taken; a
    /// [`TlsError`](crate::TlsError); what the stream below fails with.
    ///
    /// # Cancellation
    ///
    /// Unwinds, when all of it or nothing has been taken; what has will be sent by the next write, flush or close.
    pub fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        self.write_limited(bytes, limit)
    }

    /// Limits every later read; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout(&self.read_timeout, timeout)
    }

    /// Limits every later write, as [`write_within`](Self::write_within) says; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout(&self.write_timeout, timeout)
    }

    /// The limit on reads.
    ///
    /// # Errors
    ///
    /// None; a `Result` because std's sockets have one.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_timeout.get())
    }

    /// The limit on writes.
    ///
    /// # Errors
    ///
    /// None; a `Result` because std's sockets have one.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_timeout.get())
    }

    /// How long the peer has for the beginning and the end; as the configuration says unless set.
    pub fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Sets how long the peer has for the beginning and the end.
    ///
    /// A handshake that has begun keeps the limit that it has.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }
}

/// What the configuration is not fit for.
fn unfit(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

/// A server's name as a person writes it.
fn parsed(server_name: &str) -> io::Result<ServerName<'static>> {
    let unbracketed = server_name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = unbracketed.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
        return Ok(ServerName::from(IpAddr::V6(address)));
    }
    ServerName::try_from(server_name).map(|name| name.to_owned()).map_err(|_| {
        let mut what = format!("\"{server_name}\" is no name of a server: neither a DNS name nor an IP address");
        if !server_name.is_ascii() {
            what.push_str(IN_ASCII);
        }
        io::Error::new(ErrorKind::InvalidInput, what)
    })
}

fn set_timeout(place: &Cell<Option<Duration>>, timeout: Option<Duration>) -> io::Result<()> {
    if timeout == Some(Duration::ZERO) {
        let error = "a timeout of zero: use None for no timeout, or a non-zero duration";
        return Err(io::Error::new(ErrorKind::InvalidInput, error));
    }
    place.set(timeout);
    Ok(())
}

fn limit_of(timeout: Option<Duration>) -> WaitLimit {
    timeout.map_or(WaitLimit::Never, WaitLimit::After)
}

impl<S: Carrier> Read for &TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_within(buf, limit_of(self.read_timeout.get()))
    }
}

impl<S: Carrier> Read for TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl<S: Carrier> Write for &TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_within(bytes, limit_of(self.write_timeout.get()))
    }

    /// Sends what earlier calls left to be sent.
    fn flush(&mut self) -> io::Result<()> {
        self.send(limit_of(self.write_timeout.get()))
    }
}

impl<S: Carrier> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl<S: Carrier + fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session.borrow();
        f.debug_struct("TlsStream")
            .field("stream", &self.carrier)
            .field("peer", session.peer())
            .field("established", &session.is_established())
            .field("version", &session.state().and_then(|state| state.protocol_version()))
            .finish()
    }
}
