//! The side that calls: this very program, run again as `rpc-client KIND ADDRESS LOAD` on a core of its own.
//!
//! It opens its connections, says "ready", and then works for so many milliseconds for each line on its input, which it
//! answers with the work done and the nanoseconds that this took. In between it blocks, whatever runtime it has.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use super::{may, suite, tarpc, tonic};
use crate::peers;

/// The word on the command line.
pub const CLIENT: &str = "rpc-client";

/// What a client does in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub connections: usize,
    /// Calls in flight on each connection.
    pub flights: usize,
    pub unit: Unit,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A call with its answer.
    Call,
    /// An item of a stream from the server.
    Item,
}

impl Load {
    fn to_words(self) -> String {
        let unit = if self.unit == Unit::Call { "call" } else { "item" };
        format!("{} {} {unit}", self.connections, self.flights)
    }

    fn from_words(words: &[String]) -> Option<Load> {
        let [connections, flights, unit] = words else { return None };
        let unit = if unit == "call" { Unit::Call } else { Unit::Item };
        Some(Load { connections: connections.parse().ok()?, flights: flights.parse().ok()?, unit })
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.unit, self.connections, self.flights) {
            (Unit::Item, ..) => write!(f, "stream of items"),
            (Unit::Call, 1, 1) => write!(f, "one connection, in sequence"),
            (Unit::Call, 1, flights) => write!(f, "one connection, {flights} in flight"),
            (Unit::Call, connections, flights) => write!(f, "{connections} connections, {flights} in flight each"),
        }
    }
}

/// Becomes the client that the words name.
pub fn client(words: &[String]) -> io::Result<()> {
    let wrong = || io::Error::other(format!("{CLIENT} KIND ADDRESS CONNECTIONS FLIGHTS UNIT"));
    let [kind, addr, load @ ..] = words else { return Err(wrong()) };
    let addr: SocketAddr = addr.parse().map_err(|_| wrong())?;
    assert!(addr.ip().is_loopback(), "load stays on this machine");
    let load = Load::from_words(load).ok_or_else(wrong)?;
    match kind.as_str() {
        "rpc-bare" => suite::echo_bare(addr, load),
        "rpc-grapeshot" => suite::call(addr, load),
        "rpc-tarpc" => tarpc::call(addr, load),
        "rpc-tonic" | "rpc-tonic-iterator" => tonic::call(addr, load),
        "rpc-may" => may::call(addr, load),
        _ => Err(wrong()),
    }
}

/// A client's turns, seen from inside it.
pub struct Turns(());

/// What a turn achieved.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub completed: u64,
    pub elapsed: Duration,
}

impl Turns {
    /// Says that the connections are open.
    pub fn begin() -> io::Result<Turns> {
        println!("ready");
        Ok(Turns(()))
    }

    /// Blocks the thread until the next turn, and gives its length; `None` when there is none.
    pub fn wait(&self) -> Option<Duration> {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).ok()?;
        Some(Duration::from_millis(line.trim().parse().ok()?))
    }

    /// Ends a turn.
    pub fn report(&self, turn: Turn) {
        println!("{} {}", turn.completed, turn.elapsed.as_nanos());
    }
}

/// A client as its parent sees it; it ends when this is dropped.
pub struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    /// Starts the client of that kind on `core`, and waits until it is connected.
    pub fn start(kind: &str, addr: SocketAddr, load: Load, core: usize) -> io::Result<Client> {
        let missing = || io::Error::other(format!("there is no program for {kind}"));
        let mut command = peers::program(kind)?.ok_or_else(missing)?;
        command.args([CLIENT, kind, &addr.to_string()]).args(load.to_words().split(' '));
        let mut child = peers::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()), core)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a client without pipes"));
        };
        let mut client = Client { child, stdin, stdout: BufReader::new(stdout) };
        match client.read_line()?.as_str() {
            "ready" => Ok(client),
            line => Err(io::Error::other(format!("the client of {kind} says {line:?}"))),
        }
    }

    /// The process, as a name under `/proc`.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Lets it work for about `duration`.
    pub fn turn(&mut self, duration: Duration) -> io::Result<Turn> {
        writeln!(self.stdin, "{}", duration.as_millis())?;
        let line = self.read_line()?;
        let turn = line.split_once(' ').and_then(|(completed, nanos)| {
            Some(Turn { completed: completed.parse().ok()?, elapsed: Duration::from_nanos(nanos.parse().ok()?) })
        });
        turn.ok_or_else(|| io::Error::other(format!("the client says {line:?}")))
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have died already, which the run has reported by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
