//! A peer that is written by hand: it sends the bytes that a test gives it, and shows what comes back as values.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Read, Write};

use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_rpc::{Connection, Limits, Service, Value};

pub(crate) struct Peer {
    stream: MemoryStream,
    unread: Vec<u8>,
}

impl Peer {
    /// A peer of a connection that serves `service`.
    pub(crate) fn of(service: impl Service + 'static, limits: Limits) -> (Peer, Connection) {
        let (near, far) = memory::pair();
        let connection = Connection::over(far).service(service).limits(limits).accept().unwrap();
        (Peer { stream: near, unread: Vec::new() }, connection)
    }

    pub(crate) fn over(stream: MemoryStream) -> Peer {
        Peer { stream, unread: Vec::new() }
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a message, given as the elements of its array.
    pub(crate) fn send(&mut self, elements: Vec<Value>) {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &Value::Array(elements)).unwrap();
        self.send_bytes(&bytes);
    }

    pub(crate) fn request(&mut self, id: u32, method: &str, params: Vec<Value>) {
        self.send(vec![0.into(), id.into(), method.into(), Value::Array(params)]);
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Vec<Value>> {
        loop {
            let mut rest = &self.unread[..];
            if let Ok(Value::Array(elements)) = rmpv::decode::read_value(&mut rest) {
                let used = self.unread.len() - rest.len();
                self.unread.drain(..used);
                return Some(elements);
            }
            let mut buf = [0; 4096];
            match self.stream.read(&mut buf).unwrap_or(0) {
                0 => {
                    assert!(self.unread.is_empty(), "the connection ended within a message: {:?}", self.unread);
                    return None;
                }
                count => self.unread.extend_from_slice(&buf[..count]),
            }
        }
    }

    /// The result of the next message, which has to be the answer to `id`.
    pub(crate) fn result(&mut self, id: u32) -> Value {
        let message = self.next().unwrap();
        assert_eq!(message[..3], [1.into(), id.into(), Value::Nil], "{message:?}");
        message[3].clone()
    }

    /// The code and text of the next message, which has to be a failed answer to `id`.
    pub(crate) fn failure(&mut self, id: u32) -> (i64, String) {
        let message = self.next().unwrap();
        assert_eq!(message[..2], [1.into(), id.into()], "{message:?}");
        let error = message[2].as_array().unwrap();
        (error[0].as_i64().unwrap(), error[1].as_str().unwrap().to_owned())
    }

    pub(crate) fn stream(&self) -> &MemoryStream {
        &self.stream
    }
}
