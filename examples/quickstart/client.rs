//! Just enough of an HTTP/1.1 client to drive the service: one connection, any bytes out, answers in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;

use grapeshot::net::TcpStream;
use grapeshot::tls::{ClientConfig, TlsStream};

/// Longest head and longest body of an answer, in bytes.
const HEAD_BYTES: u64 = 64 << 10;
const BODY_BYTES: u64 = 16 << 20;

/// A connection.
pub(crate) struct Client<S = TcpStream> {
    stream: BufReader<S>,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        // A request sent in two writes would otherwise wait for the server's acknowledgement of the first.
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Where the server sees us.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().local_addr()
    }
}

impl Client<TlsStream<TcpStream>> {
    pub(crate) fn connect_tls(address: SocketAddr, config: &ClientConfig) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let stream = TlsStream::client(stream, config, &address.ip().to_string())?;
        stream.handshake()?;
        Ok(Client { stream: BufReader::new(stream) })
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: self-test\r\n\r\n"))?;
        self.read_answer()
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: self-test\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        self.send(body)?;
        self.read_answer()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Reads one answer, passing over interim ones such as 100.
    pub(crate) fn read_answer(&mut self) -> io::Result<Answer> {
        loop {
            let (status, headers) = self.read_head()?;
            if status >= 200 {
                let mut answer = Answer { status, headers, body: Vec::new() };
                self.read_body(&mut answer)?;
                return Ok(answer);
            }
        }
    }

    /// Reads a head and leaves the body to be read.
    pub(crate) fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let mut lines = self.stream.by_ref().take(HEAD_BYTES).lines();
        let mut line = || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
        let first = line()?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| malformed("status line", &first))?;
        let mut headers = Vec::new();
        loop {
            let header = line()?;
            if header.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = header.split_once(':').ok_or_else(|| malformed("header", &header))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn read_body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if answer.header("transfer-encoding") == Some("chunked") {
            while self.read_chunk(&mut answer.body)? {}
            return Ok(());
        }
        let length = answer.header("content-length");
        let length = length.map(|length| length.parse().map_err(|_| malformed("content-length", length)));
        // RFC 9112 section 6.3: without a length the body ends with the connection.
        let most = length.unwrap_or(Ok(BODY_BYTES))?.min(BODY_BYTES);
        self.stream.by_ref().take(most).read_to_end(&mut answer.body)?;
        Ok(())
    }

    /// Reads a chunk onto the end of `body`; false after the last one.
    pub(crate) fn read_chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let mut line = String::new();
        self.stream.by_ref().take(256).read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim_end(), 16).map_err(|_| malformed("chunk size", &line))?;
        if body.len() as u64 + size > BODY_BYTES {
            return Err(malformed("chunk size, the body is too long", &line));
        }
        self.stream.by_ref().take(size).read_to_end(body)?;
        let mut end = [0; 2];
        self.stream.read_exact(&mut end)?;
        Ok(size > 0)
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

fn malformed(what: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer's {what} is {text:?}"))
}
