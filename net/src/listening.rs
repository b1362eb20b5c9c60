//! The public side of a listener, written once and expanded for each kind.

/// What every listener with a field `acceptor` has, and the iterator over its connections.
macro_rules! listener_api {
    ($Listener:ident, $Std:ty, $Stream:ty, $Address:ty) => {
        impl $Listener {
            /// Takes over a listener of std's, and puts it into non-blocking mode.
            ///
            /// # Errors
            ///
            /// When the system refuses that mode.
            pub fn from_std(listener: $Std) -> io::Result<$Listener> {
                listener.set_nonblocking(true)?;
                Ok($Listener::of_nonblocking(listener))
            }

            pub(crate) fn of_nonblocking(listener: $Std) -> $Listener {
                $Listener { acceptor: Acceptor::new(listener) }
            }

            /// Waits for a connection and returns it with the peer's address.
            ///
            /// Connections that broke off before they could be accepted are passed over (SOK-10).
            /// When the process or the system has no descriptor or memory left, it says so on stderr, once,
            /// and tries again every 250 ms until connections can be had again: see [`set_backoff`](Self::set_backoff).
            ///
            /// # Errors
            ///
            /// [`io::ErrorKind::TimedOut`] after the accept timeout; a closed error after [`close`](Self::close);
            /// else what the system says.
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn accept(&self) -> io::Result<($Stream, $Address)> {
                self.acceptor.accept()
            }

            /// Waits for a connection and returns it with all others that can be had at once, up to `max`. Not in std.
            ///
            /// Counts as one operation in the budget of [`set_selfishness`](grapeshot_core::set_selfishness).
            /// A `max` of zero gives none and does not wait.
            ///
            /// # Errors
            ///
            /// As [`accept`](Self::accept). An error after the first connection is left for the next call to find.
            ///
            /// # Cancellation
            ///
            /// Unwinds.
            pub fn accept_many(&self, max: usize) -> io::Result<Vec<($Stream, $Address)>> {
                self.acceptor.accept_many(max)
            }

            /// Accepts connection after connection, for ever.
            pub fn incoming(&self) -> Incoming<'_> {
                Incoming { listener: self, ended: Cell::new(false) }
            }

            /// Ends a blocked `accept` with an error, refuses all further ones, and stops listening.
            ///
            /// Idempotent; answers whether it was open. Never suspends.
            pub fn close(&self) -> bool {
                self.acceptor.close()
            }

            /// The address listened on.
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn local_addr(&self) -> io::Result<$Address> {
                self.acceptor.source.inner().local_addr()
            }

            /// Limits every later `accept`; `None` for no limit. Not in std.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a timeout of zero.
            pub fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.acceptor.timeout.set(timeout)
            }

            /// The limit on `accept`. Not in std.
            pub fn accept_timeout(&self) -> Option<Duration> {
                self.acceptor.timeout.duration()
            }

            /// Sets how long `accept` pauses at descriptor exhaustion; `None` lets it return the error instead. Not in std.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for a pause of zero.
            pub fn set_backoff(&self, pause: Option<Duration>) -> io::Result<()> {
                self.acceptor.backoff.set(pause)
            }

            /// How often the system had nothing left for a connection, since the listener was made.
            pub fn exhaustions(&self) -> u64 {
                self.acceptor.exhaustions()
            }

            /// A second handle to the same listening socket, with a timeout and a pause of its own.
            ///
            /// Two coroutines cannot wait in `accept` of one handle, but each in that of its own.
            /// Closing one handle stops both from listening.
            ///
            /// # Errors
            ///
            /// When the system has no descriptor left.
            pub fn try_clone(&self) -> io::Result<$Listener> {
                let clone = $Listener::of_nonblocking(self.acceptor.source.inner().try_clone()?);
                clone.set_accept_timeout(self.acceptor.timeout.duration())?;
                clone.set_backoff(self.acceptor.backoff.duration())?;
                Ok(clone)
            }

            /// Takes the pending error of the socket (SO_ERROR).
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.acceptor.source.inner().take_error()
            }

            /// Gives the listener to std, deregistered from the loop and still in non-blocking mode.
            pub fn into_std(self) -> $Std {
                self.acceptor.source.into_inner()
            }
        }

        /// The connections of a listener, one after the other; made by `incoming`.
        ///
        /// Ends, unlike std's, once the listener has been closed: there is nothing more to come.
        #[derive(Debug)]
        pub struct Incoming<'a> {
            listener: &'a $Listener,
            ended: Cell<bool>,
        }

        impl Iterator for Incoming<'_> {
            type Item = io::Result<$Stream>;

            fn next(&mut self) -> Option<io::Result<$Stream>> {
                if self.ended.get() {
                    return None;
                }
                let accepted = self.listener.accept().map(|(stream, _)| stream);
                if accepted.is_err() && self.listener.acceptor.source.is_closed() {
                    self.ended.set(true);
                    return None;
                }
                Some(accepted)
            }
        }

        $crate::handle::descriptor_api!($Listener, acceptor.source);

        impl fmt::Debug for $Listener {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($Listener));
                if let Ok(address) = self.local_addr() {
                    shown.field("addr", &address);
                }
                shown.finish()
            }
        }
    };
}

pub(crate) use listener_api;
