//! A stream that carries objects.
//!
//! ```text
//!   new ───────────────────────────────────────► open ── cut off while sending ──► no more is sent
//!   demanding ──► first use, handshake ──┬─ proven ──► open
//!   authenticate ────────────────────────┴─ failed, cut off ──► the same error from then on
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{Read, Write};
use std::mem;
use std::time::Duration;

use grapeshot_core::sync::Mutex;
use grapeshot_core::with_timeout;
use grapeshot_net::TcpStream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ObjectError;
use super::handshake::{Role, handshake, refuse};
use super::incoming::Incoming;
use crate::auth::{AuthKey, Keys};
use crate::limits::Limits;
use crate::proto::{Framed, Scan, Scanner};
use crate::value::Encoded;

/// Sends and receives objects over the stream `S`, which reads and writes by reference: a socket, a TLS stream, a memory pair.
///
/// Several coroutines may use it at once: who sends waits for others that do, and so does who receives, each for objects
/// as a whole. The stream's own time limits hold for each read and write; a limit around a call unwinds it.
/// Dropping it ends the stream, which the peer sees as the end after the last object.
///
/// The handshake, and waiting for others, need a coroutine.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::memory;
/// use grapeshot_rpc::objects::Connection;
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     let (near, far) = (Connection::new(near), Connection::new(far));
///     near.send(&("grape", [1, 2, 3])).unwrap();
///     drop(near);
///     assert_eq!(far.recv().unwrap(), Some(("grape".to_owned(), vec![1, 2, 3])));
///     assert_eq!(far.recv::<String>().unwrap(), None);
/// });
/// ```
pub struct Connection<S> {
    stream: S,
    framed: Framed,
    depth: usize,
    handshake_timeout: Duration,
    is_open: Cell<bool>,
    gate: Mutex<Gate>,
    peer_key: RefCell<Option<String>>,
    /// Why nothing can be sent any more.
    sending: Mutex<Option<ObjectError>>,
    receiving: Mutex<Incoming>,
    /// The last frame was the one by which a peer refuses who has not authenticated.
    was_refused: Cell<bool>,
}

/// What comes before the first object.
enum Gate {
    Open,
    Due(Role),
    Failed(ObjectError),
}

impl Connection<TcpStream> {
    /// Connects to a host by its name or address, and does the handshake with this key.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Io`] when there is no connection; else as [`authenticate`](Self::authenticate).
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection is closed.
    pub fn connect(host: &str, port: u16, key: &AuthKey) -> Result<Connection<TcpStream>, ObjectError> {
        let stream = grapeshot_dns::connect(host, port).map_err(std::io::Error::from)?;
        stream.set_nodelay(true)?;
        let connection = Connection::new(stream);
        connection.authenticate(key)?;
        Ok(connection)
    }
}

