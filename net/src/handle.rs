//! The parts of the public types that differ in nothing but the type: written once, expanded for each.

/// What every handle with a field `channel` has: clones, the way to std, and the descriptor.
macro_rules! handle_api {
    ($Handle:ident, $Std:ty) => {
        impl $Handle {
            pub(crate) fn of_nonblocking(inner: $Std) -> $Handle {
                $Handle { channel: Channel::new(inner) }
            }

            /// A second, independent handle to the same descriptor, with limits of its own.
            ///
            /// Coroutines of one thread need none: what reads and writes takes `&self`.
            ///
            /// # Errors
            ///
            /// When the system has no descriptor left.
            pub fn try_clone(&self) -> io::Result<$Handle> {
                let clone = $Handle::of_nonblocking(self.channel.inner().try_clone()?);
                clone.channel.read_timeout.set(self.channel.read_timeout.duration())?;
                clone.channel.write_timeout.set(self.channel.write_timeout.duration())?;
                Ok(clone)
            }

            /// Gives the descriptor to std, deregistered from the loop and still in non-blocking mode.
            pub fn into_std(self) -> $Std {
                self.channel.source.into_inner()
            }

            /// The source below, to wait for readiness or to hibernate on.
            pub fn source(&self) -> &Source<$Std> {
                &self.channel.source
            }
        }

        $crate::handle::descriptor_api!($Handle, channel.source);
    };
}

/// The limit on reads.
macro_rules! read_limit_api {
    ($Handle:ident $(<$T:ident: $Bound:path>)?) => {
        impl$(<$T: $Bound>)? $Handle$(<$T>)? {
            /// Limits every later read; `None` for no limit.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a timeout of zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.channel.read_timeout.set(timeout)
            }

            /// The limit on reads.
            ///
            /// # Errors
            ///
            /// None; a `Result` because std has one.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.channel.read_timeout.duration())
            }
        }
    };
}

/// The limit on writes.
macro_rules! write_limit_api {
    ($Handle:ident $(<$T:ident: $Bound:path>)?) => {
        impl$(<$T: $Bound>)? $Handle$(<$T>)? {
            /// Limits every later write; `None` for no limit.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a timeout of zero.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.channel.write_timeout.set(timeout)
            }

            /// The limit on writes.
            ///
            /// # Errors
            ///
            /// None; a `Result` because std has one.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.channel.write_timeout.duration())
            }
        }
    };
}

/// The descriptor of a handle, to look at and to give away.
macro_rules! descriptor_api {
    ($Handle:ident, $($source:ident).+) => {
        impl AsFd for $Handle {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.$($source).+.as_fd()
            }
        }

        impl AsRawFd for $Handle {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl IntoRawFd for $Handle {
            /// Deregisters the descriptor from the loop first.
            fn into_raw_fd(self) -> RawFd {
                self.into_std().into_raw_fd()
            }
        }

        impl From<$Handle> for OwnedFd {
            /// Deregisters the descriptor from the loop first.
            fn from(handle: $Handle) -> OwnedFd {
                handle.into_std().into()
            }
        }
    };
}

/// What every handle to a socket has, whatever the socket carries.
macro_rules! socket_api {
    ($Handle:ident, $Std:ty, $Address:ty) => {
        $crate::handle::handle_api!($Handle, $Std);
        $crate::handle::read_limit_api!($Handle);
        $crate::handle::write_limit_api!($Handle);

        impl $Handle {
            /// Takes over a socket of std's, and puts it into non-blocking mode.
            ///
            /// # Errors
            ///
            /// When the system refuses that mode.
            pub fn from_std(socket: $Std) -> io::Result<$Handle> {
                socket.set_nonblocking(true)?;
                Ok($Handle::of_nonblocking(socket))
            }

            /// Ends every wait on this socket with an error, refuses all further use, and tells the peer if there is one.
            ///
            /// Idempotent; answers whether it was open. Never suspends.
            /// The descriptor itself is closed when the handle is dropped.
            pub fn close(&self) -> bool {
                let was_open = self.channel.source.close();
                if was_open {
                    // The peer may have gone already, which is as closed as it gets (SOK-11).
                    let _ = rustix::net::shutdown(&self.channel.source, rustix::net::Shutdown::Both);
                }
                was_open
            }

            /// The peer's address.
            ///
            /// # Errors
            ///
            /// What the system says; it has none of a socket that is not connected.
            pub fn peer_addr(&self) -> io::Result<$Address> {
                self.channel.inner().peer_addr()
            }

            /// This end's address.
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn local_addr(&self) -> io::Result<$Address> {
                self.channel.inner().local_addr()
            }

            /// Takes the pending error of the socket (SO_ERROR).
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.channel.inner().take_error()
            }
        }

        impl fmt::Debug for $Handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($Handle));
                if let Ok(address) = self.local_addr() {
                    shown.field("addr", &address);
                }
                if let Ok(peer) = self.peer_addr() {
                    shown.field("peer", &peer);
                }
                shown.finish()
            }
        }
    };
}

