//! The server: accepts connections, serves their calls, and lets them finish when it ends.
//!
//! ```text
//!   serve ─► accept ─► connection (a member of the server's group) ─► calls …
//!     │ cancelled, or drained
//!     ▼
//!   stop listening ─► every connection takes no new calls ─► wait for those that run, up to the deadline ─► close
//! ```

mod listening;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{Builder, Group, now, print_stderr, yield_slice};
pub use grapeshot_net::ServerHandle;
use grapeshot_net::{Drain, ToSocketAddrs};
#[cfg(feature = "tls")]
use grapeshot_tls::ServerConfig;

pub use self::listening::Listening;
use self::listening::SocketFile;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use crate::auth::Keys;
use crate::connection::{CallEntry, CloseReason, Connection, Extensions, Settings};
use crate::error::Failure;
use crate::limits::Limits;
use crate::service::{Context, Service};
use crate::transport::{Identity, Transport};

/// How many connections at most are accepted after the wish to end: as many as wait in the backlog.
const MOST_LAST: usize = 1024;

/// A server of calls.
///
/// All limits are on by default: see [`Limits`]. There are at most 10,000 connections at a time; more wait to be accepted.
/// A client that ends its side of the stream is answered no more: see [`CloseReason::PeerEnded`].
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
/// use grapeshot_rpc::{CallerExt, Client, Router, Server};
///
/// test::run(|| {
///     let server = Server::bind("127.0.0.1:0").unwrap();
///     let (address, handle) = (server.local_addr().unwrap().to_string(), server.handle());
///     let server = server.service(Router::new().method("double", |(number,): (i64,)| Ok(2 * number)));
///     spawn(move || server.serve());
///
///     let client = Client::connect(&address).unwrap();
///     assert_eq!(client.call::<i64>("double", &(21,)).unwrap(), 42);
///     handle.drain();
///     handle.wait();
/// });
/// ```
pub struct Server {
    listening: Listening,
    file: Option<SocketFile>,
    settings: Settings,
    service_of: Option<ServiceOf>,
    on_connect: Option<OnConnect>,
    log_ends: Option<LogEnd>,
    max_connections: usize,
    drain_timeout: Duration,
    drain: Drain,
}

type ServiceOf = Rc<dyn Fn(&Identity) -> Rc<dyn Service>>;
type OnConnect = Rc<dyn Fn(&Connection)>;
type LogEnd = Box<dyn Fn(&Identity, &CloseReason)>;

