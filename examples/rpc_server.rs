//! Answers calls: a handful of methods to try an RPC client on.
//!
//! ```sh
//! cargo run --release --example rpc_server -- --listen 127.0.0.1:7000 --listen ./calls.sock
//! cargo run --release --example rpc_call -- 127.0.0.1:7000 add '[19, 23]'
//! ```
//!
//! Each `--listen` is `ADDRESS:PORT` or the path of a Unix socket; without one it listens on 127.0.0.1:7000.
//! It prints a line for each, and ends on Ctrl-C, once the calls under way are answered; `--help` shows the usage.
//!
//! | method | what it does |
//! |---|---|
//! | `echo(x)` | answers with what it was given |
//! | `add(a, b)` | adds two numbers |
//! | `fail(message)` | fails, with code 1 |
//! | `sleep(milliseconds)` | answers after a while; other calls go on |
//! | `bump(n)` | counts up by `n`, also as a notification |
//! | `count()` | what was counted |
//! | `nop()` | nothing |
//!
//! It speaks MessagePack-RPC: Neovim, and msgpack libraries of any language, can call it too.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::rpc::{Failure, MethodInfo, Router, Server, Value};
use grapeshot::{sleep, try_scope};

const USAGE: &str = "usage: rpc_server [--listen ADDRESS:PORT | --listen PATH]..., such as --listen 127.0.0.1:7000";

const DEFAULT: &str = "127.0.0.1:7000";

enum Mode {
    Serve(Vec<String>),
    Help,
}

fn main() -> ExitCode {
    let places = match arguments() {
        Some(Mode::Serve(places)) => places,
        Some(Mode::Help) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        None => {
            complain(USAGE);
            return ExitCode::from(2);
        }
    };
    grapeshot::run(move || match serve(&places) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("rpc_server: {error}"));
            ExitCode::FAILURE
        }
    })
}

/// Nobody may read any more, which is no reason for a server to end, or to panic.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// On stderr, where nobody may read either.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn arguments() -> Option<Mode> {
    let mut places = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Some(Mode::Help),
            "--listen" => places.push(arguments.next().filter(|place| is_place(place))?),
            _ => return None,
        }
    }
    if places.is_empty() {
        places.push(DEFAULT.to_owned());
    }
    Some(Mode::Serve(places))
}

/// A path has a slash; what has none and is no address is most likely mistyped.
fn is_place(place: &str) -> bool {
    place.contains('/') || place.parse::<SocketAddr>().is_ok()
}

/// Serves every place until one of them fails, or the program is told to end.
fn serve(places: &[String]) -> io::Result<()> {
    let methods = Rc::new(methods());
    let servers = places.iter().map(|place| listen(place)).collect::<io::Result<Vec<_>>>()?;
    try_scope(|scope| {
        for server in servers {
            let server = server.service(methods.clone());
            scope.spawn(move || server.serve());
        }
        Ok(())
    })
}

fn listen(place: &str) -> io::Result<Server> {
    if place.contains('/') {
        let server = Server::bind_unix(place)?;
        say(&format!("listening on {place}"));
        return Ok(server);
    }
    let server = Server::bind(place)?;
    say(&format!("listening on {}", server.local_addr()?));
    Ok(server)
}

/// All connections share the counter, which is as simple as it looks: their coroutines run on one thread.
fn methods() -> Router {
    let count = Rc::new(Cell::new(0_i64));
    let bumped = count.clone();
    Router::new()
        .method(about("echo", &["x"], "Answers with what it was given."), |(x,): (Value,)| Ok(x))
        .method(about("add", &["a", "b"], "Adds two numbers."), |(a, b): (Value, Value)| add(&a, &b))
        .method(about("fail", &["message"], "Fails, with code 1."), |(message,): (String,)| {
            Err::<(), _>(Failure::new(1, message))
        })
        .method(about("sleep", &["milliseconds"], "Answers after a while."), |(milliseconds,): (u64,)| {
            sleep(Duration::from_millis(milliseconds));
            Ok(())
        })
        .method(about("bump", &["n"], "Counts up, and answers with the sum."), move |(n,): (i64,)| {
            bumped.set(bumped.get().checked_add(n).ok_or_else(too_large)?);
            Ok(bumped.get())
        })
        .method(about("count", &[], "What was counted."), move |()| Ok(count.get()))
        .method(about("nop", &[], "Nothing."), |()| Ok(()))
}

fn about(name: &str, params: &[&str], doc: &str) -> MethodInfo {
    MethodInfo::named(name).params(params).doc(doc)
}

/// Integers make an integer; with a float among them, a float.
fn add(a: &Value, b: &Value) -> Result<Value, Failure> {
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        let sum = a + b;
        return i64::try_from(sum)
            .map(Value::from)
            .or_else(|_| u64::try_from(sum).map(Value::from))
            .map_err(|_| too_large());
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => Ok(Value::from(a + b)),
        _ => {
            let text = format!("add: two numbers are added, not {a} and {b}");
            Err(Failure::new(Failure::INVALID_PARAMS, text))
        }
    }
}

/// Any integer of MessagePack, wide enough for the sum of two.
fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

fn too_large() -> Failure {
    Failure::new(Failure::INVALID_PARAMS, "the sum has more than 64 bits")
}
