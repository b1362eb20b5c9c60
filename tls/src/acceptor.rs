//! The server's end of connections that somebody else has accepted.

use std::io;

use grapeshot_net::TcpStream;

use crate::carrier::Carrier;
use crate::config::ServerConfig;
use crate::sniff::{Sniffed, sniff};
use crate::stream::TlsStream;

/// Makes TLS connections of accepted streams, with one configuration. Cheap to clone.
///
/// It waits for no client: what it hands out does its handshake in whatever coroutine uses it first.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::UnixStream;
/// use grapeshot_tls::TlsAcceptor;
/// # #[cfg(feature = "self-signed")] {
///
/// test::run(|| {
///     let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
///     let acceptor = TlsAcceptor::new(own.server_config().unwrap());
///     let (near, far) = UnixStream::pair().unwrap();
///     let client = own.client_config().unwrap();
///     let client = spawn(move || {
///         let mut stream = grapeshot_tls::TlsStream::client(near, &client, "localhost").unwrap();
///         stream.write_all(b"hello").unwrap();
///     });
///     let mut greeting = String::new();
///     acceptor.accept(far).unwrap().read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
///     client.join().unwrap();
/// });
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    config: ServerConfig,
}

impl TlsAcceptor {
    /// With this configuration.
    pub fn new(config: ServerConfig) -> TlsAcceptor {
        TlsAcceptor { config }
    }

    /// The configuration.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// The server's end of a TLS connection over `stream`; its handshake has not begun. Never suspends.
    ///
    /// # Errors
    ///
    /// As [`TlsStream::server`].
    pub fn accept<S: Carrier>(&self, stream: S) -> io::Result<TlsStream<S>> {
        TlsStream::server(stream, &self.config)
    }

    /// Waits for the client's first byte, and tells by it whether the client wants TLS (SYL-11).
    ///
    /// # Errors
    ///
    /// As [`Sniffed`] says; what the stream fails with.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; the stream is dropped.
    pub fn sniff(&self, stream: TcpStream) -> io::Result<Sniffed> {
        sniff(stream, &self.config)
    }
}
