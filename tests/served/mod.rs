//! The example `http_echo` at work, as the tests with real clients meet it.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may stop at the first surprise, and their helpers are tests as well"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use grapeshot_harness::{Program, Ready, Running, Signal, example};

/// Never reached by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and where it is.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn start() -> Served {
        Served::from(example("http_echo").unwrap().args(["--listen", "127.0.0.1:0"]))
    }

    /// With so many descriptors, of which it needs about ten for itself.
    pub(crate) fn with_descriptors(count: u32) -> Served {
        // Built, should it not be there.
        drop(example("http_echo").unwrap());
        let shell = format!("ulimit -n {count}; exec \"$0\" --listen 127.0.0.1:0");
        Served::from(Program::new("sh").arg("-c").arg(shell).arg(path_of_example("http_echo")))
    }

    fn from(program: Program) -> Served {
        let running = program.ready_when(Ready::line("listening on")).start().unwrap();
        let address = running.ready_addr().expect("the line holds the address");
        Served { running, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Ends it as Ctrl-C does, and expects that it says nothing and leaves with 0.
    pub(crate) fn interrupt(mut self) {
        self.running.signal(Signal::INT).unwrap();
        self.assert_ends_well();
    }

    pub(crate) fn assert_ends_well(&mut self) {
        let status = self.running.wait_exit(PATIENCE).unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(self.running.stderr().text(), "");
    }
}

/// Examples are built into a folder beside that of the test programs.
fn path_of_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).expect("target/<profile>/deps").join("examples").join(name)
}

/// Reads until what was read ends with `end`.
pub(crate) fn read_until(mut stream: &TcpStream, end: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(end.as_bytes()) {
        let len = stream.read(&mut byte).unwrap();
        assert_eq!(len, 1, "the end came after {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

/// One request without a body and the answer to it, on a connection that goes on.
pub(crate) fn ask(mut stream: &TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    read_until(stream, "\r\n0\r\n\r\n")
}

/// Bytes in which a lost, doubled or moved piece shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
