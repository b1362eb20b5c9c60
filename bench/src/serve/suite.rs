//! Grapeshot itself: its HTTP server with every limit on, and an echo server.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

use grapeshot::http::{Limits, Request, Response, Server};
use grapeshot::net::{TcpListener, TcpStream, UdpSocket};
use grapeshot::{Runtime, set_own_selfishness, spawn};

use super::{BODY, ECHO_BUFFER, announce};

/// Connections for the table of idle ones; the default may be less.
const CONNECTIONS: usize = 30_000;

pub fn http() -> io::Result<()> {
    run(|| {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(server.local_addr()?)?;
        let mut limits = Limits::default();
        limits.connections = CONNECTIONS;
        server.name(Some("bench")).limits(limits).serve(|_: &mut Request<'_>| Response::text(BODY))
    })
}

pub fn echo() -> io::Result<()> {
    run(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(listener.local_addr()?)?;
        for stream in listener.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            spawn(move || echo_back(&stream));
        }
        Ok(())
    })
}

fn echo_back(mut stream: &TcpStream) {
    let mut buf = [0; ECHO_BUFFER];
    while let Ok(len @ 1..) = stream.read(&mut buf) {
        if stream.write_all(&buf[..len]).is_err() {
            return;
        }
    }
}

pub fn udp_echo() -> io::Result<()> {
    run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        announce(socket.local_addr()?)?;
        // Alone on its loop, it need not give way after every other datagram.
        set_own_selfishness(64);
        let mut buf = [0; ECHO_BUFFER];
        loop {
            let (len, from) = socket.recv_from(&mut buf)?;
            socket.send_to(&buf[..len], from)?;
        }
    })
}

fn run(main: impl FnOnce() -> io::Result<()> + 'static) -> io::Result<()> {
    Runtime::new().run(main).map(drop)
}
