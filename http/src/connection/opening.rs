//! How a connection begins where TLS may be spoken: what its first byte says, and the handshake.
//!
//! ```text
//!   accepted ── nothing yet ──► hibernate, within a limit
//!      │ first byte
//!      ├─ of TLS ───────────────────► handshake, within its limit ──► requests
//!      │                                  └─ fails ──► alert, logged, closed
//!      ├─ of text, where TLS is a must ─► 400, closed
//!      └─ of text, where it may be ─────► requests
//! ```

use std::io;
use std::net::{SocketAddr, TcpStream};

use grapeshot_core::{Direction, Hibernation, Turn, Unparked, now};
use grapeshot_tls::{ServerConfig, TlsError};
use http::StatusCode;

use super::ending::{await_end, farewell};
use super::{Connection, NEXT_REQUEST};
use crate::refusal::Refusal;
use crate::server::{Mode, Shared};
use crate::stream::Stream;

/// The records that a connection of TLS can begin with: an alert, a handshake (RFC 8446 section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// A hello of SSL 2.0 begins with a length whose highest bit is set. It is for TLS to refuse (RFC 6176).
const SSL2: u8 = 0x80;

impl Connection {
    /// Takes the first turn of a connection that may speak TLS.
    pub(super) fn begin(self: Box<Connection>) -> Turn {
        let shared = self.shared.clone();
        let config = match &shared.security.mode {
            Mode::Plain => return self.turn(),
            Mode::Tls(config) | Mode::Either(config) => config,
        };
        match self.peek() {
            Ok(Some(ALERT | HANDSHAKE | SSL2..)) => self.secure(config),
            Ok(Some(_)) if matches!(shared.security.mode, Mode::Either(_)) => self.turn(),
            Ok(Some(first)) if first.is_ascii_alphabetic() => self.refuse_plain(),
            Ok(Some(_)) => self.secure(config),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.await_first_byte(),
            Ok(None) | Err(_) => Turn::Done,
        }
    }

    /// The first byte, left where it is; `None` at the end of the stream.
    fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let peek = |stream: &TcpStream| stream.peek(&mut first);
        let peeked = self.stream.tcp().source().try_attempt(Direction::Read, NEXT_REQUEST, |_| false, peek)?;
        Ok((peeked > 0).then_some(first[0]))
    }

    /// Waits for the first byte without a stack.
    fn await_first_byte(self: Box<Connection>) -> Turn {
        if self.shared.is_draining() {
            return Turn::Done;
        }
        let patience = match &self.shared.security.mode {
            Mode::Tls(config) => config.limits().handshake,
            Mode::Plain | Mode::Either(_) => self.shared.limits.idle_timeout,
        };
        let waiting = Hibernation::until_readable(
            self,
            |connection| connection.stream.tcp().source(),
            NEXT_REQUEST,
            now().checked_add(patience),
            |connection, unparked| match unparked {
                Unparked::Woken => connection.begin(),
                Unparked::TimedOut | Unparked::Refused => Turn::Done,
            },
        );
        waiting.map_or(Turn::Done, Turn::Wait)
    }

    /// Does the handshake, and then serves what comes.
    fn secure(self, config: &ServerConfig) -> Turn {
        let Connection { stream, peer, shared, served } = self;
        match stream.secure(config).and_then(|stream| shake_hands(stream, &shared, peer)) {
            Ok(stream) => Box::new(Connection { stream, peer, shared, served }).turn(),
            Err(_) => Turn::Done,
        }
    }

    /// Tells a client that speaks plain HTTP where TLS is a must.
    fn refuse_plain(self) -> Turn {
        let mut buffers = self.shared.take_buffers();
        let why = "the request came without TLS, and this port takes it only with TLS (https)".to_owned();
        self.refuse(&mut buffers, &Refusal { status: StatusCode::BAD_REQUEST, why });
        if buffers.output.flush(&self.stream).is_ok() {
            farewell(&self.stream);
        }
        self.shared.give_back_buffers(buffers);
        Turn::Done
    }
}

/// Does the handshake, on the connection's own stack: who is slow holds up nobody else.
fn shake_hands(stream: Stream, shared: &Shared, peer: SocketAddr) -> io::Result<Stream> {
    stream.handshake().inspect_err(|error| {
        shared.security.log_failure(peer, error);
        if is_heard(error) {
            await_end(stream.tcp());
        }
    })?;
    stream.set_write_timeout(Some(shared.limits.patience()))?;
    Ok(stream)
}

/// Whether there is still a peer who may read the alert.
fn is_heard(error: &io::Error) -> bool {
    match TlsError::of(error) {
        Some(TlsError::Truncated { .. } | TlsError::HandshakeTimedOut { .. } | TlsError::AlertReceived { .. }) => false,
        Some(_) => true,
        None => false,
    }
}
