//! Listening for TLS connections.

use std::io;
use std::net::SocketAddr;

use grapeshot_net::{TcpListener, TcpStream, ToSocketAddrs};

use crate::acceptor::TlsAcceptor;
use crate::config::ServerConfig;
use crate::stream::TlsStream;

/// A TCP listener whose connections speak TLS.
///
/// An accepted connection has not begun its handshake: the coroutine that uses it does, so a slow client keeps
/// nobody else from being accepted.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::TcpStream;
/// use grapeshot_tls::{TlsListener, TlsStream};
/// # #[cfg(feature = "self-signed")] {
///
/// test::run(|| {
///     let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
///     let listener = TlsListener::bind("127.0.0.1:0", own.server_config().unwrap()).unwrap();
///     let address = listener.local_addr().unwrap();
///     let acceptor = spawn(move || {
///         let (mut stream, _) = listener.accept().unwrap();
///         spawn(move || stream.write_all(b"hello").unwrap()).join().unwrap();
///     });
///     let config = own.client_config().unwrap();
///     let mut stream = TlsStream::client(TcpStream::connect(address).unwrap(), &config, "localhost").unwrap();
///     let mut greeting = String::new();
///     stream.read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
///     acceptor.join().unwrap();
/// });
/// # }
/// ```
#[derive(Debug)]
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    /// Listens on the first of the addresses that can be had.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    pub fn bind(addresses: impl ToSocketAddrs, config: ServerConfig) -> io::Result<TlsListener> {
        Ok(TlsListener::new(TcpListener::bind(addresses)?, config))
    }

    /// Takes over a listener.
    pub fn new(listener: TcpListener, config: ServerConfig) -> TlsListener {
        TlsListener { listener, acceptor: TlsAcceptor::new(config) }
    }

    /// Waits for a connection and returns it, its handshake not begun, with the peer's address.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn accept(&self) -> io::Result<(TlsStream<TcpStream>, SocketAddr)> {
        let (stream, address) = self.listener.accept()?;
        Ok((self.acceptor.accept(stream)?, address))
    }

    /// What makes connections of streams: for [`sniff`](TlsAcceptor::sniff), which is for the connection's own coroutine.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The listener below, to set limits on, or to accept from and [`sniff`](TlsAcceptor::sniff).
    pub fn inner(&self) -> &TcpListener {
        &self.listener
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Ends a blocked `accept` with an error, refuses all further ones, and stops listening.
    ///
    /// Idempotent; answers whether it was open. Never suspends.
    pub fn close(&self) -> bool {
        self.listener.close()
    }
}
