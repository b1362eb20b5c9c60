//! Any stream as a transport, whatever it can do by itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{ClosedError, OperationTimedOut, TimeLimit, WaitLimit, in_coroutine, now, with_time_limit};

use super::{Transport, write_all};

/// A stream that reads and writes by reference, as a [`Transport`].
///
/// Limits, and [`close`](Transport::close), unwind the stream's own call, so a write that was cut off may have written a part;
/// a connection does not go on after that. The stream itself is dropped when it is closed and no call uses it any more:
/// its drop is what tells the peer. [`end_writing`](Transport::end_writing) flushes, as there is nothing else that such a
/// stream can do.
///
/// Outside a coroutine there is nothing to unwind to, and limits are not kept.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{WaitLimit, test};
/// use grapeshot_net::memory;
/// use grapeshot_rpc::Transport;
/// use grapeshot_rpc::transport::AnyStream;
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     // Any type will do for which `&T` reads and writes.
///     let (near, far) = (AnyStream::new(near), AnyStream::new(far));
///     near.write_all_within(b"hello", WaitLimit::Never).unwrap();
///     near.close();
///     let mut buf = [0; 16];
///     assert_eq!(far.read_within(&mut buf, WaitLimit::Never).unwrap(), 5);
///     assert_eq!(far.read_within(&mut buf, WaitLimit::Never).unwrap(), 0);
/// });
/// ```
pub struct AnyStream<S> {
    /// None once it is closed.
    stream: RefCell<Option<Rc<S>>>,
    reading: Lane,
    writing: Lane,
}

/// The limit on the call that is under way in one direction: through it, a close cuts the call off.
#[derive(Default)]
struct Lane {
    limit: RefCell<Option<TimeLimit>>,
    cut: Cell<bool>,
}

impl<S> AnyStream<S> {
    /// Takes a stream.
    pub fn new(stream: S) -> AnyStream<S> {
        AnyStream { stream: RefCell::new(Some(Rc::new(stream))), reading: Lane::default(), writing: Lane::default() }
    }

    fn stream(&self, operation: &'static str) -> io::Result<Rc<S>> {
        self.stream.borrow().clone().ok_or_else(|| ClosedError::new(operation).into())
    }
}

impl Lane {
    /// Runs a call that knows no limit, within one.
    fn run<T>(&self, operation: &'static str, limit: WaitLimit, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if !in_coroutine() {
            return call();
        }
        let within = match limit {
            WaitLimit::Never => Duration::MAX,
            WaitLimit::After(timeout) => timeout,
            WaitLimit::At(deadline) => deadline.saturating_duration_since(now()),
        };
        let done = with_time_limit(within, |limit| {
            // A second call meanwhile is the stream's to refuse, and must not make the first one deaf.
            let before = self.limit.replace(Some(limit.clone()));
            let done = call();
            self.limit.replace(before);
            done
        });
        match done {
            Ok(done) => done,
            Err(_) if self.cut.get() => Err(ClosedError::new(operation).into()),
            Err(_) => Err(OperationTimedOut::new(operation).into()),
        }
    }

    fn cut(&self) {
        self.cut.set(true);
        if let Some(limit) = self.limit.borrow_mut().take() {
            // False when the call is over already.
            limit.change(Duration::ZERO);
        }
    }
}

impl<S: 'static> Transport for AnyStream<S>
where
    for<'a> &'a S: Read + Write,
{
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        let stream = self.stream("read")?;
        self.reading.run("read", limit, || (&*stream).read(buf))
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        let stream = self.stream("write")?;
        write_all(bytes, |rest| self.writing.run("write", limit, || (&*stream).write(rest)))?;
        // It may be one that gathers.
        self.writing.run("write", limit, || (&*stream).flush())
    }

    fn end_writing(&self) -> io::Result<()> {
        let stream = self.stream("flush")?;
        self.writing.run("flush", WaitLimit::Never, || (&*stream).flush())
    }

    fn close(&self) {
        let stream = self.stream.borrow_mut().take();
        self.reading.cut();
        self.writing.cut();
        drop(stream);
    }
}

impl<S: fmt::Debug> fmt::Debug for AnyStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyStream").field(&*self.stream.borrow()).finish()
    }
}
