//! SIGINT or SIGTERM: let nobody new in, let what runs finish within a deadline, and say what was cut off.
//!
//! ```sh
//! cargo run --release --example graceful_shutdown
//! nc 127.0.0.1 9002           # type 3, and 60 in another terminal; then press Ctrl-C where the program runs
//! cargo run --release --example graceful_shutdown -- --self-test
//! ```
//!
//! A line is an order: the seconds that the work for it takes. The answer is `done`.
//! After the signal an order under way has five seconds; then it is cut off, unless its delivery has begun,
//! which a shield keeps whole. You see what was done and what was not.
//! `-- --listen ADDRESS:PORT` listens elsewhere. A second Ctrl-C does not wait for anybody.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::cell::Cell;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot::net::process::Command;
use grapeshot::net::{BufStream, TcpListener, TcpStream};
use grapeshot::{Builder, Group, TimeLimit, shield, signal, sleep, spawn, with_time_limit};

const DEFAULT_PORT: u16 = 9002;

/// How long an order under way may take after the signal, and in the self-test.
const GRACE: Duration = Duration::from_secs(5);
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// The most that the delivery of a finished order may take, and twice what it does.
const DELIVERY: Duration = Duration::from_millis(800);

/// The longest line, and the longest silence.
const LINE: usize = 80;
const SILENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, is_test) = match arguments[..] {
        [] => (Some((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()), false),
        ["--listen", address] => (address.parse().ok(), false),
        ["--self-test"] => (Some((Ipv4Addr::LOCALHOST, 0).into()), true),
        _ => (None, false),
    };
    let Some(address) = address else {
        eprintln!("usage: graceful_shutdown [--listen ADDRESS:PORT | --self-test], such as --listen 127.0.0.1:9002");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(address, is_test) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graceful_shutdown: on {address}: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(address: SocketAddr, is_test: bool) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    println!("taking orders on {address}");
    let shop = Rc::new(Shop { is_open: Cell::new(true), orders: Group::new(), done: Cell::new(0), cut: Cell::new(0) });
    let clients = is_test.then(|| spawn(move || self_test(address)));

    let visitors = Group::new();
    let closed = with_time_limit(Duration::MAX, |open| accept(listener, &shop, &visitors, open));
    // The limit passed on a signal, and the listener is gone; any other end is an error of the listener's.
    closed.unwrap_or(Ok(()))?;

    shop.is_open.set(false);
    let grace = if is_test { SHORT_GRACE } else { GRACE };
    println!("closing: orders under way: {}, with {grace:?} to finish", shop.orders.len());
    if !shop.orders.wait_empty(Some(Instant::now() + grace)) {
        shop.orders.cancel_all();
        // What is behind a shield goes on; everything else unwinds now.
        shop.orders.wait_empty(Some(Instant::now() + 2 * DELIVERY));
    }
    println!("closed: orders done: {}, cut off: {}", shop.done.get(), shop.cut.get());
    // The visitors' connections end with their group.
    drop(visitors);
    clients.map_or(Ok(()), |clients| clients.join().map_err(io::Error::other)?)
}

/// Lets visitors in until a signal makes the limit `open` pass.
fn accept(listener: TcpListener, shop: &Rc<Shop>, visitors: &Group, open: &TimeLimit) -> io::Result<()> {
    let mut signals = Vec::new();
    for signal in [signal::SIGINT, signal::SIGTERM] {
        let open = open.clone();
        // Once: the next signal has its usual effect again, and ends the program without the grace.
        signals.push(signal::once(signal, move |_| {
            open.change(Duration::ZERO);
        })?);
    }
    loop {
        let (stream, peer) = listener.accept()?;
        let shop = shop.clone();
        visitors.spawn(Builder::new().name(format!("visit of {peer}")), move || {
            if let Err(error) = visit(&shop, &Rc::new(stream), peer) {
                println!("{peer}: {error}");
            }
        })?;
    }
}

struct Shop {
    is_open: Cell<bool>,
    /// The orders under way: these the shutdown waits for, and not for a visitor who says nothing.
    orders: Group,
    done: Cell<usize>,
    cut: Cell<usize>,
}

fn visit(shop: &Rc<Shop>, stream: &Rc<TcpStream>, peer: SocketAddr) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut input = BufStream::new(&**stream);
    loop {
        let line = input.read_line(LINE)?;
        if line.is_empty() {
            return Ok(());
        }
        let seconds = String::from_utf8_lossy(&line).trim().parse().ok();
        let Some(time) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) else {
            writeln!(&**stream, "how many seconds?")?;
            continue;
        };
        if !shop.is_open.get() {
            return writeln!(&**stream, "we are closing");
        }
        let name = format!("an order of {time:?} from {peer}");
        let slip = Slip { shop: shop.clone(), name: name.clone(), began: Instant::now(), done: false };
        let stream = stream.clone();
        let order = shop.orders.spawn(Builder::new().name(name), move || work(slip, time, &stream))?;
        // A cancelled order has been counted; the visit ends with it.
        order.join().map_err(io::Error::other)??;
    }
}

fn work(mut slip: Slip, time: Duration, mut stream: &TcpStream) -> io::Result<()> {
    sleep(time);
    // From here on half of it would be worse than nothing: a cancel waits until it is done, and for a second at most.
    let delivered = shield(DELIVERY, || {
        sleep(DELIVERY / 2);
        stream.write_all(b"done\n")
    });
    delivered??;
    slip.done = true;
    Ok(())
}

/// What is known of an order; dropped with it, however it ends.
struct Slip {
    shop: Rc<Shop>,
    name: String,
    began: Instant,
    done: bool,
}

impl Drop for Slip {
    /// Must not wait: it may run while its coroutine unwinds.
    fn drop(&mut self) {
        let (how, count) = if self.done { ("done", &self.shop.done) } else { ("cut off", &self.shop.cut) };
        println!("{}: {how} after {:.1?}", self.name, self.began.elapsed());
        count.set(count.get() + 1);
    }
}

/// Orders that are done in time, that need the shield, and that take too long; and one that comes too late.
fn self_test(address: SocketAddr) -> io::Result<()> {
    let order = |line: &str| {
        let mut visitor = BufStream::new(TcpStream::connect(address)?);
        visitor.write_all(line.as_bytes())?;
        visitor.flush()?;
        Ok::<_, io::Error>(visitor)
    };
    let (mut quick, mut late, mut long, mut idle) = (order("0.1\n")?, order("0.8\n")?, order("60\n")?, order("")?);
    sleep(SHORT_GRACE / 10);
    Command::new("sh").args(["-c", "kill -TERM $PPID"]).status()?;
    while TcpStream::connect(address).is_ok() {
        sleep(SHORT_GRACE / 100);
    }
    println!("nobody new gets in");
    idle.write_all(b"0\n")?;
    idle.flush()?;
    for (name, visitor) in [("idle", &mut idle), ("quick", &mut quick), ("late", &mut late), ("long", &mut long)] {
        let answer = visitor.read_line(LINE)?;
        println!("the {name} visitor was told {:?}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
