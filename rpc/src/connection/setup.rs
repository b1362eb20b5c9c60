//! What is to be said of a connection before it begins.

use std::fmt;
use std::io;
use std::rc::Rc;

use grapeshot_core::Builder;

use super::log::{CallEntry, Log};
use super::proof::Proof;
use super::reading;
use super::shared::{Authorize, Shared};
use super::{Connection, Handle};
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use crate::auth::{self, AuthKey, Guard, Keys};
use crate::caller::{CallOptions, Request};
use crate::error::{CallError, Failure};
use crate::limits::Limits;
use crate::proto::{ExtensionSet, HELLO_METHOD, Hello};
use crate::service::{Context, Service};
use crate::transport::Transport;

/// Whether more than plain MessagePack-RPC is spoken, where the peer knows it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extensions {
    /// It is; a peer that knows none is spoken to plainly.
    #[default]
    Agree,
    /// It is not.
    Off,
    /// It is, and a peer that knows none is no peer for this connection.
    Required,
}

/// What is said of a connection beside its transport; of all of a server's, or of a client's one after the other.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) service: Option<Rc<dyn Service>>,
    pub(crate) limits: Limits,
    pub(crate) name: String,
    pub(crate) extensions: Extensions,
    pub(crate) authorize: Option<Authorize>,
    pub(crate) log: Option<Log>,
    pub(crate) closes_when_idle: bool,
    /// With which of these the peer has to prove itself.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub(crate) keys: Option<Keys>,
    /// With which this side proves itself.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub(crate) key: Option<AuthKey>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: None,
            limits: Limits::default(),
            name: "grapeshot".into(),
            extensions: Extensions::Agree,
            authorize: None,
            log: None,
            closes_when_idle: false,
            #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
            keys: None,
            #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
            key: None,
        }
    }
}

impl Settings {
    /// The extensions that this side names.
    pub(super) fn offered(&self) -> ExtensionSet {
        match self.extensions {
            Extensions::Off => ExtensionSet::PLAIN,
            Extensions::Agree | Extensions::Required => ExtensionSet::all(),
        }
    }

    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub(super) fn proof(&self) -> Proof {
        let limit = self.limits.opening_timeout;
        Proof::demanded_by(self.keys.as_ref().map(|keys| Guard::new(keys.clone(), limit)))
    }

    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    pub(super) fn proof(&self) -> Proof {
        Proof::default()
    }

    pub(crate) fn over(self, transport: Box<dyn Transport>) -> Setup {
        Setup { transport, settings: self }
    }
}

/// A connection to be made: see [`Connection::over`].
#[must_use = "a connection begins with `accept` or `open`"]
pub struct Setup {
    pub(super) transport: Box<dyn Transport>,
    pub(super) settings: Settings,
}

impl Setup {
    /// Serves the peer's calls with this; without a service each is answered with [`Failure::METHOD_NOT_FOUND`].
    pub fn service(self, service: impl Service + 'static) -> Setup {
        self.shared_service(Rc::new(service))
    }

    /// As [`service`](Self::service), for one that several connections share.
    pub fn shared_service(mut self, service: Rc<dyn Service>) -> Setup {
        self.settings.service = Some(service);
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Setup {
        self.settings.limits = limits;
        self
    }

    /// Sets what this side calls itself in its hello; `grapeshot` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Setup {
        self.settings.name = name.into();
        self
    }

    /// Sets whether more than plain MessagePack-RPC is spoken.
    pub fn extensions(mut self, extensions: Extensions) -> Setup {
        self.settings.extensions = extensions;
        self
    }

    /// Asks `authorize` before each call of the peer, by context and method; what it fails with is the answer.
    ///
    /// It runs in the call's coroutine, so it may wait.
    /// The name is the one that the peer wrote, so another name of a method (an `alias`) comes as itself, and so does
    /// `$/sequence.begin`, without which no call has a number; [`Authorize`](crate::middleware::Authorize) knows both.
    pub fn authorize(mut self, authorize: impl Fn(&Context, &str) -> Result<(), Failure> + 'static) -> Setup {
        self.settings.authorize = Some(Rc::new(authorize));
        self
    }

    /// Answers no call before the peer has proven that it knows one of these keys, within [`Limits::opening_timeout`].
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub fn require_key(mut self, keys: impl Into<Keys>) -> Setup {
        self.settings.keys = Some(keys.into());
        self
    }

