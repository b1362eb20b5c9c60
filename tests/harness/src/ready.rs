//! How one knows that a program is ready to be talked to.

use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::watch::{NoLine, Watch};

/// How often a port or a path is tried: nothing in the system tells when they appear.
const PROBE_PERIOD: Duration = Duration::from_millis(5);

/// A connection to a port of this machine either succeeds or is refused at once; this is for the others.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// The sign by which a program shows that it is ready; see [`Program::ready_when`](crate::Program::ready_when).
///
/// Prefer a line: it is seen the moment it is printed, it cannot come from another program, and it can carry the port that the system chose.
#[derive(Clone, Debug)]
pub struct Ready(Sign);

#[derive(Clone, Debug)]
enum Sign {
    Started,
    Line(String),
    Port(SocketAddr),
    Path(PathBuf),
    Unix(PathBuf),
}

/// Why a program did not become ready.
pub(crate) enum NotReady {
    Ended,
    TimedOut,
}

impl Ready {
    /// Ready as soon as it has been started: the default.
    pub fn started() -> Ready {
        Ready(Sign::Started)
    }

    /// It prints a line that contains `text`, on stdout or stderr.
    pub fn line(text: impl Into<String>) -> Ready {
        Ready(Sign::Line(text.into()))
    }

    /// A TCP connection to `addr` succeeds.
    ///
    /// It is tried every few milliseconds, and closed at once; the program sees connections that say nothing.
    pub fn port(addr: SocketAddr) -> Ready {
        Ready(Sign::Port(addr))
    }

    /// Something exists at `path`, such as a pid file; for a Unix socket see [`unix`](Ready::unix).
    ///
    /// It is looked for every few milliseconds. A file left by an earlier run counts, so use a fresh [`TempDir`](crate::TempDir).
    pub fn path(path: impl Into<PathBuf>) -> Ready {
        Ready(Sign::Path(path.into()))
    }

    /// A connection to the Unix socket at `path` succeeds.
    ///
    /// It is tried every few milliseconds, and closed at once; the program sees connections that say nothing.
    /// That the socket exists is not enough: it does so from `bind` on, and refuses connections until `listen`.
    pub fn unix(path: impl Into<PathBuf>) -> Ready {
        Ready(Sign::Unix(path.into()))
    }

    /// Whether the sign is there already, before the program was started.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.0, Sign::Port(addr) if accepts_connections(addr))
    }

    /// Waits for the sign; the line, where it was one.
    pub(crate) fn wait(&self, watch: &Watch, deadline: Instant) -> Result<Option<String>, NotReady> {
        match &self.0 {
            Sign::Started => Ok(None),
            Sign::Line(text) => match watch.wait_line(text, deadline) {
                Ok(line) => Ok(Some(line)),
                Err(NoLine::Ended) => Err(NotReady::Ended),
                Err(NoLine::TimedOut) => Err(NotReady::TimedOut),
            },
            Sign::Port(addr) => probe(watch, deadline, || accepts_connections(*addr)),
            Sign::Path(path) => probe(watch, deadline, || fs::symlink_metadata(path).is_ok()),
            Sign::Unix(path) => probe(watch, deadline, || UnixStream::connect(path).is_ok()),
        }
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Sign::Started => f.write_str("started"),
            Sign::Line(text) => write!(f, "a line with {text:?}"),
            Sign::Port(addr) => write!(f, "a connection to {addr}"),
            Sign::Path(path) => write!(f, "something at {}", path.display()),
            Sign::Unix(path) => write!(f, "a connection to {}", path.display()),
        }
    }
}

fn probe(watch: &Watch, deadline: Instant, is_ready: impl Fn() -> bool) -> Result<Option<String>, NotReady> {
    loop {
        if is_ready() {
            return Ok(None);
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(NotReady::TimedOut);
        }
        if watch.wait_exit(deadline.min(now + PROBE_PERIOD)) {
            return Err(NotReady::Ended);
        }
    }
}

fn accepts_connections(addr: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT) {
        // Without a listener, the system may choose the very port we knock at as our own, and TCP then connects us to ourselves.
        Ok(stream) => stream.local_addr().is_ok_and(|own| own != addr),
        Err(_) => false,
    }
}
