//! Sends every byte back, with a coroutine for each connection.
//!
//! ```sh
//! cargo run --release --example echo_server
//! telnet 127.0.0.1 9000
//! ```
//!
//! What you type comes back. Ten seconds of silence end a connection, a line that says `quit` ends the program.
//! Each connection reads as if it had the thread to itself; open a few and see that it does not matter.
//! `-- --listen ADDRESS:PORT` listens elsewhere.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::net::{TcpListener, TcpStream};

const DEFAULT_PORT: u16 = 9000;

/// A peer that says nothing for this long is let go.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let Some(address) = arguments() else {
        eprintln!("usage: echo_server [--listen ADDRESS:PORT], such as --listen 127.0.0.1:{DEFAULT_PORT}");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: cannot serve {address}: {error}");
            ExitCode::FAILURE
        }
    })
}

fn arguments() -> Option<SocketAddr> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Some((Ipv4Addr::LOCALHOST, DEFAULT_PORT).into()),
        (Some("--listen"), Some(address), None) => address.parse().ok(),
        _ => None,
    }
}

fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept()?;
        println!("{peer}: connected");
        grapeshot::spawn(move || match echo(&stream) {
            Ok(()) => println!("{peer}: gone"),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => println!("{peer}: silent for {IDLE:?}, let go"),
            Err(error) => println!("{peer}: {error}"),
        });
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    // Without it, a peer that never reads would keep its coroutine for ever.
    stream.set_write_timeout(Some(IDLE))?;
    let mut buf = [0; 1000];
    let mut line = Vec::new();
    loop {
        let len = stream.read(&mut buf)?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..len])?;
        if says_quit(&mut line, &buf[..len]) {
            println!("somebody said quit");
            grapeshot::set_exit(0);
        }
    }
}

/// Whether a line that says `quit` ends in `bytes`; `line` keeps the beginning of a line that arrives in pieces.
fn says_quit(line: &mut Vec<u8>, bytes: &[u8]) -> bool {
    const LONGEST: usize = "quit\r\n".len();
    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
        line.extend(piece.iter().take(LONGEST + 1 - line.len()));
        if piece.ends_with(b"\n") {
            if matches!(line.as_slice(), b"quit\r\n" | b"quit\n") {
                return true;
            }
            line.clear();
        }
    }
    false
}
