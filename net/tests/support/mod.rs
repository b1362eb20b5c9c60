//! What the test files share: a connection, and what is inside an error.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and these are parts of tests")]

use std::error::Error;
use std::io::{self, Read, Write};
use std::time::Duration;

use grapeshot_core::{JoinHandle, spawn};
use grapeshot_net::{SocketAddr, TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const MIB: usize = 1 << 20;

/// A listener on a port of the system's choice, and its address.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections for as long as the socket is there: bound, and not listening.
pub(crate) fn closed_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// The two ends of a connection: who connected, and who accepted.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let near = TcpStream::connect(address).unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

/// Answers every connection with what it sends.
pub(crate) fn echo_server() -> SocketAddr {
    let (listener, address) = listen();
    spawn(move || {
        for stream in listener.incoming() {
            echo(stream.unwrap());
        }
    });
    address
}

/// Sends back what arrives, until its end.
pub(crate) fn echo(stream: TcpStream) -> JoinHandle<io::Result<u64>> {
    spawn(move || io::copy(&mut &stream, &mut &stream))
}

/// Sends bytes and takes as many back.
pub(crate) fn exchange(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Bytes of which no two stretches are alike.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}

/// Whether an error has this one inside.
pub(crate) fn is<E: Error + 'static>(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inside| inside.is::<E>())
}
