//! Waiting for descriptors (REQUIREMENTS 1.8 and 1.10).
#![allow(
    clippy::unwrap_used,
    reason = "the workspace lets tests stop at the first surprise; their helpers are tests as well"
)]

mod readiness;
mod threads;
mod waiting;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit};

const SECOND: Duration = Duration::from_secs(1);

type Stream = Source<UnixStream>;

/// Two ends of a stream, both to be waited on.
fn pair() -> (Rc<Stream>, Rc<Stream>) {
    let (near, far) = UnixStream::pair().unwrap();
    (Rc::new(source(near)), Rc::new(source(far)))
}

fn source(stream: UnixStream) -> Stream {
    stream.set_nonblocking(true).unwrap();
    Source::new(stream)
}

fn read_within(source: &Stream, limit: WaitLimit) -> io::Result<Vec<u8>> {
    let mut buf = [0; 64];
    let read =
        source.attempt(Direction::Read, "read", limit, |_| false, |mut stream: &UnixStream| stream.read(&mut buf))?;
    Ok(buf[..read].to_vec())
}

fn read(source: &Stream) -> io::Result<Vec<u8>> {
    read_within(source, WaitLimit::Never)
}

fn write(source: &Stream, bytes: &[u8]) -> io::Result<usize> {
    let limit = WaitLimit::Never;
    source.attempt(Direction::Write, "write", limit, |_| false, |mut stream: &UnixStream| stream.write(bytes))
}

/// Writes until the system takes no more.
fn fill(source: &Stream) {
    while source.inner().write(&[0; 65536]).is_ok() {}
}

/// What is inside an error.
fn inside<E: std::error::Error + Clone + 'static>(error: &io::Error) -> Option<E> {
    error.get_ref()?.downcast_ref::<E>().cloned()
}

/// A source whose reads are counted, and told to be drained by a short one.
struct Counted {
    source: Rc<Stream>,
    calls: Cell<usize>,
}

impl Counted {
    fn new(source: Rc<Stream>) -> Rc<Counted> {
        Rc::new(Counted { source, calls: Cell::new(0) })
    }

    fn read(&self, size: usize) -> io::Result<usize> {
        let mut buf = [0; 64];
        self.source.attempt(
            Direction::Read,
            "read",
            WaitLimit::Never,
            |&read: &usize| 0 < read && read < size,
            |mut stream: &UnixStream| {
                self.calls.set(self.calls.get() + 1);
                stream.read(&mut buf[..size])
            },
        )
    }
}