/// `Read` for a handle and for a reference to it, and the reads that std does not have.
macro_rules! read_api {
    ($Handle:ident) => {
        impl $Handle {
            /// Reads what there is, waiting at most as `limit` says, whatever the handle's own timeout is.
            ///
            /// # Errors
            ///
            /// As `Read::read`; [`io::ErrorKind::TimedOut`].
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
                self.channel.read_within(buf, limit)
            }

            /// Reads exactly `len` bytes (SOK-3). Not in std.
            ///
            /// Memory is taken as bytes arrive, so a large `len` that a peer named costs nothing by itself.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` when the stream ends before, else what the read failed with;
            /// inside is a [`PartialRead`](crate::PartialRead) that holds the bytes that did come.
            ///
            /// # Cancellation
            ///
            /// Unwinds, and what had been read is lost.
            pub fn recv_exact(&self, len: usize) -> io::Result<Vec<u8>> {
                $crate::whole::recv_exact(self, len)
            }

            /// Reads a buffer of each of the sizes, one after the other (SOK-4). Not in std.
            ///
            /// At the end of the stream it gives only the buffers that were filled, and a shorter one
            /// if the stream ended in its middle; an empty list if nothing came at all.
            ///
            /// # Errors
            ///
            /// What a read failed with; inside is a [`PartialRead`](crate::PartialRead) with all bytes that did come.
            ///
            /// # Cancellation
            ///
            /// Unwinds, and what had been read is lost.
            pub fn readv(&self, sizes: &[usize]) -> io::Result<Vec<Vec<u8>>> {
                $crate::whole::readv(self, sizes)
            }
        }

        impl Read for &$Handle {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.channel.read_within(buf, self.channel.read_timeout.limit())
            }

            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.channel.read_vectored(bufs)
            }
        }

        impl Read for $Handle {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }
    };
}

/// `Write` for a handle and for a reference to it, and the writes that std does not have.
macro_rules! write_api {
    ($Handle:ident) => {
        impl $Handle {
            /// Writes what fits, waiting at most as `limit` says, whatever the handle's own timeout is.
            ///
            /// # Errors
            ///
            /// As `Write::write`; [`io::ErrorKind::TimedOut`].
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn write_within(&self, buf: &[u8], limit: WaitLimit) -> io::Result<usize> {
                self.channel.write_within(buf, limit)
            }

            /// Writes what fits at once. Never suspends. Not in std.
            ///
            /// # Errors
            ///
            /// [`io::ErrorKind::WouldBlock`] when nothing fits; as `Write::write`.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.channel.try_write(buf)
            }

            /// Writes all of all buffers, and answers how many bytes that were (SOK-5). Not in std.
            ///
            /// # Errors
            ///
            /// As `Write::write_all`; an unknown part has been written then.
            ///
            /// # Cancellation
            ///
            /// Unwinds, when an unknown part has been written.
            pub fn writev(&self, bufs: &[&[u8]]) -> io::Result<usize> {
                $crate::whole::writev(self, bufs)
            }
        }

        impl Write for &$Handle {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.channel.write_within(buf, self.channel.write_timeout.limit())
            }

            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.channel.write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Write for $Handle {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// What a connected stream socket has on top of its bytes.
macro_rules! stream_api {
    ($Handle:ident) => {
        $crate::handle::read_api!($Handle);
        $crate::handle::write_api!($Handle);

        impl $Handle {
            /// Reads without taking the bytes off the stream.
            ///
            /// # Errors
            ///
            /// As `Read::read`.
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.channel.peek_within(buf, self.channel.read_timeout.limit())
            }

            /// As [`peek`](Self::peek), waiting at most as `limit` says, whatever the handle's own timeout is.
            ///
            /// # Errors
            ///
            /// As `Read::read`; [`io::ErrorKind::TimedOut`].
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn peek_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
                self.channel.peek_within(buf, limit)
            }

            /// Shuts down reading, writing or both; blocked coroutines notice.
            ///
            /// # Errors
            ///
            /// What the system says, as in std.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.channel.inner().shutdown(how)
            }

            /// Sends `len` bytes of a file from `offset` on by sendfile(2), without copying them through this program.
            ///
            /// Answers how many were sent: fewer than `len` only if the file ends before. Not in std.
            /// The file's own position is not used. The system may have to read from the disk meanwhile,
            /// which holds up the whole loop: worth it for files that are in its cache.
            ///
            /// # Errors
            ///
            /// As `Write::write_all`, an unknown part has been sent then; `InvalidInput` for what sendfile cannot read,
            /// such as a socket.
            ///
            /// # Cancellation
            ///
            /// Unwinds, when an unknown part has been sent.
            pub fn send_file(&self, file: impl AsFd, offset: u64, len: u64) -> io::Result<u64> {
                self.channel.send_file(file.as_fd(), offset, len)
            }
        }
    };
}

pub(crate) use {
    descriptor_api, handle_api, read_api, read_limit_api, socket_api, stream_api, write_api, write_limit_api,
};