    /// Has [`open`](Setup::open) prove that this side knows the key, and that the peer does.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub fn key(mut self, key: AuthKey) -> Setup {
        self.settings.key = Some(key);
        self
    }

    /// Calls `log` after each call of the peer. It must not wait.
    pub fn log(mut self, log: impl Fn(&CallEntry<'_>) + 'static) -> Setup {
        self.settings.log = Some(Rc::new(log));
        self
    }

    /// Ends the connection when no call is made for [`Limits::idle_timeout`], as servers do.
    pub fn close_when_idle(mut self) -> Setup {
        self.settings.closes_when_idle = true;
        self
    }

    /// Begins a connection on which the peer has the first word. Never suspends.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`]: outside a runtime, and at the limit on coroutines.
    pub fn accept(self) -> io::Result<Connection> {
        let connection = self.begin();
        let shared = connection.shared().clone();
        let builder = Builder::new().spanless().name(format!("rpc reader {}", shared.transport.peer()));
        shared.clone().crew.spawn(builder, move || reading::run(&shared))?;
        Ok(connection)
    }

    /// Begins a connection that has no reader yet.
    pub(crate) fn begin(self) -> Connection {
        let shared = Shared::new(self);
        let weak = Rc::downgrade(&shared);
        shared.output.spawn_writers_with(move || weak.upgrade().is_some_and(|shared| shared.spawn_writer()));
        Connection { handle: Rc::new(Handle { shared }) }
    }

    /// Begins a connection with a hello, and with authentication if there is a `key`, and waits for what the
    /// peer says to it, at most [`Limits::opening_timeout`] for each of the two.
    /// A peer that says nothing to a hello is taken for one that knows no extensions. With a key, the peer's own calls wait
    /// until it has proven that it knows it.
    ///
    /// # Errors
    ///
    /// When the connection is lost meanwhile; of kind `Unsupported` when extensions are required and the peer has none;
    /// of kind `PermissionDenied` when one of the two did not prove that it knows the key;
    /// and as [`accept`](Setup::accept).
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection is closed.
    pub fn open(self) -> io::Result<Connection> {
        let extensions = self.settings.extensions;
        #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
        let (key, limit) = (self.settings.key.clone(), self.settings.limits.opening_timeout);
        let connection = self.accept()?;
        #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
        if key.is_some() {
            // Before the reader runs for the first time: whoever it is, it calls nothing here before it is known.
            connection.shared().proof.doubt_peer();
        }
        if extensions != Extensions::Off {
            let agreed = connection.shared().introduce()?;
            if extensions == Extensions::Required && !agreed {
                let reason = "the peer knows no extensions, which are required";
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
        }
        #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
        if let Some(key) = key {
            auth::authenticate(&connection, &key, limit)?;
            connection.shared().proof.trust_peer();
            connection.shared().note_change();
        }
        Ok(connection)
    }
}

impl Shared {
    /// Says hello; whether the peer knows what that is.
    fn introduce(self: &Rc<Shared>) -> io::Result<bool> {
        let mut params = Vec::new();
        self.hello().append_params(&mut params);
        let options = CallOptions { timeout: Some(self.limits.opening_timeout), ..CallOptions::default() };
        match self.exchange(&Request { method: HELLO_METHOD, params: &params, options: &options }) {
            Ok(answer) => match Hello::decode(answer.as_bytes()) {
                Ok(peer) => {
                    self.agree_with(&peer);
                    Ok(true)
                }
                Err(_) => Ok(false),
            },
            Err(CallError::Failed(_) | CallError::TimedOut { .. } | CallError::Malformed { .. }) => Ok(false),
            Err(error) => Err(not_agreed(error)),
        }
    }
}

/// An error of the first exchange as one of the connection: nobody has called anything yet, so it speaks of no call.
fn not_agreed(error: CallError) -> io::Error {
    let (kind, text) = match &error {
        CallError::NotSent { cause } | CallError::OutcomeUnknown { cause } => {
            (cause.kind(), format!("the connection was lost before both sides had agreed how to talk: {cause}"))
        }
        CallError::TooLarge { bytes, limit, sent } => {
            let hello = if *sent { "the peer's hello" } else { "this side's hello" };
            (io::ErrorKind::InvalidData, format!("{hello} has {bytes} bytes or more, and {limit} are the limit"))
        }
        _ => (io::ErrorKind::Other, format!("the two sides have not agreed how to talk: {error}")),
    };
    io::Error::new(kind, NotAgreed { text, error })
}

/// What a person is told of a hello that failed.
#[derive(Debug)]
struct NotAgreed {
    text: String,
    error: CallError,
}

impl fmt::Display for NotAgreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NotAgreed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("peer", &self.transport.peer()).field("limits", &self.settings.limits).finish()
    }
}