impl<S> Connection<S>
where
    for<'a> &'a S: Read + Write,
{
    /// Takes a stream, with nobody asked who they are: see [`authenticate`](Self::authenticate) and
    /// [`demanding`](Self::demanding).
    ///
    /// Where the peer demands a key and this side does not authenticate, what is sent goes unread, without an error;
    /// [`recv`](Self::recv) says [`ObjectError::KeyDemanded`].
    pub fn new(stream: S) -> Connection<S> {
        let connection = Connection {
            stream,
            framed: Framed::new(0),
            depth: 0,
            handshake_timeout: Duration::ZERO,
            is_open: Cell::new(true),
            gate: Mutex::new(Gate::Open),
            peer_key: RefCell::new(None),
            sending: Mutex::new(None),
            receiving: Mutex::new(Incoming::default()),
            was_refused: Cell::new(false),
        };
        connection.limits(&Limits::default())
    }

    /// Sets the limits: of these it knows `frame_bytes` and `depth` of an object, and `opening_timeout` for the handshake.
    pub fn limits(self, limits: &Limits) -> Connection<S> {
        Connection {
            framed: Framed::new(limits.frame_bytes),
            depth: limits.depth,
            handshake_timeout: limits.opening_timeout,
            ..self
        }
    }

    /// Has the peer prove first that it knows one of the keys, and proves the same to it: the side that accepts.
    ///
    /// The handshake is done by the first call that needs it, or by [`handshake`](Self::handshake).
    pub fn demanding(self, keys: impl Into<Keys>) -> Connection<S> {
        Connection { is_open: Cell::new(false), gate: Mutex::new(Gate::Due(Role::Server(keys.into()))), ..self }
    }

    /// Proves to the peer that this side knows the key, and has it prove the same: the side that connects, before its
    /// first object.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Refused`], [`ObjectError::Unproven`], [`ObjectError::HandshakeTimedOut`],
    /// [`ObjectError::Io`], and [`ObjectError::Truncated`] when the peer ends the stream. The connection is of no use then,
    /// and says so from then on.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection is of no use then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    pub fn authenticate(&self, key: &AuthKey) -> Result<(), ObjectError> {
        let mut gate = self.gate.lock();
        if let Gate::Open = &*gate {
            self.is_open.set(false);
            *gate = Gate::Due(Role::Client(key.clone()));
        }
        self.pass(&mut gate)
    }

    /// Does the handshake that the first use would do; nothing if it is done, or none is due.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    ///
    /// # Cancellation
    ///
    /// As [`authenticate`](Self::authenticate).
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if one is due.
    pub fn handshake(&self) -> Result<(), ObjectError> {
        if self.is_open.get() {
            return Ok(());
        }
        self.pass(&mut self.gate.lock())
    }

    /// Does what is due before the first object.
    fn pass(&self, gate: &mut Gate) -> Result<(), ObjectError> {
        // Whoever is cut off from here on leaves that behind.
        let role = match mem::replace(gate, Gate::Failed(ObjectError::Abandoned)) {
            Gate::Due(role) => role,
            Gate::Open => {
                *gate = Gate::Open;
                return Ok(());
            }
            Gate::Failed(error) => {
                *gate = Gate::Failed(error.clone());
                return Err(error);
            }
        };
        let limit = self.handshake_timeout;
        let done = with_timeout(limit, || handshake(&role, &self.stream, &mut self.receiving.lock()));
        match done.unwrap_or(Err(ObjectError::HandshakeTimedOut { limit })) {
            Ok(key) => {
                self.peer_key.replace(Some(key));
                self.is_open.set(true);
                *gate = Gate::Open;
                Ok(())
            }
            Err(error) => {
                refuse(&role, &self.stream);
                *gate = Gate::Failed(error.clone());
                Err(error)
            }
        }
    }

    /// Sends an object; it returns when the stream has taken it. Structs become maps with the names of their fields.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Encode`] and [`ObjectError::TooLarge`], and nothing was sent;
    /// [`ObjectError::Io`], after which nothing more can be sent; [`ObjectError::Abandoned`];
    /// those of [`handshake`](Self::handshake).
    ///
    /// # Cancellation
    ///
    /// Unwinds. Unless it was waiting for others, a part of the object may have been sent, and nothing more can be.
    pub fn send<T: Serialize + ?Sized>(&self, object: &T) -> Result<(), ObjectError> {
        let mut frame = Vec::new();
        self.framed.append(&mut frame, Encoded::of(object)?.as_bytes())?;
        self.handshake()?;
        let mut broken = self.sending.lock();
        if let Some(error) = &*broken {
            return Err(error.clone());
        }
        // Whoever is cut off from here on leaves that behind.
        *broken = Some(ObjectError::Abandoned);
        let mut stream = &self.stream;
        let sent = stream.write_all(&frame).and_then(|()| stream.flush()).map_err(ObjectError::from);
        *broken = sent.clone().err();
        sent
    }

    /// Waits for the next object; `None` when the peer has ended the stream between two.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Malformed`] and [`ObjectError::Unfit`], after which the next object can be received;
    /// [`ObjectError::KeyDemanded`], [`ObjectError::TooLarge`], [`ObjectError::Truncated`] and [`ObjectError::Io`]; those of
    /// [`handshake`](Self::handshake).
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has come of an object is there for the next call.
    pub fn recv<T: DeserializeOwned>(&self) -> Result<Option<T>, ObjectError> {
        self.handshake()?;
        let mut incoming = self.receiving.lock();
        let Some(place) = incoming.frame(self.framed, &self.stream)? else {
            return if self.was_refused.get() { Err(ObjectError::KeyDemanded) } else { Ok(None) };
        };
        let content = incoming.content(place);
        self.was_refused.set(content.is_empty() && self.peer_key.borrow().is_none());
        if self.was_refused.get() {
            return Err(ObjectError::KeyDemanded);
        }
        self.decode(content).map(Some)
    }

    fn decode<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, ObjectError> {
        // What it lets through leads serde no deeper than the limit.
        match Scanner::new(content.len(), self.depth).scan(content) {
            Ok(Scan::Complete(length)) if length == content.len() => {}
            Ok(Scan::Complete(length)) => {
                let rest = content.len() - length;
                return Err(ObjectError::Malformed(format!("{rest} bytes follow a value of {length} bytes")));
            }
            Ok(Scan::NeedMore) => {
                return Err(ObjectError::Malformed(format!("its value is not whole in {} bytes", content.len())));
            }
            Err(error) => return Err(ObjectError::Malformed(error.to_string())),
        }
        rmp_serde::from_slice(content).map_err(|error| ObjectError::Unfit(error.to_string()))
    }
}

impl<S> Connection<S> {
    /// The name of the key that both sides have proven to know; `None` before that, and where none was asked for.
    pub fn peer_key(&self) -> Option<String> {
        self.peer_key.borrow().clone()
    }

    /// The stream below, to set time limits on or to shut down. What is read from or written to it is lost to the objects.
    pub fn inner(&self) -> &S {
        &self.stream
    }
}

impl<S: fmt::Debug> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("stream", &self.stream).field("open", &self.is_open.get()).finish()
    }
}
