//! Telling TLS from what else may arrive on its port.

use std::fmt;

/// What a peer seems to speak, judged by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// TLS: a handshake record comes first (RFC 8446, 5.1).
    Tls,
    /// A hello in the manner of SSL 2.0, which RFC 6176 prohibits.
    Ssl2,
    /// HTTP without TLS.
    PlainHttp,
    /// HTTP/2 without TLS (RFC 9113, 3.4).
    PlainHttp2,
    /// SSH (RFC 4253, 4.2).
    Ssh,
    /// A greeting of SMTP, FTP, POP3 or IMAP, which may offer STARTTLS.
    Greeting,
    /// Something else.
    Unknown,
}

/// The content type of a handshake record.
const HANDSHAKE: u8 = 22;
/// The content type of an alert, which may come first from a server that refuses at once.
const ALERT: u8 = 21;

/// What a request of HTTP/1 begins with, and a response.
const HTTP_STARTS: &[&[u8]] =
    &[b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH ", b"HTTP/1."];

/// What servers of protocols with STARTTLS say first.
const GREETINGS: &[&[u8]] = &[b"220", b"+OK", b"* OK", b"* PREAUTH"];

impl Protocol {
    /// Judges by the bytes so far; more of them can tell more.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_tls::Protocol;
    ///
    /// assert_eq!(Protocol::of(&[0x16, 0x03, 0x01]), Protocol::Tls);
    /// assert_eq!(Protocol::of(b"GET / HTTP/1.1\r\n"), Protocol::PlainHttp);
    /// ```
    pub fn of(bytes: &[u8]) -> Protocol {
        let begins_with = |start: &&[u8]| bytes.starts_with(start);
        match bytes {
            // The major version has been 3 since SSL 3.0.
            [HANDSHAKE | ALERT] | [HANDSHAKE | ALERT, 3, ..] => Protocol::Tls,
            // A length of two bytes with its highest bit set, and the message's type: client hello.
            [0x80..=0xff, _, 1, ..] => Protocol::Ssl2,
            _ if bytes.starts_with(b"PRI * HTTP/2.0") => Protocol::PlainHttp2,
            _ if HTTP_STARTS.iter().any(begins_with) => Protocol::PlainHttp,
            _ if bytes.starts_with(b"SSH-") => Protocol::Ssh,
            _ if GREETINGS.iter().any(begins_with) => Protocol::Greeting,
            _ => Protocol::Unknown,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tls => "it speaks TLS",
            Protocol::Ssl2 => "it speaks SSL 2.0, which RFC 6176 prohibits",
            Protocol::PlainHttp => "it speaks plain HTTP",
            Protocol::PlainHttp2 => "it speaks HTTP/2 without TLS",
            Protocol::Ssh => "it speaks SSH",
            Protocol::Greeting => "it greets in plain text, and may want STARTTLS",
            Protocol::Unknown => "its first bytes are no record of TLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_is_spoken() {
        let cases: &[(&[u8], Protocol)] = &[
            (&[22], Protocol::Tls),
            (&[22, 3, 1, 0, 5], Protocol::Tls),
            (&[21, 3, 3, 0, 2, 2, 40], Protocol::Tls),
            (&[22, 4], Protocol::Unknown),
            (&[0x80, 0x2e, 1, 0, 2], Protocol::Ssl2),
            (b"GET / HTTP/1.1", Protocol::PlainHttp),
            (b"HTTP/1.1 400 Bad Request", Protocol::PlainHttp),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Protocol::PlainHttp2),
            (b"SSH-2.0-x", Protocol::Ssh),
            (b"220 ready", Protocol::Greeting),
            (b"", Protocol::Unknown),
            (&[0; 64], Protocol::Unknown),
        ];
        for &(bytes, protocol) in cases {
            assert_eq!(Protocol::of(bytes), protocol, "{bytes:?}");
        }
    }
}
