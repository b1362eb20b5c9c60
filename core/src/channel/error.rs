//! Why a channel took or gave nothing. An error of a send gives the item back.

use std::fmt;

/// Why [`send`](super::Sender::send) did not take the item, which it gives back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// The channel is closed, or its last receiver is gone.
    Disconnected(T),
    /// It is full, and was made with [`Overflow::Refuse`](super::Overflow::Refuse).
    Full(T),
    /// It is full, and the coroutine unwinds and so cannot wait.
    Refused(T),
}

/// Why [`try_send`](super::Sender::try_send) did not take the item, which it gives back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room; in a rendezvous: no receiver waits.
    Full(T),
    /// The channel is closed, or its last receiver is gone.
    Disconnected(T),
}

/// Why [`send_timeout`](super::Sender::send_timeout) did not take the item, which it gives back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    Timeout(T),
    /// The channel is closed, or its last receiver is gone.
    Disconnected(T),
    /// It is full, and was made with [`Overflow::Refuse`](super::Overflow::Refuse).
    Full(T),
    /// It is full, and the coroutine unwinds and so cannot wait.
    Refused(T),
}

/// Why [`recv`](super::Receiver::recv) has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The channel is empty, and closed or without senders.
    Disconnected,
    /// The channel is empty, and the coroutine unwinds and so cannot wait.
    Refused,
}

/// Why [`try_recv`](super::Receiver::try_recv) has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is none now.
    Empty,
    /// The channel is empty, and closed or without senders.
    Disconnected,
}

/// Why [`recv_timeout`](super::Receiver::recv_timeout) has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// None came in time.
    Timeout,
    /// The channel is empty, and closed or without senders.
    Disconnected,
    /// The channel is empty, and the coroutine unwinds and so cannot wait.
    Refused,
}

const SEND_DISCONNECTED: &str = "send: the channel is closed or has no receiver left";
const SEND_FULL: &str = "send: the channel is full";
const SEND_TIMEOUT: &str = "send timed out: the channel stayed full";
const SEND_REFUSED: &str = "send: the channel is full, and a coroutine that unwinds cannot wait";
const RECV_DISCONNECTED: &str = "recv: the channel is empty, and closed or without senders";
const RECV_EMPTY: &str = "recv: the channel is empty";
const RECV_TIMEOUT: &str = "recv timed out: the channel stayed empty";
const RECV_REFUSED: &str = "recv: the channel is empty, and a coroutine that unwinds cannot wait";

/// An item's type need not be `Debug` for its error to be one, as in std.
macro_rules! send_error {
    ($name:ident { $($variant:ident => $text:expr),* }) => {
        impl<T> $name<T> {
            /// The item that was not sent.
            pub fn into_inner(self) -> T {
                match self { $($name::$variant(item))|* => item }
            }

            fn parts(&self) -> (&'static str, &'static str) {
                match self { $($name::$variant(_) => (stringify!($variant), $text)),* }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(..)", self.parts().0)
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.parts().1)
            }
        }

        impl<T> std::error::Error for $name<T> {}
    };
}

send_error!(SendError { Disconnected => SEND_DISCONNECTED, Full => SEND_FULL, Refused => SEND_REFUSED });
send_error!(TrySendError { Full => SEND_FULL, Disconnected => SEND_DISCONNECTED });
send_error!(SendTimeoutError {
    Timeout => SEND_TIMEOUT,
    Disconnected => SEND_DISCONNECTED,
    Full => SEND_FULL,
    Refused => SEND_REFUSED
});

macro_rules! recv_error {
    ($name:ident { $($variant:ident => $text:expr),* }) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $text),* })
            }
        }

        impl std::error::Error for $name {}
    };
}

recv_error!(RecvError { Disconnected => RECV_DISCONNECTED, Refused => RECV_REFUSED });
recv_error!(TryRecvError { Empty => RECV_EMPTY, Disconnected => RECV_DISCONNECTED });
recv_error!(RecvTimeoutError {
    Timeout => RECV_TIMEOUT,
    Disconnected => RECV_DISCONNECTED,
    Refused => RECV_REFUSED
});
