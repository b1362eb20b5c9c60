//! What the tests of the client share: a server that plays a script, at the other end of a stream in memory.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::spawn;
use grapeshot_http::client::{Client, ClientBuilder, ClientError, ClientLimits, Origin, Response, Transport};
use grapeshot_net::memory::{self, MemoryStream};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const URL: &str = "http://server.example/page";

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: MemoryStream,
    /// Which connection this is, from 0 on.
    pub(crate) number: usize,
    received: Vec<u8>,
}

impl Peer {
    /// Reads a request head, and returns it; empty when the client hangs up instead.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..at + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            let mut block = [0; 4096];
            match self.stream.read(&mut block) {
                Ok(len) if len > 0 => self.received.extend_from_slice(&block[..len]),
                _ => return String::new(),
            }
        }
    }

    /// Reads so many bytes of a request body.
    pub(crate) fn body(&mut self, len: usize) -> Vec<u8> {
        let mut body = vec![0; len];
        let kept = self.received.len().min(len);
        body[..kept].copy_from_slice(&self.received[..kept]);
        self.received.drain(..kept);
        self.stream.read_exact(&mut body[kept..]).unwrap();
        body
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has seen enough hangs up.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads a request head and answers it.
    pub(crate) fn answer(&mut self, bytes: impl AsRef<[u8]>) -> String {
        let head = self.head();
        self.send(bytes);
        head
    }
}

/// A client for which `play` is every server: once for each connection.
pub(crate) fn client_of(play: impl Fn(&mut Peer) + 'static) -> Client {
    client_with(|_| {}, play)
}

/// With limits of its own.
pub(crate) fn client_with(change: impl FnOnce(&mut ClientLimits), play: impl Fn(&mut Peer) + 'static) -> Client {
    let mut limits = ClientLimits::default();
    change(&mut limits);
    builder_of(play).limits(limits).build()
}

pub(crate) fn builder_of(play: impl Fn(&mut Peer) + 'static) -> ClientBuilder {
    let (play, count) = (Rc::new(play), Cell::new(0));
    Client::builder().connector(move |_: &Origin| {
        let (near, far) = memory::pair();
        let (play, number) = (play.clone(), count.replace(count.get() + 1));
        spawn(move || play(&mut Peer { stream: far, number, received: Vec::new() }));
        Ok(Rc::new(near) as Rc<dyn Transport>)
    })
}

/// Asks a server that answers so and then hangs up, and returns the head with what the body came to.
pub(crate) fn exchange(answer: impl Into<Vec<u8>>) -> Result<(Response, io::Result<String>), ClientError> {
    let answer = answer.into();
    let client = client_of(move |peer| drop(peer.answer(&answer)));
    let mut response = client.get(URL)?;
    let body = response.read_text();
    Ok((response, body))
}

/// The body of an answer that must be whole and good.
#[track_caller]
pub(crate) fn body_of(answer: impl Into<Vec<u8>>) -> String {
    exchange(answer).unwrap().1.unwrap()
}

/// The error of an answer that must be refused, by its head or by its body.
#[track_caller]
pub(crate) fn failure(answer: impl Into<Vec<u8>>) -> String {
    match exchange(answer) {
        Err(error) => error.to_string(),
        Ok((_, Err(error))) => error.to_string(),
        Ok((response, Ok(body))) => panic!("{response:?} {body:?}"),
    }
}

/// The client's error in that of a reader.
#[track_caller]
pub(crate) fn cause(error: &io::Error) -> &ClientError {
    ClientError::within(error).unwrap_or_else(|| panic!("{error:?}"))
}