impl Server {
    /// Listens on an address, such as `"127.0.0.1:7000"`; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`](grapeshot_net::TcpListener::bind), with the addresses in the text.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(Server::from_listener(Listening::tcp(addresses)?))
    }

    /// Listens on a Unix socket at this path. The file goes when the server does.
    ///
    /// The file of a server that was killed, which no process has any more, is taken over; a socket that somebody has,
    /// and a file of any other kind, stays as it is, and is an error.
    /// Two servers that start at one path at the same moment can both take it over, and the first is then not found.
    ///
    /// Who may connect is for the permissions of its folder to say; [`Identity::credentials`] says who has.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](grapeshot_net::UnixListener::bind), with the path in the text: of kind `AddrInUse` for
    /// a path that is taken, with what to do about it; what the system says to looking at what is there, and removing it.
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        let (listening, file) = Listening::unix(path.as_ref())?;
        Ok(Server { file: Some(file), ..Server::from_listener(listening) })
    }

    /// Listens on an address for calls over TLS. A handshake runs in its connection's own coroutine.
    ///
    /// # Errors
    ///
    /// As [`bind`](Server::bind).
    #[cfg(feature = "tls")]
    pub fn bind_tls(addresses: impl ToSocketAddrs, config: &ServerConfig) -> io::Result<Server> {
        Ok(Server::from_listener(Listening::tls(addresses, config)?))
    }

    /// Serves a listener made elsewhere: of TCP, Unix sockets or TLS.
    pub fn from_listener(listener: impl Into<Listening>) -> Server {
        Server {
            listening: listener.into(),
            file: None,
            settings: Settings { closes_when_idle: true, ..Settings::default() },
            service_of: None,
            on_connect: None,
            log_ends: None,
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(30),
            drain: Drain::new(),
        }
    }

    /// Serves all connections with this.
    pub fn service(mut self, service: impl Service + 'static) -> Server {
        self.settings.service = Some(Rc::new(service));
        self
    }

    /// Serves each connection with what `make` makes for its peer: a service that keeps something of each connection.
    pub fn service_with<S: Service + 'static>(mut self, make: impl Fn(&Identity) -> S + 'static) -> Server {
        self.service_of = Some(Rc::new(move |peer| Rc::new(make(peer))));
        self
    }

    /// Calls `greet` with each new connection, in a coroutine of its own: through it the server calls its clients.
    ///
    /// It begins when the client has proven who it is, if it has to, and does not wait for a hello: what it calls may go
    /// without extensions. The coroutine is cancelled when the connection is over. A connection that is kept is not kept open:
    /// keep [`Connection::caller`] to call later.
    pub fn on_connect(mut self, greet: impl Fn(&Connection) + 'static) -> Server {
        self.on_connect = Some(Rc::new(greet));
        self
    }

    /// Sets the limits on each connection.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.settings.limits = limits;
        self
    }

    /// Sets how many connections there may be; more wait to be accepted. 10,000 unless set.
    pub fn max_connections(mut self, limit: usize) -> Server {
        self.max_connections = limit.max(1);
        self
    }

    /// Sets how long calls may go on after the wish to end. 30 s unless set.
    pub fn drain_timeout(mut self, limit: Duration) -> Server {
        self.drain_timeout = limit;
        self
    }

    /// Sets what the server calls itself in its hello.
    pub fn name(mut self, name: impl Into<String>) -> Server {
        self.settings.name = name.into();
        self
    }

    /// Sets whether extensions are offered to those who ask; they are unless set.
    pub fn extensions(mut self, extensions: Extensions) -> Server {
        self.settings.extensions = extensions;
        self
    }

    /// Answers no call before the client has proven that it knows one of these keys, within [`Limits::opening_timeout`].
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub fn require_key(mut self, keys: impl Into<Keys>) -> Server {
        self.settings.keys = Some(keys.into());
        self
    }

    /// Asks `authorize` before each call, by context and method; what it fails with is the answer.
    ///
    /// It runs in the call's coroutine, so it may wait.
    /// The name is the one that the peer wrote, so another name of a method (an `alias`) comes as itself, and so does
    /// `$/sequence.begin`, without which no call has a number; [`Authorize`](crate::middleware::Authorize) knows both.
    pub fn authorize(mut self, authorize: impl Fn(&Context, &str) -> Result<(), Failure> + 'static) -> Server {
        self.settings.authorize = Some(Rc::new(authorize));
        self
    }

    /// Calls `log` after each call. It must not wait.
    ///
    /// An entry prints as a line: `server.log(|entry| println!("{entry}"))`.
    pub fn log(mut self, log: impl Fn(&CallEntry<'_>) + 'static) -> Server {
        self.settings.log = Some(Rc::new(log));
        self
    }

    /// Calls `log` with the peer, as far as it had said and proven who it is, and the reason when a connection is over.
    /// It must not wait.
    ///
    /// What a peer did wrong is in the reason: [`CloseReason::is_peers_fault`].
    pub fn log_ends(mut self, log: impl Fn(&Identity, &CloseReason) + 'static) -> Server {
        self.log_ends = Some(Box::new(log));
        self
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// What the system says; `Unsupported` on a Unix socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listening.local_addr()
    }

    /// A way to end the server from another coroutine. A method of the server may ask for the drain, and must not wait for it:
    /// see [`ServerHandle::wait`].
    pub fn handle(&self) -> ServerHandle {
        self.drain.handle()
    }

    /// Serves connections until it is drained or cancelled.
    ///
    /// Either way it stops listening, tells its peers that it takes no new calls, and gives those that run up to
    /// [`drain_timeout`](Server::drain_timeout); leaving `run`, on SIGINT for one, does the same.
    ///
    /// # Errors
    ///
    /// When the listener fails in a way that time does not heal.
    ///
    /// # Cancellation
    ///
    /// Drains, and then unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    pub fn serve(self) -> io::Result<()> {
        let Server { listening, file, settings, service_of, on_connect, log_ends, drain, .. } = self;
        let serving = Rc::new(Serving {
            settings,
            service_of,
            on_connect,
            log_ends,
            max_connections: self.max_connections,
            connections: RefCell::default(),
            next: Cell::new(0),
            group: Group::new(),
        });
        drain.serve(
            listening,
            |listening| serving.accept(listening),
            |listening| {
                serving.accept_the_last(&listening);
                listening.close();
                drop((listening, file));
                serving.finish(now().checked_add(self.drain_timeout));
            },
        )
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listening", &self.listening)
            .field("limits", &self.settings.limits)
            .finish_non_exhaustive()
    }
}

