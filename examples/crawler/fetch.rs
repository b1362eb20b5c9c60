//! GET over HTTP/1.1 by hand (RFC 9112): one request a connection, and a limit on everything the server says.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;

use grapeshot::net::{BufStream, TcpStream};

const LINE_BYTES: usize = 8 * 1024;
const HEADER_LINES: usize = 100;
const BODY_BYTES: usize = 256 * 1024;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    server: SocketAddr,
    path: String,
}

impl Address {
    pub(crate) fn new(server: SocketAddr, path: &str) -> Address {
        Address { server, path: path.to_owned() }
    }

    /// `http://127.0.0.1:8080/path`
    pub(crate) fn parse(address: &str) -> Option<Address> {
        let rest = address.strip_prefix("http://")?;
        let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // What would end the request line, or add another, is no part of an address.
        let is_clean = path.bytes().all(|byte| byte.is_ascii_graphic());
        is_clean.then_some(Address::new(server.parse().ok()?, if path.is_empty() { "/" } else { path }))
    }

    /// The addresses on the same server that a page has in `href="..."`.
    pub(crate) fn links(&self, body: &[u8]) -> Vec<Address> {
        let body = String::from_utf8_lossy(body);
        let hrefs = body.split("href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
        hrefs
            .filter_map(|href| match href.strip_prefix('/') {
                Some(_) => Address::parse(&format!("http://{}{href}", self.server)),
                None => Address::parse(href).filter(|address| address.server == self.server),
            })
            .collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.server, self.path)
    }
}

pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// How the length of a body is told (RFC 9112, section 6.3).
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Fetches a page. How long that may take is up to the caller.
pub(crate) fn fetch(address: &Address) -> io::Result<Page> {
    let mut stream = BufStream::new(TcpStream::connect(address.server)?);
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.path, address.server)?;
    stream.flush()?;
    let status_line = line(&mut stream)?;
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| invalid("the answer is no HTTP/1"))?;
    let body = match framing(&mut stream)? {
        Framing::Length(length) => stream.read_exact_vec(within(length)?)?,
        Framing::Chunked => chunks(&mut stream)?,
        Framing::UntilClose => {
            within(stream.read_upto(BODY_BYTES + 1)?)?;
            stream.take_buffered()
        }
    };
    Ok(Page { status, body })
}

fn framing(stream: &mut BufStream<TcpStream>) -> io::Result<Framing> {
    let mut framing = Framing::UntilClose;
    for _ in 0..HEADER_LINES {
        let header = line(stream)?.to_ascii_lowercase();
        let (name, value) = match header.split_once(':') {
            Some((name, value)) => (name, value.trim()),
            None if header.is_empty() => return Ok(framing),
            None => return Err(invalid("a header line has no colon")),
        };
        match name {
            "transfer-encoding" if value == "chunked" => framing = Framing::Chunked,
            "transfer-encoding" => return Err(invalid("the body is encoded in an unknown way")),
            // The transfer encoding comes first, wherever it stands.
            "content-length" if !matches!(framing, Framing::Chunked) => {
                framing = Framing::Length(value.parse().map_err(|_| invalid("the length is no number"))?);
            }
            _ => {}
        }
    }
    Err(invalid("there are too many header lines"))
}

/// `chunk-size [ chunk-ext ] CRLF chunk-data CRLF` until a size of zero (RFC 9112, section 7.1).
fn chunks(stream: &mut BufStream<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let head = line(stream)?;
        let size = head.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| invalid("the size of a chunk is no number"))?;
        if size == 0 {
            return Ok(body);
        }
        within(size.saturating_add(body.len()))?;
        body.extend(stream.read_exact_vec(size)?);
        if !line(stream)?.is_empty() {
            return Err(invalid("a chunk is longer than its size"));
        }
    }
}

/// A line without its end; that the server hangs up before that is an error.
fn line(stream: &mut BufStream<TcpStream>) -> io::Result<String> {
    let line = stream.read_line(LINE_BYTES)?;
    let text = line.strip_suffix(b"\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned())
}

fn within(length: usize) -> io::Result<usize> {
    if length <= BODY_BYTES { Ok(length) } else { Err(invalid("the page is larger than 256 KiB")) }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
