//! A hundred clients at once, each with ten messages of thirteen bytes to an echo server.
//!
//! ```sh
//! cargo run --release --example echo_clients
//! ```
//!
//! They talk to a server in the same process and the same thread, and you see how many bytes came back in what time.
//! `-- --connect 127.0.0.1:9000` has them talk to a running `echo_server` instead.
//! The first client that fails calls off the others, and the program exits with 1.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use grapeshot::net::{TcpListener, TcpStream};

const CLIENTS: usize = 100;
const ROUNDS: usize = 10;
const MESSAGE: &[u8; 13] = b"round shot!\r\n";

/// A server that does not answer shall not hold us up for ever.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let Some(server) = arguments() else {
        eprintln!("usage: echo_clients [--connect ADDRESS:PORT], such as --connect 127.0.0.1:9000");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match talk(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_clients: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Where to find a server; `Some(None)` when we are to bring our own.
fn arguments() -> Option<Option<SocketAddr>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Some(None),
        (Some("--connect"), Some(address), None) => address.parse().ok().map(Some),
        _ => None,
    }
}

fn talk(server: Option<SocketAddr>) -> io::Result<()> {
    let address = server.map_or_else(start_server, Ok)?;
    println!("{CLIENTS} clients talk to {address}");
    let began = Instant::now();
    let received = Cell::new(0);
    // The clients borrow `address` and `received`: the scope does not end before the last of them has.
    grapeshot::with_timeout(LIMIT, || {
        grapeshot::try_scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| client(address, &received));
            }
            Ok(())
        })
    })??;
    println!("{} bytes came back in {:.1?}", received.get(), began.elapsed());
    Ok(())
}

fn client(address: SocketAddr, received: &Cell<usize>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut answer = [0; MESSAGE.len()];
    for _ in 0..ROUNDS {
        stream.write_all(MESSAGE)?;
        stream.read_exact(&mut answer)?;
        if answer != *MESSAGE {
            let what = format!("{address} sent back {:?}, which is no echo", answer.escape_ascii().to_string());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        received.set(received.get() + answer.len());
    }
    Ok(())
}

fn start_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    grapeshot::spawn(move || {
        for stream in listener.incoming().flatten() {
            grapeshot::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    Ok(address)
}
