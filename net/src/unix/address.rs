//! Addresses of Unix sockets, and why a path is none.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

/// What unix(7) has room for, less the zero at the end.
const LIMIT: usize = 107;

/// A path does not fit the address of a Unix socket (SOK-13); found inside an [`io::Error`] of kind `InvalidInput`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTooLong {
    path: PathBuf,
}

impl fmt::Display for PathTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, len) = (self.path.display(), self.path.as_os_str().len());
        write!(f, "the path {path} has {len} bytes; the address of a Unix socket holds at most {LIMIT}")
    }
}

impl std::error::Error for PathTooLong {}

/// The address that a path is.
pub(super) fn of_path(path: &Path) -> io::Result<SocketAddr> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
    match path.as_os_str().as_bytes() {
        [] => Err(refused("an empty path is not the address of a Unix socket")),
        bytes if bytes.contains(&0) => Err(refused("the path of a Unix socket contains a zero byte")),
        bytes if bytes.len() > LIMIT => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, PathTooLong { path: path.to_owned() }))
        }
        _ => SocketAddr::from_pathname(path),
    }
}

/// The same address in the terms of socket2.
pub(super) fn for_system(address: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    let Some(name) = address.as_abstract_name() else {
        let why = "an address without a name cannot be connected to or listened on";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    // unix(7): an abstract name is one that begins with a zero byte.
    let with_zero = [b"\0", name].concat();
    SockAddr::unix(std::ffi::OsStr::from_bytes(&with_zero))
}