/// A server that serves.
struct Serving {
    settings: Settings,
    service_of: Option<ServiceOf>,
    on_connect: Option<OnConnect>,
    log_ends: Option<LogEnd>,
    max_connections: usize,
    connections: RefCell<HashMap<u64, Connection>>,
    next: Cell<u64>,
    group: Group,
}

impl Serving {
    /// Accepts a connection, once there are fewer than the limit.
    fn accept(self: &Rc<Serving>, listening: &Listening) -> io::Result<()> {
        self.group.wait_below(self.max_connections, None);
        self.begin(listening.accept()?);
        Ok(())
    }

    /// Accepts those who have connected already, without waiting for others.
    fn accept_the_last(self: &Rc<Serving>, listening: &Listening) {
        listening.stop_waiting();
        for _ in 0..MOST_LAST {
            if self.group.len() >= self.max_connections {
                return;
            }
            let Ok(transport) = listening.accept() else { return };
            self.begin(transport);
        }
    }

    fn begin(self: &Rc<Serving>, transport: Box<dyn Transport>) {
        let peer = transport.peer();
        let serving = self.clone();
        let builder = Builder::new().name(format!("rpc {peer}"));
        if let Err(error) = self.group.spawn(builder, move || serving.run(transport)) {
            print_stderr(&format!("rpc: the connection of {peer} was dropped: {error}"));
        }
    }

    /// The life of one connection, in its own coroutine.
    fn run(self: &Rc<Serving>, transport: Box<dyn Transport>) {
        let number = self.next.replace(self.next.get() + 1);
        let _listed = Listed { serving: self, number };
        if let Some(connection) = self.begin_connection(transport) {
            self.connections.borrow_mut().insert(number, connection.clone());
            if let Some(greet) = &self.on_connect {
                connection.greet(greet.clone());
            }
            let reason = connection.serve();
            // Only now: the certificate comes with the handshake, and the key with the proof.
            self.note_end(&connection.peer(), &reason);
        }
    }

    /// Makes a connection of a transport.
    // Not within `run`, whose frame is there as long as the connection, and would be larger by all that is moved here.
    #[inline(never)]
    fn begin_connection(&self, transport: Box<dyn Transport>) -> Option<Connection> {
        let mut settings = self.settings.clone();
        if let Some(service_of) = &self.service_of {
            // The service may depend on a certificate, which comes with the handshake.
            if let Err(error) = transport.establish() {
                self.note_end(&transport.identity(), &CloseReason::Lost(Arc::new(error)));
                return None;
            }
            settings.service = Some(service_of(&transport.identity()));
        }
        Some(settings.over(transport).begin())
    }

    fn note_end(&self, peer: &Identity, reason: &CloseReason) {
        if let Some(log) = &self.log_ends {
            log(peer, reason);
        }
    }

    /// Lets the calls that run finish, and ends what does not in time.
    fn finish(self: &Rc<Serving>, deadline: Option<Instant>) {
        // What has reached us by now is taken in by this.
        yield_slice();
        let connections: Vec<Connection> = self.connections.borrow().values().cloned().collect();
        // All are told before any is waited for.
        connections.iter().for_each(Connection::drain);
        let finishing = Group::new();
        for connection in connections {
            let closed = connection.clone();
            if finishing.spawn(Builder::new(), move || connection.finish(deadline)).is_err() {
                closed.close();
            }
        }
        finishing.wait_empty(None);
        self.group.cancel_all();
        self.group.wait_empty(None);
    }
}

/// A connection in the server's list, as long as it lives.
struct Listed<'a> {
    serving: &'a Serving,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let ended = self.serving.connections.borrow_mut().remove(&self.number);
        drop(ended);
    }
}
