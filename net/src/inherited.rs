//! Sockets that a service manager opened and handed over: systemd's socket activation, and whatever does the same.
//!
//! They outlive a restart of the program, so that no connection is refused meanwhile, and may have ports that the
//! program itself is not allowed to open. Source: sd_listen_fds(3).

use std::env;
use std::fmt;
use std::io::{self, ErrorKind};

use listenfd::ListenFd;

use crate::options::SocketOptions;
use crate::tcp::TcpListener;
use crate::udp::UdpSocket;
use crate::unix::{UnixDatagram, UnixListener};

/// The sockets this process was started with, numbered from zero in the order of the manager's configuration.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::{Inherited, TcpListener};
///
/// test::run(|| {
///     let mut inherited = Inherited::from_env();
///     let listener = if inherited.is_empty() {
///         TcpListener::bind("127.0.0.1:0").unwrap()
///     } else {
///         inherited.take_tcp_listener(0).unwrap()
///     };
///     drop(listener);
/// });
/// ```
pub struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

/// One taking function for each kind of socket.
macro_rules! takes {
    ($($(#[$doc:meta])* $name:ident -> $Socket:ident;)*) => {
        impl Inherited {$(
            $(#[$doc])*
            ///
            /// The socket is closed on exec from now on.
            ///
            /// # Errors
            ///
            /// `NotFound` when there is none with this number, or none any more;
            /// `InvalidInput` when it is of another kind, and it is left where it is if that can be told without taking it.
            pub fn $name(&mut self, index: usize) -> io::Result<$Socket> {
                let taken = self.sockets.$name(index);
                let taken = taken.map_err(|error| Inherited::explained(index, error.kind(), &error))?;
                $Socket::from_std(taken.ok_or_else(|| self.missing(index))?)
            }
        )*}
    };
}

takes! {
    /// Takes a UDP socket.
    take_udp_socket -> UdpSocket;
    /// Takes a Unix datagram socket.
    take_unix_datagram -> UnixDatagram;
}

impl Inherited {
    /// Looks for what the environment announces: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES. Never suspends.
    ///
    /// Call it once and early, before there are other threads: it takes the first two out of the environment,
    /// so that programs started from here do not think the sockets are theirs. Later calls find none.
    /// Sockets that are announced to another process are left alone.
    pub fn from_env() -> Inherited {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sockets = ListenFd::from_env();
        let names = if sockets.len() == 0 { Vec::new() } else { names };
        Inherited { sockets, names }
    }

    /// How many there were, those included that have been taken.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the sockets with this name; systemd's is that of the unit unless configured.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.names.iter().enumerate().filter(move |(_, known)| *known == name).map(|(index, _)| index)
    }

    /// Takes a listening TCP socket.
    ///
    /// It is closed on exec from now on.
    ///
    /// # Errors
    ///
    /// As [`take_udp_socket`](Self::take_udp_socket); `InvalidInput` also for one that does not listen,
    /// such as the connection that systemd hands over with `Accept=yes`, which is closed.
    pub fn take_tcp_listener(&mut self, index: usize) -> io::Result<TcpListener> {
        let taken = self.sockets.take_tcp_listener(index);
        let taken = taken.map_err(|error| Inherited::explained(index, error.kind(), &error))?;
        let listener = TcpListener::from_std(taken.ok_or_else(|| self.missing(index))?)?;
        Inherited::check_listens(index, &listener)?;
        Ok(listener)
    }

    /// Takes a listening Unix socket.
    ///
    /// It is closed on exec from now on.
    ///
    /// # Errors
    ///
    /// As [`take_tcp_listener`](Self::take_tcp_listener).
    pub fn take_unix_listener(&mut self, index: usize) -> io::Result<UnixListener> {
        let taken = self.sockets.take_unix_listener(index);
        let taken = taken.map_err(|error| Inherited::explained(index, error.kind(), &error))?;
        let listener = UnixListener::from_std(taken.ok_or_else(|| self.missing(index))?)?;
        Inherited::check_listens(index, &listener)?;
        Ok(listener)
    }

    fn check_listens(index: usize, listener: &impl SocketOptions) -> io::Result<()> {
        if listener.is_listener()? {
            return Ok(());
        }
        Err(Inherited::explained(index, ErrorKind::InvalidInput, &"it does not listen"))
    }

    fn missing(&self, index: usize) -> io::Error {
        let why = match self.len() {
            0 => "this process was started with none".to_owned(),
            len if index < len => "it has been taken already".to_owned(),
            len => format!("this process was started with {len}, counted from 0"),
        };
        Inherited::explained(index, ErrorKind::NotFound, &why)
    }

    fn explained(index: usize, kind: ErrorKind, why: &dyn fmt::Display) -> io::Error {
        io::Error::new(kind, format!("inherited socket {index}: {why}"))
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inherited").field("len", &self.len()).field("names", &self.names).finish()
    }
}
