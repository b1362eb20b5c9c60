//! Addresses: the one a program printed, and one that is probably free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// The first `address:port` in a text such as `listening on http://127.0.0.1:4000/`.
///
/// ```
/// use grapeshot_harness::find_addr;
///
/// assert_eq!(find_addr("at http://[::1]:80/, ready"), Some("[::1]:80".parse()?));
/// assert_eq!(find_addr("nothing here"), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn find_addr(text: &str) -> Option<SocketAddr> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')))
        .find_map(|word| word.trim_matches(['.', ':']).parse().ok())
}

/// An address of this machine whose port was free a moment ago.
///
/// Another program may take it before yours does, and on a busy machine one will.
/// Let the program choose (port 0) and print its port wherever it can; this is for those that cannot, and for addresses at which nobody should listen.
///
/// # Errors
/// When the system has no free port.
pub fn unused_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_what_servers_print() {
        for text in [
            "listening on 127.0.0.1:4000",
            "listening on http://127.0.0.1:4000/",
            "addr=127.0.0.1:4000, ready.",
            "listening on AF=2 127.0.0.1:4000",
            "2026-01-01 12:30:00 added :127.0.0.1:4000.",
        ] {
            assert_eq!(find_addr(text), Some(SocketAddr::from(([127, 0, 0, 1], 4000))), "{text}");
        }
    }
}
