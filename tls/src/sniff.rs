//! TLS and plain text on one port, told apart by the first byte (SYL-11).
//!
//! ```text
//!   0x16            a handshake record of TLS (RFC 8446, 5.1)      TLS
//!   0x80 to 0xff    the length of a hello of SSL 2.0 (RFC 6101, E) refused, with an alert
//!   anything else   no record of TLS that could come first         plain
//! ```

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;

use grapeshot_core::WaitLimit;
use grapeshot_net::TcpStream;

use crate::carrier::Carrier;
use crate::config::ServerConfig;
use crate::error::{Peer, TlsError};
use crate::proto::Protocol;
use crate::stream::TlsStream;

/// A fatal alert, protocol_version, in a record of the oldest version that a client of SSL 2.0 can know of.
const WRONG_VERSION: [u8; 7] = [21, 3, 0, 0, 2, 2, 70];

/// What such a client says first is no longer, unless it offers very much.
const SSL2_HELLO: usize = 256;

/// What a client on a port for both wants, by [`TlsAcceptor::sniff`](crate::TlsAcceptor::sniff).
///
/// No byte has been taken off the stream, and the handshake has not begun.
///
/// A client that says nothing is given as long as for a handshake ([`Limits`](crate::Limits)), and then it is an error
/// of kind `TimedOut`; one that ends the stream without a word counts as plain, whose end it then is.
/// One that speaks SSL 2.0 (RFC 6176) is told that this is no version to speak, and is a
/// [`TlsError::NotTls`] with [`Protocol::Ssl2`].
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::{TcpListener, TcpStream};
/// use grapeshot_tls::{Sniffed, TlsAcceptor};
/// # #[cfg(feature = "self-signed")] {
///
/// test::run(|| {
///     let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
///     let acceptor = TlsAcceptor::new(own.server_config().unwrap());
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     let client = spawn(move || TcpStream::connect(address).unwrap().write_all(b"GET / HTTP/1.1\r\n").unwrap());
///     let mut request = String::new();
///     match acceptor.sniff(listener.accept().unwrap().0).unwrap() {
///         Sniffed::Tls(mut stream) => stream.read_to_string(&mut request).unwrap(),
///         Sniffed::Plain(mut stream) => stream.read_to_string(&mut request).unwrap(),
///     };
///     assert_eq!(request, "GET / HTTP/1.1\r\n");
///     client.join().unwrap();
/// });
/// # }
/// ```
// A box would cost an allocation per connection, for a value that is taken apart at once.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Sniffed {
    /// TLS.
    Tls(TlsStream<TcpStream>),
    /// Anything else.
    Plain(TcpStream),
}

pub(crate) fn sniff(stream: TcpStream, config: &ServerConfig) -> io::Result<Sniffed> {
    let mut first = [0];
    let limit = config.limits().handshake;
    let seen = stream.peek_within(&mut first, WaitLimit::After(limit)).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => TlsError::HandshakeTimedOut { peer: Peer::Client(stream.peer()), limit }.into(),
        _ => error,
    })?;
    match &first[..seen] {
        [22] => TlsStream::server(stream, config).map(Sniffed::Tls),
        [0x80..=0xff] => {
            // Whether it can be told is of no matter any more. What it has said is read, since the system would otherwise
            // reset the connection, and the peer might not get to see the alert.
            let _ = Carrier::try_write(&stream, &WRONG_VERSION);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.source().inner().read(&mut [0; SSL2_HELLO]);
            Err(TlsError::NotTls { peer: Peer::Client(stream.peer()), protocol: Protocol::Ssl2 }.into())
        }
        _ => Ok(Sniffed::Plain(stream)),
    }
}
