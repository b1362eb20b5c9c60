//! What a server listens on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use grapeshot_net::{TcpListener, ToSocketAddrs, UnixListener};
#[cfg(feature = "tls")]
use grapeshot_tls::{ServerConfig, TlsListener};

use crate::transport::Transport;

/// A listener, of any kind that a [`Server`](super::Server) can have.
///
/// It is made of a listener of `grapeshot_net` or `grapeshot_tls` by `into`.
#[derive(Debug)]
pub struct Listening {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
    #[cfg(feature = "tls")]
    Tls(TlsListener),
}

impl Listening {
    pub(super) fn tcp(addresses: impl ToSocketAddrs) -> io::Result<Listening> {
        let addresses = addresses.to_socket_addrs()?;
        let listener = TcpListener::bind(addresses.as_slice()).map_err(|error| {
            let all = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            cannot_listen(&all, &error)
        })?;
        Ok(listener.into())
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(addresses: impl ToSocketAddrs, config: &ServerConfig) -> io::Result<Listening> {
        let Listening { kind: Kind::Tcp(listener) } = Listening::tcp(addresses)? else { unreachable!("it is TCP") };
        Ok(TlsListener::new(listener, config.clone()).into())
    }

    pub(super) fn unix(path: &Path) -> io::Result<(Listening, SocketFile)> {
        let listener = UnixListener::bind(path).map_err(|error| cannot_listen(&path.display(), &error))?;
        Ok((listener.into(), SocketFile { path: path.to_owned() }))
    }

    /// Waits for a connection.
    pub(super) fn accept(&self) -> io::Result<Box<dyn Transport>> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Small messages are to leave at once; what fails here costs time, not sense.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Kind::Unix(listener) => Ok(Box::new(listener.accept()?.0)),
            #[cfg(feature = "tls")]
            Kind::Tls(listener) => {
                let (stream, _) = listener.accept()?;
                let _ = stream.inner().set_nodelay(true);
                Ok(Box::new(stream))
            }
        }
    }

    /// From now on `accept` takes only those who have connected already.
    pub(super) fn stop_waiting(&self) {
        // Neither is zero, so both are taken.
        let soon = Some(std::time::Duration::from_nanos(1));
        let _ = match &self.kind {
            Kind::Tcp(listener) => listener.set_accept_timeout(soon).and_then(|()| listener.set_backoff(None)),
            Kind::Unix(listener) => listener.set_accept_timeout(soon).and_then(|()| listener.set_backoff(None)),
            #[cfg(feature = "tls")]
            Kind::Tls(listener) => {
                let listener = listener.inner();
                listener.set_accept_timeout(soon).and_then(|()| listener.set_backoff(None))
            }
        };
    }

    pub(super) fn close(&self) {
        match &self.kind {
            Kind::Tcp(listener) => listener.close(),
            Kind::Unix(listener) => listener.close(),
            #[cfg(feature = "tls")]
            Kind::Tls(listener) => listener.close(),
        };
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr(),
            Kind::Unix(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "a Unix socket has a path, and no address with a port"))
            }
            #[cfg(feature = "tls")]
            Kind::Tls(listener) => listener.local_addr(),
        }
    }
}

fn cannot_listen(place: &impl fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {place}: {error}"))
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Listening {
        Listening { kind: Kind::Tcp(listener) }
    }
}

impl From<UnixListener> for Listening {
    fn from(listener: UnixListener) -> Listening {
        Listening { kind: Kind::Unix(listener) }
    }
}

#[cfg(feature = "tls")]
impl From<TlsListener> for Listening {
    fn from(listener: TlsListener) -> Listening {
        Listening { kind: Kind::Tls(listener) }
    }
}

/// The file of a Unix socket that this server has made, which goes with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; then there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}
