//! Who is at the other end.

use std::io;
use std::os::fd::AsFd;

/// The process at the other end of a Unix socket when the connection was made.
///
/// It cannot be forged, but it may be old: the process may have ended since, or handed its end to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number, where the system knows one.
    pub pid: Option<i32>,
}

pub(super) fn of_peer(socket: impl AsFd) -> io::Result<UCred> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    let pid = peer.pid.as_raw_nonzero().get();
    Ok(UCred { uid: peer.uid.as_raw(), gid: peer.gid.as_raw(), pid: (pid > 0).then_some(pid) })
}
