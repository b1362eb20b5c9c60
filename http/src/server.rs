//! The server: accepts connections, watches over them, and lets them finish when it ends.
//!
//! ```text
//!   serve ─► accept ─► connection (a member of the server's group) ─► requests …
//!     │ cancelled, or drained
//!     ▼
//!   stop listening ─► close idle connections ─► wait for the rest, up to the deadline ─► cancel what is left
//! ```
//!
//! What has arrived by the time the server stops, a connection or a request on one, is still served.

mod shared;
#[cfg(feature = "tls")]
mod tls;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{Builder, Group, Reason, State, now, print_stderr, yield_slice};
pub use grapeshot_net::ServerHandle;
use grapeshot_net::{Drain, TcpListener, TcpStream, ToSocketAddrs};
use http::HeaderValue;
use socket2::SockRef;

use self::shared::Log;
pub(crate) use self::shared::Shared;
#[cfg(feature = "tls")]
pub(crate) use self::tls::{Mode, Security};
use crate::Limits;
use crate::connection::{Connection, NEXT_REQUEST};
use crate::handler::Handler;
use crate::log::LogEntry;
use crate::proto::StandingHeaders;
use crate::stream::Stream;

/// How many connections at most are accepted after the wish to end: as many as wait in the backlog.
const MOST_LAST: usize = 1024;

/// How many bytes of a response the kernel takes beyond what it can send, for each connection.
///
/// Without a bound it takes megabytes for a peer that reads slowly or not at all, and lets go of them in such lumps
/// that the rate of a slow peer cannot be told (`TCP_NOTSENT_LOWAT` in tcp(7); accepted sockets inherit it).
const MOST_UNSENT: u32 = 128 << 10;

/// An HTTP/1.1 server.
///
/// All limits are on by default: see [`Limits`].
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_http::{Response, Server};
/// use grapeshot_net::TcpStream;
///
/// test::run(|| {
///     let server = Server::bind("127.0.0.1:0").unwrap();
///     let address = server.local_addr().unwrap();
///     spawn(move || server.serve(|request: &mut grapeshot_http::Request<'_>| Response::text(request.path().to_owned())));
///
///     let mut stream = TcpStream::connect(address).unwrap();
///     stream.write_all(b"GET /hello HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).unwrap();
///     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
///     assert!(answer.ends_with("\r\n\r\n/hello"));
/// });
/// ```
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    name: Option<HeaderValue>,
    linger: Duration,
    log: Option<Log>,
    #[cfg(feature = "tls")]
    security: Security,
    drain: Drain,
}

