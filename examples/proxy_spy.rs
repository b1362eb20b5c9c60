//! A TCP proxy that shows what goes by in both directions, as hex and as text.
//!
//! ```sh
//! cargo run --release --example proxy_spy -- --listen 127.0.0.1:9003 --to 127.0.0.1:8080
//! curl http://127.0.0.1:9003/
//! cargo run --release --example proxy_spy -- --self-test
//! ```
//!
//! Put it between a client and its server. Each connection has a number; `>` goes to the server, `<` comes from it.
//! At the end of a connection you see how many bytes went each way. Ctrl-C ends it.
//! Two coroutines share each pair of sockets, and the end of one direction is passed on, not the end of both.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::net::{TcpListener, TcpStream};
use grapeshot::{Builder, Group, spawn, try_scope, with_timeout};

const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9003);

const CONNECT: Duration = Duration::from_secs(10);

/// A direction that is silent for this long, or takes nothing for this long, ends the connection.
const IDLE: Duration = Duration::from_secs(300);

/// Bytes that are read, shown and passed on at a time.
const BLOCK: usize = 16 * 1024;

/// Bytes in a line of the dump.
const LINE: usize = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let parsed = match arguments[..] {
        ["--self-test"] => Some(None),
        ["--to", to] => to.parse().ok().map(|to| Some((DEFAULT, to))),
        ["--listen", address, "--to", to] => address.parse().ok().zip(to.parse().ok()).map(Some),
        _ => None,
    };
    let Some(addresses) = parsed else {
        eprintln!("usage: proxy_spy [--listen ADDRESS:PORT] --to ADDRESS:PORT | proxy_spy --self-test");
        return ExitCode::from(2);
    };
    let work = move || match addresses {
        Some((address, to)) => TcpListener::bind(address).and_then(|listener| serve(&listener, to)),
        None => self_test(),
    };
    grapeshot::run(move || match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy_spy: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(listener: &TcpListener, to: SocketAddr) -> io::Result<()> {
    println!("spying on {}, which leads to {to}", listener.local_addr()?);
    let connections = Group::new();
    for number in 1_u64.. {
        let (client, peer) = listener.accept()?;
        let name = format!("connection {number} of {peer}");
        connections.spawn(Builder::new().name(name), move || match spy(number, &client, peer, to) {
            Ok((sent, received)) => println!("#{number} ended: {sent} bytes > and {received} bytes <"),
            Err(error) => println!("#{number} failed: {error}"),
        })?;
    }
    Ok(())
}

/// Passes on both directions until both have ended, and says how many bytes each had.
fn spy(number: u64, client: &TcpStream, peer: SocketAddr, to: SocketAddr) -> io::Result<(u64, u64)> {
    println!("#{number} begins: {peer} to {to}");
    let server = TcpStream::connect_timeout(&to, CONNECT)?;
    for stream in [client, &server] {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
    }
    try_scope(|scope| {
        let sent = scope.spawn(|| pass_on(number, '>', client, &server));
        let received = pass_on(number, '<', &server, client)?;
        Ok((sent.join().map_err(io::Error::other)?, received))
    })
}

/// Passes on one direction until its end, which it passes on too.
fn pass_on(number: u64, direction: char, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<u64> {
    let mut buf = [0; BLOCK];
    let mut count = 0;
    loop {
        let len = from.read(&mut buf)?;
        if len == 0 {
            // A peer that has closed both directions is not there to be told.
            let _ = to.shutdown(Shutdown::Write);
            return Ok(count);
        }
        for (row, bytes) in buf[..len].chunks(LINE).enumerate() {
            println!("#{number} {direction} {:08x}  {}", count + (row * LINE) as u64, dump(bytes));
        }
        to.write_all(&buf[..len])?;
        count += len as u64;
    }
}

/// `70 69 6e 67 0a   |ping.|`
fn dump(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' });
    format!("{:width$}  |{}|", hex.join(" "), text.collect::<String>(), width = LINE * 3 - 1)
}

/// A client asks a server that answers in capitals, and the spy is in between.
fn self_test() -> io::Result<()> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let spy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (to, address) = (server.local_addr()?, spy.local_addr()?);
    spawn(move || serve(&spy, to));
    let answering = spawn(move || {
        let (mut stream, _) = server.accept()?;
        let mut question = String::new();
        // The whole question: the end that the client made must have come through.
        stream.read_to_string(&mut question)?;
        stream.write_all(question.to_uppercase().as_bytes())
    });
    let answer = with_timeout(CONNECT, || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"round shot, grape shot\n")?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    })??;
    answering.join().map_err(io::Error::other)??;
    // The spy has its last word after the client has its answer.
    while grapeshot::coroutines()
        .iter()
        .any(|other| other.name.as_deref().is_some_and(|name| name.starts_with("connection")))
    {
        grapeshot::sleep(Duration::from_millis(1));
    }
    println!("the client got {answer:?}");
    if answer == "ROUND SHOT, GRAPE SHOT\n" { Ok(()) } else { Err(io::Error::other("which is not the answer")) }
}
