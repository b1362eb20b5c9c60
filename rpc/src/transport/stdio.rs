//! This program's own stdin and stdout, for one that its peer has started: a plugin.

use std::io::{self, Read, Write};

use grapeshot_core::WaitLimit;
use grapeshot_net::stdio::{Stdin, Stdout, stdin, stdout};

use super::Transport;
use super::any::AnyStream;

/// Calls over the stdin and stdout of this program, as an editor's plugin or any other child makes them.
///
/// Nothing else may be written to stdout then; stderr is free. A program has one of these.
/// The peer sees the end when the program ends: stdout itself is never closed.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_rpc::Transport;
/// use grapeshot_rpc::transport::Stdio;
///
/// test::run(|| {
///     let transport = Stdio::new();
///     assert_eq!(transport.peer(), "stdin and stdout");
/// });
/// ```
#[derive(Debug)]
pub struct Stdio {
    stream: AnyStream<BothWays>,
}

/// The two as one stream.
#[derive(Debug)]
struct BothWays {
    stdin: Stdin,
    stdout: Stdout,
}

impl Stdio {
    /// Takes nothing yet: what has been read before belongs to whoever read it.
    pub fn new() -> Stdio {
        Stdio { stream: AnyStream::new(BothWays { stdin: stdin(), stdout: stdout() }) }
    }
}

impl Default for Stdio {
    fn default() -> Stdio {
        Stdio::new()
    }
}

impl Read for &BothWays {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.stdin).read(buf)
    }
}

impl Write for &BothWays {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.stdout).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.stdout).flush()
    }
}

impl Transport for Stdio {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.stream.read_within(buf, limit)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        self.stream.write_all_within(bytes, limit)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.stream.end_writing()
    }

    fn close(&self) {
        self.stream.close();
    }

    fn peer(&self) -> String {
        "stdin and stdout".to_owned()
    }
}