impl Server {
    /// Listens on an address, such as `"127.0.0.1:8080"`; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`], with the addresses in the text.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses = addresses.to_socket_addrs()?;
        let listener = TcpListener::bind(addresses.as_slice()).map_err(|error| {
            let all = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            io::Error::new(error.kind(), format!("cannot listen on {all}: {error}"))
        })?;
        Ok(Server::from_listener(listener))
    }

    /// Serves a listener made elsewhere.
    pub fn from_listener(listener: TcpListener) -> Server {
        Server {
            listener,
            limits: Limits::default(),
            name: Some(HeaderValue::from_static("grapeshot")),
            linger: Duration::from_millis(200),
            log: None,
            #[cfg(feature = "tls")]
            security: Security::default(),
            drain: Drain::new(),
        }
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Sets the `server` header of responses, which is `grapeshot`; `None` sends none.
    ///
    /// # Panics
    ///
    /// When it is no header value.
    pub fn name(mut self, name: Option<&'static str>) -> Server {
        self.name = name.map(|name| match HeaderValue::from_str(name) {
            Ok(name) => name,
            Err(_) => panic!("the server's name {name:?} is no header value"),
        });
        self
    }

    /// Sets how long a connection keeps its stack after a response, in case the next request follows at once.
    ///
    /// 200 ms unless set; zero for not at all. At most 32 connections do so at a time, since the stacks of more would not
    /// stay in the processor's cache; the others give theirs back at once.
    /// A connection without a stack costs less than a kilobyte, and a fraction of a microsecond when it wakes.
    pub fn linger(mut self, linger: Duration) -> Server {
        self.linger = linger;
        self
    }

    /// Calls `log` after every response (HTTP-10). It must not wait.
    ///
    /// An entry prints as a line: `server.log(|entry| println!("{entry}"))`.
    pub fn log(mut self, log: impl Fn(&LogEntry<'_>) + 'static) -> Server {
        self.log = Some(Box::new(log));
        self
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A way to end the server from another coroutine.
    pub fn handle(&self) -> ServerHandle {
        self.drain.handle()
    }

    /// Serves connections until it is drained or cancelled.
    ///
    /// Either way it stops listening, closes idle connections, and gives the others up to
    /// [`Limits::drain_timeout`] to finish their request; leaving `run`, on SIGINT for one, does the same.
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
    pub fn serve(self, handler: impl Handler) -> io::Result<()> {
        #[cfg(feature = "tls")]
        let security = self.security.within(&self.limits);
        let Server { listener, limits, name, linger, log, drain, .. } = self;
        // A failure costs memory, not sense.
        let _ = SockRef::from(&listener).set_tcp_notsent_lowat(MOST_UNSENT);
        let shared = Rc::new(Shared {
            handler: Box::new(move |request, response| *response = Some(handler.handle(request))),
            limits,
            linger,
            log,
            #[cfg(feature = "tls")]
            security,
            draining: Cell::new(false),
            lingering: Cell::new(0),
            standing: RefCell::new(StandingHeaders::new(name.as_ref())),
            date_expires: Cell::new(None),
            spare: RefCell::default(),
        });
        let group = Group::new();
        drain.serve(
            listener,
            |listener| {
                group.wait_below(shared.limits.connections.max(1), None);
                let (stream, peer) = listener.accept()?;
                begin_connection(&group, &shared, stream, peer);
                Ok(())
            },
            |listener| {
                shared.draining.set(true);
                accept_the_last(&listener, &group, &shared);
                listener.close();
                drop(listener);
                finish(&group, &shared);
            },
        )
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).field("limits", &self.limits).finish()
    }
}

/// Accepts those who have connected already, without waiting for others.
fn accept_the_last(listener: &TcpListener, group: &Group, shared: &Rc<Shared>) {
    // Neither is zero, so both are taken.
    let _ = listener.set_accept_timeout(Some(Duration::from_nanos(1)));
    let _ = listener.set_backoff(None);
    for _ in 0..MOST_LAST {
        if group.len() >= shared.limits.connections.max(1) {
            return;
        }
        let Ok((stream, peer)) = listener.accept() else { return };
        begin_connection(group, shared, stream, peer);
    }
}

fn begin_connection(group: &Group, shared: &Rc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let connection = Connection::new(Stream::plain(stream), peer, shared.clone());
    let builder = Builder::new().name(format!("http {peer}"));
    if let Err(error) = group.spawn_turns(builder, move || connection.first_turn()) {
        print_stderr(&format!("http: the connection of {peer} was dropped: {error}"));
    }
}

/// Lets the connections finish, and cancels those that do not in time.
fn finish(group: &Group, shared: &Shared) {
    // Whom a request has reached by now is woken by this, and is idle no longer.
    yield_slice();
    group.members().iter().filter(|member| waits_for_a_request(&member.info())).for_each(|member| member.cancel());
    if !group.wait_empty(now().checked_add(shared.limits.drain_timeout)) {
        group.cancel_all();
        group.wait_empty(None);
    }
}

fn waits_for_a_request(info: &grapeshot_core::CoroutineInfo) -> bool {
    matches!(info.state, State::Parked | State::Hibernating)
        && matches!(info.reason, Some(Reason::Io { operation: NEXT_REQUEST, .. }))
}
