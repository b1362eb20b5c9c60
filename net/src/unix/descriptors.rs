//! Descriptors that travel along with bytes (SCM_RIGHTS, unix(7)).

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::datagram::UnixDatagram;
use super::stream::UnixStream;
use crate::channel::Channel;

/// The most descriptors that one call sends; the kernel's own limit (SCM_MAX_FD).
pub const MAX_DESCRIPTORS: usize = 253;

/// Room for as many as the kernel sends at once, so that none is lost for want of room,
/// and for the sender's credentials, which come unasked on some sockets (SO_PASSCRED).
const ROOM: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS), ScmCredentials(1));

/// A peer sent more descriptors than it was allowed to, all of which have been closed;
/// found inside an [`io::Error`] of kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDescriptors {
    sent: usize,
    allowed: usize,
}

impl fmt::Display for TooManyDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer sent {} descriptors where at most {} are taken", self.sent, self.allowed)
    }
}

impl std::error::Error for TooManyDescriptors {}

impl<S: AsFd> Channel<S> {
    fn send_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if buf.is_empty() && !fds.is_empty() {
            let why = "descriptors travel with bytes: send at least one byte along";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if fds.len() > MAX_DESCRIPTORS {
            let why = format!("{} descriptors in one call: the system takes at most {MAX_DESCRIPTORS}", fds.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.give("send_with_fds", |socket| {
            let mut room = [MaybeUninit::uninit(); ROOM];
            let mut control = SendAncillaryBuffer::new(&mut room);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(rustix::net::sendmsg(socket, &[IoSlice::new(buf)], &mut control, SendFlags::NOSIGNAL)?)
        })
    }

    fn recv_with_fds(&self, buf: &mut [u8], max_fds: usize) -> io::Result<(usize, Vec<OwnedFd>)> {
        let (received, fds, cut) = self.take("recv_with_fds", |socket| {
            let mut room = [MaybeUninit::uninit(); ROOM];
            let mut control = RecvAncillaryBuffer::new(&mut room);
            let message =
                rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buf)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let mut fds = Vec::new();
            for part in control.drain() {
                if let RecvAncillaryMessage::ScmRights(sent) = part {
                    fds.extend(sent);
                }
            }
            Ok((message.bytes, fds, message.flags.contains(ReturnFlags::CTRUNC)))
        })?;
        if cut {
            let why = "descriptors sent by the peer were lost: this process may have no more open (RLIMIT_NOFILE)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if fds.len() > max_fds {
            let error = TooManyDescriptors { sent: fds.len(), allowed: max_fds };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok((received, fds))
    }
}

/// The same for streams and datagrams.
macro_rules! passes_descriptors {
    ($Handle:ident) => {
        impl $Handle {
            /// Sends bytes, and duplicates of the descriptors along with the first of them. Not in std.
            ///
            /// Answers how many bytes were sent; all descriptors were, if one byte was.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for more than [`MAX_DESCRIPTORS`](crate::unix::MAX_DESCRIPTORS), or for descriptors
            /// without a byte; [`io::ErrorKind::TimedOut`] after the write timeout; what the system says.
            ///
            /// # Cancellation
            ///
            /// Unwinds; nothing has been sent then.
            pub fn send_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
                self.channel.send_with_fds(buf, fds)
            }

            /// Receives bytes, and the descriptors that were sent along with them. Not in std.
            ///
            /// On a stream it stops after the bytes that came with descriptors, so that each batch stays with its bytes.
            /// The descriptors are closed on exec. An ordinary read of such bytes closes the descriptors.
            ///
            /// # Errors
            ///
            /// [`TooManyDescriptors`](crate::unix::TooManyDescriptors) when more than `max_fds` came: all of them have
            /// been closed and the bytes are lost, so end the connection. `InvalidData` when the system could not give
            /// this process all of them. [`io::ErrorKind::TimedOut`] after the read timeout; what the system says.
            ///
            /// # Cancellation
            ///
            /// Unwinds; nothing is lost.
            pub fn recv_with_fds(&self, buf: &mut [u8], max_fds: usize) -> io::Result<(usize, Vec<OwnedFd>)> {
                self.channel.recv_with_fds(buf, max_fds)
            }
        }
    };
}

passes_descriptors!(UnixStream);
passes_descriptors!(UnixDatagram);
