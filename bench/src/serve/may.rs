//! may with one worker: may_minihttp, and an echo server.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

use may::net::TcpListener;
use may_minihttp::{HttpServer, HttpService, Request, Response};

use super::{BODY, ECHO_BUFFER, announce};
use crate::peers::free_addr;

/// One worker, on the core that this process was given: may would pin it to the first.
fn configure() {
    may::config().set_workers(1).set_worker_pin(false);
}

#[derive(Clone)]
struct Plaintext;

impl HttpService for Plaintext {
    fn call(&mut self, _: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        response.header("Content-Type: text/plain").body(BODY);
        Ok(())
    }
}

/// may_minihttp has no limits to set; it names itself `M` in the Server header.
pub fn http() -> io::Result<()> {
    configure();
    let addr = free_addr()?;
    let server = HttpServer(Plaintext).start(addr)?;
    announce(addr)?;
    server.join().map_err(|_| io::Error::other("the server panicked"))
}

pub fn echo() -> io::Result<()> {
    configure();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    announce(listener.local_addr()?)?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            may::go!(move || {
                let mut stream = stream;
                let mut buf = [0; ECHO_BUFFER];
                while let Ok(len @ 1..) = stream.read(&mut buf) {
                    if stream.write_all(&buf[..len]).is_err() {
                        return;
                    }
                }
            });
        }
    };
    let server = may::go!(accept);
    server.join().map_err(|_| io::Error::other("the server panicked"))
}
