//! What a server listens on.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use grapeshot_net::{TcpListener, ToSocketAddrs, UnixDatagram, UnixListener};
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
        let listener = bind_unix(path).map_err(|error| cannot_listen(&path.display(), &error))?;
        Ok((listener.into(), SocketFile::of(path)))
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

/// Listens at a path, if need be in place of a server that was killed and left its file behind.
///
/// Two servers that start at the same moment where such a file lies can both find it abandoned. The second then removes
/// the file that the first has made, which listens on, and is not found. A supervisor starts one at a time.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let taken = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    let in_use = |what: &str| Err(io::Error::new(taken.kind(), format!("{taken}: {what}")));
    match Found::at(path)? {
        Found::Nothing => {}
        Found::OtherFile => return in_use("what is there is no socket; remove it, or listen elsewhere"),
        Found::Socket => return in_use("another process listens there; end it, or listen elsewhere"),
        Found::AbandonedSocket => fs::remove_file(path).or_else(nothing_there)?,
    }
    UnixListener::bind(path)
}

/// What is in the way at a path.
enum Found {
    /// It has gone meanwhile.
    Nothing,
    /// No socket: a symbolic link is none either, whatever it leads to.
    OtherFile,
    Socket,
    /// The file of a socket that no process has any more.
    AbandonedSocket,
}

impl Found {
    fn at(path: &Path) -> io::Result<Found> {
        match fs::symlink_metadata(path) {
            Ok(file) if !file.file_type().is_socket() => return Ok(Found::OtherFile),
            Ok(_) => {}
            Err(error) => return nothing_there(error).map(|()| Found::Nothing),
        }
        // A socket of another type, unlike a stream, neither waits for room in a queue nor is a visitor to the server,
        // and it tells a socket that does not listen yet from one that is gone.
        match UnixDatagram::unbound()?.connect(path) {
            // unix(7): "The remote socket does not match the local socket type", so there is one.
            Err(error) if error.raw_os_error() == Some(WRONG_TYPE) => Ok(Found::Socket),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Found::AbandonedSocket),
            Err(error) => nothing_there(error).map(|()| Found::Nothing),
            Ok(()) => Ok(Found::Socket),
        }
    }
}

/// EPROTOTYPE, for which std has no name. Where Linux has another number for it, as on MIPS, the server does not take over
/// either: it fails with the system's words instead of ours.
const WRONG_TYPE: i32 = 91;

/// That there is no file is what was wanted; other errors stay.
fn nothing_there(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The file of a Unix socket that this server has made, which goes with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Nothing if it was gone at once; then there is nothing to remove.
    own: Option<FileIdentity>,
}

/// Which file it is, by device, number and time: numbers of removed files are given again.
type FileIdentity = (u64, u64, (i64, i64));

impl SocketFile {
    fn of(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), own: identity(path) }
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    let of = |file: Metadata| (file.dev(), file.ino(), (file.mtime(), file.mtime_nsec()));
    fs::symlink_metadata(path).ok().map(of)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A successor may have taken the path over already, and somebody else may have removed the file.
        if self.own.is_some() && identity(&self.path) == self.own {
            let _ = fs::remove_file(&self.path);
        }
    }
}
