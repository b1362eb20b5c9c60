//! Listening for object connections.

use std::io;
use std::net::SocketAddr;

use grapeshot_net::{TcpListener, TcpStream, ToSocketAddrs};

use super::connection::Connection;
use crate::auth::Keys;
use crate::limits::Limits;

/// A TCP listener whose connections carry objects, to and from those who know a key.
///
/// An accepted connection has not begun its handshake: the coroutine that uses it does, so a peer that says nothing
/// keeps nobody else from being accepted. See the [module](crate::objects) for an example.
///
/// For other streams, accept by their own listener and have the [`Connection`] be [`demanding`](Connection::demanding).
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    keys: Keys,
    limits: Limits,
}

impl Listener {
    /// Listens on the first of the addresses that can be had, for peers that know the key, or one of the keys.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    pub fn bind(addresses: impl ToSocketAddrs, keys: impl Into<Keys>) -> io::Result<Listener> {
        Ok(Listener::new(TcpListener::bind(addresses)?, keys))
    }

    /// Takes over a listener.
    pub fn new(listener: TcpListener, keys: impl Into<Keys>) -> Listener {
        Listener { listener, keys: keys.into(), limits: Limits::default() }
    }

    /// Sets the limits of the connections, as [`Connection::limits`] does.
    pub fn limits(self, limits: Limits) -> Listener {
        Listener { limits, ..self }
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
    pub fn accept(&self) -> io::Result<(Connection<TcpStream>, SocketAddr)> {
        let (stream, address) = self.listener.accept()?;
        // Objects are small, and each is written as a whole. A peer that has gone already is noticed when it is used.
        let _ = stream.set_nodelay(true);
        Ok((Connection::new(stream).limits(&self.limits).demanding(&self.keys), address))
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

    /// The listener below.
    pub fn inner(&self) -> &TcpListener {
        &self.listener
    }
}
