//! What a server says of each response, for a log (HTTP-10).

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use http::{StatusCode, Version};

/// One response.
///
/// It prints as one line: the peer, the request line in quotes or `-`, the status, the bytes, the seconds,
/// and the problem in brackets if there is one. Nothing a peer sends can break the line, or the quotes.
///
/// ```text
/// 127.0.0.1:50122 "GET /pages/1?full HTTP/1.1" 200 5120 0.0007
/// 127.0.0.1:50124 - 408 68 0.0000 (request head: not complete within 10s)
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogEntry<'a> {
    /// Whom it went to.
    pub peer: SocketAddr,
    /// What it answers; `None` when the request could not be parsed.
    pub request: Option<RequestLine<'a>>,
    /// The response's status.
    pub status: StatusCode,
    /// The bytes of the response's body, as far as it was sent.
    pub body_bytes: u64,
    /// From the parsed head to the end of the response.
    pub elapsed: Duration,
    /// Why the request was refused, or the response replaced or broken off, if it was.
    pub problem: Option<&'a str>,
}

/// The first line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a str,
    /// The target as it was sent.
    pub target: &'a str,
    /// The version.
    pub version: Version,
}

impl fmt::Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.target, self.version)
    }
}

impl fmt::Display for LogEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogEntry { peer, request, status, body_bytes, elapsed, problem } = self;
        match request {
            Some(request) => write!(f, "{peer} \"{request}\"")?,
            None => write!(f, "{peer} -")?,
        }
        write!(f, " {} {body_bytes} {:.4}", status.as_str(), elapsed.as_secs_f64())?;
        problem.map_or(Ok(()), |problem| write!(f, " ({})", OneLine(problem)))
    }
}

/// Text in which a line break does not end the line: a handler's error may have one.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char.is_control() {
            true => write!(f, "{}", char.escape_default()),
            false => f.write_char(char),
        })
    }
}
