//! The servers that this program can be: `serve KIND` prints the address it listens on and serves until it is killed.
//!
//! HTTP servers answer `GET /plaintext` with `Hello, World!` and the headers Server, Date, Content-Type and
//! Content-Length; echo servers send back what they read. Each has one thread that does the work.

mod bare;
mod dns;
mod may;
mod suite;
mod tls;
mod tokio;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

pub use self::tls::folder as tls_folder;
use crate::rpc;

/// The body of every plaintext answer.
const BODY: &str = "Hello, World!";

/// Read buffer of an echo connection, in bytes.
const ECHO_BUFFER: usize = 4096;

/// Becomes the server of that kind.
pub fn serve(kind: &str) -> io::Result<()> {
    match kind {
        "bare-http" => bare::run(listen()?, bare::Http::default()),
        "bare-echo" => bare::run(listen()?, bare::Echo),
        "bare-udp" => bare::udp_echo(&bind()?),
        "dns-udp" => dns::serve(&bind()?),
        "tokio-udp" => tokio::udp_echo(bind()?),
        "grapeshot-udp" => suite::udp_echo(),
        "grapeshot-http" => suite::http(),
        "grapeshot-echo" => suite::echo(),
        "grapeshot-tls" => tls::grapeshot(),
        "tokio-rustls" => tls::tokio_rustls(listen()?),
        "hyper" => tokio::http(listen()?),
        "tokio-echo" => tokio::echo(listen()?),
        "may-http" => may::http(),
        "may-echo" => may::echo(),
        _ if kind.starts_with("rpc-") => rpc::serve(kind),
        _ => Err(io::Error::other(format!("no server is called {kind:?}"))),
    }
}

/// A listener on a port of the system's choice, announced on stdout.
pub fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// A socket for datagrams, announced in the same way.
fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(socket.local_addr()?)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Tells the process that started this one where to connect.
pub fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{addr}")?;
    stdout.flush()
}
