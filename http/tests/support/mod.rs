//! A server in the test's own runtime, and a client that sees every byte of the answers.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]
#![allow(dead_code, reason = "each file uses a part of this")]

#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{JoinHandle, spawn};
use grapeshot_http::{IntoResponse, Limits, Request, Response, Server, ServerHandle, StatusCode};
use grapeshot_net::TcpStream;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A server at work.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    pub(crate) serving: JoinHandle<io::Result<()>>,
}

impl Site {
    pub(crate) fn new<R: IntoResponse>(handler: impl Fn(&mut Request<'_>) -> R + 'static) -> Site {
        Site::with(|_| {}, handler)
    }

    /// With limits of its own.
    pub(crate) fn with<R: IntoResponse>(
        change: impl FnOnce(&mut Limits),
        handler: impl Fn(&mut Request<'_>) -> R + 'static,
    ) -> Site {
        let mut limits = Limits::default();
        change(&mut limits);
        Site::of(Server::bind("127.0.0.1:0").unwrap().limits(limits), handler)
    }

    pub(crate) fn of<R: IntoResponse>(server: Server, handler: impl Fn(&mut Request<'_>) -> R + 'static) -> Site {
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        Site { address, handle, serving: spawn(move || server.serve(handler)) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends `bytes` on a connection of their own and returns all that comes back until it ends.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }
}

/// What most tests serve: the method, the path and the body, after the body has been read.
pub(crate) fn show(request: &mut Request<'_>) -> io::Result<Response> {
    let body = request.body().read_text()?;
    Ok(Response::text(format!("{} {} [{body}]", request.method(), request.path())))
}

/// Sends the body back as it comes in.
pub(crate) fn echo(request: &mut Request<'_>) -> io::Result<Response> {
    let (body, mut writer) = request.stream(Response::new(StatusCode::OK))?;
    io::copy(body, &mut writer)?;
    writer.finish()
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

pub(crate) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn post_chunks(path: &str, chunks: &[&str]) -> String {
    let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

/// The client's end of a connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn over(stream: S) -> Client<S> {
        Client { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the server takes before it breaks off.
    pub(crate) fn send_what_goes(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends a request and reads the response to it.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }

    /// Reads the next response, framed as its own head says.
    pub(crate) fn reply(&mut self) -> Reply {
        let reply = self.reply_to_head();
        let body = match (reply.header("content-length"), reply.header("transfer-encoding")) {
            _ if matches!(reply.status, 100..=199 | 204 | 304) => Vec::new(),
            (Some(length), None) => self.take(length.parse().unwrap()),
            (None, Some("chunked")) => self.chunks(),
            (None, None) => self.rest().into_bytes(),
            (length, coding) => panic!("framed twice or in no known way: {length:?}, {coding:?}"),
        };
        Reply { body, ..reply }
    }

    /// Reads the next response, which has no body whatever its head says.
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read_more() > 0, "the connection ended in a response head: {:?}", self.text());
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap().parse().unwrap();
        Reply { status, head, body: Vec::new() }
    }

    /// Reads everything until the end of the stream.
    pub(crate) fn rest(&mut self) -> String {
        while self.read_more() > 0 {}
        let text = self.text();
        self.received.clear();
        text
    }

    /// Reads everything until the connection ends, in whatever way; says how.
    pub(crate) fn rest_and_end(&mut self) -> (String, io::Result<()>) {
        let mut block = [0; 4096];
        let end = loop {
            match self.stream.read(&mut block) {
                Ok(0) => break Ok(()),
                Ok(len) => self.received.extend_from_slice(&block[..len]),
                Err(error) => break Err(error),
            }
        };
        let text = self.text();
        self.received.clear();
        (text, end)
    }

    /// Asserts that the server has closed the connection without another byte.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        assert_eq!(self.rest(), "", "nothing more was to come");
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            assert!(self.read_more() > 0, "the connection ended in a body: {:?}", self.text());
        }
        self.received.drain(..len).collect()
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// Reads one chunk; the last is empty.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line_len = loop {
            if let Some(at) = find(&self.received, b"\r\n") {
                break at;
            }
            assert!(self.read_more() > 0, "the connection ended in a chunk size: {:?}", self.text());
        };
        let line = self.take(line_len + 2);
        let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
        let mut chunk = self.take(size + 2);
        assert_eq!(chunk.split_off(size), b"\r\n");
        chunk
    }

    fn read_more(&mut self) -> usize {
        let mut block = [0; 4096];
        let len = self.stream.read(&mut block).unwrap();
        self.received.extend_from_slice(&block[..len]);
        len
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// One response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The value of a header that is there at most once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert!(values.next().is_none(), "{name} is there twice: {}", self.head);
        value
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// What a handler notes and a test looks at.
#[derive(Clone, Default)]
pub(crate) struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.borrow_mut().push(note.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}
