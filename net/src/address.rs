//! Numeric socket addresses, in all the forms std takes them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What can be turned into socket addresses without asking anybody.
///
/// As `std::net::ToSocketAddrs`, except that names are refused: std would look them up with getaddrinfo and so block
/// the whole thread. Name lookup is a layer above this one.
///
/// # Examples
///
/// ```
/// use grapeshot_net::ToSocketAddrs;
///
/// assert_eq!("[::1]:80".to_socket_addrs().unwrap()[0].port(), 80);
/// let refused = "localhost:80".to_socket_addrs().unwrap_err();
/// assert!(refused.to_string().contains("localhost:80"));
/// ```
pub trait ToSocketAddrs {
    /// The addresses, in the order they are to be tried.
    ///
    /// # Errors
    ///
    /// [`NotNumeric`] of kind `InvalidInput` when the text is no numeric address with a port.
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>>;

    /// The first of the addresses; asks for no memory where there is only one.
    ///
    /// # Errors
    ///
    /// As [`to_socket_addrs`](Self::to_socket_addrs), and `InvalidInput` when there is none.
    fn first_socket_addr(&self) -> io::Result<SocketAddr> {
        self.to_socket_addrs()?.first().copied().ok_or_else(none_given)
    }
}

fn none_given() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no address was given")
}

/// The text is not a numeric address with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNumeric {
    text: String,
}

impl fmt::Display for NotNumeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a numeric address with a port, such as 127.0.0.1:80 or [::1]:80", self.text)
    }
}

impl std::error::Error for NotNumeric {}

fn not_numeric(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, NotNumeric { text: text.to_owned() })
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        let address = self.parse().map_err(|_| not_numeric(self))?;
        Ok(vec![address])
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs()
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        let ip: IpAddr = self.0.parse().map_err(|_| not_numeric(self.0))?;
        Ok(vec![SocketAddr::new(ip, self.1)])
    }
}

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs()
    }

    fn first_socket_addr(&self) -> io::Result<SocketAddr> {
        (**self).first_socket_addr()
    }
}

/// Types that are one address each.
macro_rules! is_one_address {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![SocketAddr::from(*self)])
            }

            fn first_socket_addr(&self) -> io::Result<SocketAddr> {
                Ok(SocketAddr::from(*self))
            }
        }
    )*};
}

is_one_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

/// Does `f` with each address until one succeeds; the last error otherwise.
pub(crate) fn each<T>(addresses: impl ToSocketAddrs, mut f: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = none_given();
    for address in addresses.to_socket_addrs()? {
        match f(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}
