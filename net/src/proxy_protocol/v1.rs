//! Version 1: one line of text (section 2.1).
//!
//! ```text
//! "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP source-port SP destination-port CRLF
//! "PROXY" SP "UNKNOWN" [SP anything] CRLF
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Announced, Header, MalformedHeader, Transport, Version, first_difference, malformed};

const START: &[u8] = b"PROXY ";

/// "107 bytes is the worst case": the longest line, with its end.
const LONGEST: usize = 107;

pub(super) fn parse(bytes: &[u8], max_len: usize) -> Result<Option<(Header, usize)>, MalformedHeader> {
    if let Some(offset) = first_difference(bytes, START) {
        return malformed(offset, "a version 1 header begins with \"PROXY \"");
    }
    let longest = LONGEST.min(max_len);
    let window = &bytes[..bytes.len().min(longest)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= longest {
            return malformed(longest, "the line has not ended within its longest");
        }
        return Ok(None);
    };
    let announced = line(&bytes[..end])?;
    Ok(Some((Header { version: Version::One, announced, tlvs: Vec::new() }, end + 2)))
}

/// What a line says, without its end.
fn line(line: &[u8]) -> Result<Announced, MalformedHeader> {
    let mut fields = Fields { line, position: START.len() };
    let (at, family) = fields.next("the family is missing")?;
    match family {
        // "The receiver must ignore anything presented before the CRLF."
        b"UNKNOWN" => Ok(Announced::Unknown),
        b"TCP4" => fields.addresses(|text| Some(IpAddr::V4(text.parse::<Ipv4Addr>().ok()?))),
        b"TCP6" => fields.addresses(|text| Some(IpAddr::V6(text.parse::<Ipv6Addr>().ok()?))),
        _ => malformed(at, "the family is none of TCP4, TCP6, UNKNOWN"),
    }
}

/// The rest of a line, field by field, each after exactly one space.
struct Fields<'a> {
    line: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    /// The next field and where it is.
    fn next(&mut self, missing: &'static str) -> Result<(usize, &'a [u8]), MalformedHeader> {
        let at = self.position;
        let rest = self.line.get(at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        if len == 0 {
            return malformed(at.min(self.line.len()), missing);
        }
        self.position = at + len + 1;
        Ok((at, &rest[..len]))
    }

    fn addresses(&mut self, parse: impl Fn(&str) -> Option<IpAddr>) -> Result<Announced, MalformedHeader> {
        let source = self.address(&parse)?;
        let destination = self.address(&parse)?;
        let source = SocketAddr::new(source, self.port()?);
        let destination = SocketAddr::new(destination, self.port()?);
        if self.position <= self.line.len() {
            return malformed(self.position - 1, "the line goes on after the last port");
        }
        Ok(Announced::Inet { source, destination, transport: Transport::Stream })
    }

    fn address(&mut self, parse: impl Fn(&str) -> Option<IpAddr>) -> Result<IpAddr, MalformedHeader> {
        let (at, text) = self.next("an address is missing")?;
        let address = std::str::from_utf8(text).ok().and_then(parse);
        address.ok_or(MalformedHeader { offset: at, what: "not an address of the family announced" })
    }

    /// "In the range [0..65535]", in the canonical form, so without leading zeros or a sign.
    fn port(&mut self) -> Result<u16, MalformedHeader> {
        let (at, text) = self.next("a port is missing")?;
        let port = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u16>().ok());
        match port {
            Some(port) if port.to_string().as_bytes() == text => Ok(port),
            _ => malformed(at, "not a port from 0 to 65535 in its shortest form"),
        }
    }
}
