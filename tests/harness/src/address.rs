//! Addresses: the one a program printed, and one that is free.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

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

/// Below those from which Linux takes ports by itself (`ip_local_port_range`, from 32768 on unless set), so that neither a
/// connection on its way out nor a program that asks for any port gets one of them.
const PORTS: Range<u16> = 10_000..32_000;

/// An address of this machine at which nobody listens, over TCP or UDP, and that is given to nobody else.
///
/// No other call gets it while this program runs, in this program or another that uses this crate: tests run side by side,
/// and a port that was free a moment ago may be anybody's a moment later.
/// Let the program choose (port 0) and print its port wherever it can; this is for those that cannot, and for addresses at which nobody should listen.
///
/// # Errors
/// When every port is taken, or the system has no descriptor left: each address costs one for as long as the program runs.
pub fn unused_addr() -> io::Result<SocketAddr> {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(process::id())));
    for _ in PORTS {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (next % PORTS.len() as u64) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if reserve(port)? && is_free(address) {
            return Ok(address);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("every port from {} on is taken", PORTS.start)))
}

/// Whether the port is ours from now on: an abstract name has one owner at a time, and goes with the process.
fn reserve(port: u16) -> io::Result<bool> {
    static RESERVED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
    let name = UnixAddr::from_abstract_name(format!("grapeshot-harness-port-{port}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(owned) => {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(owned);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn an_unused_address_is_given_once() {
        let some = || (0..100).map(|_| unused_addr().unwrap()).collect::<Vec<_>>();
        let given: BTreeSet<_> = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(some));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(given.len(), 400);
        for address in given {
            TcpListener::bind(address).unwrap();
            UdpSocket::bind(address).unwrap();
        }
    }

    #[test]
    fn a_port_that_another_program_holds_is_passed_over() {
        let mine = unused_addr().unwrap();
        assert!(!reserve(mine.port()).unwrap());
        let _held = UdpSocket::bind(mine).unwrap();
        assert!(!is_free(mine));
    }

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
