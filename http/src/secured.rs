//! TLS over TCP, as a connection uses it.
//!
//! TLS writes records, not what the server hands it; so how fast a peer takes a response is measured below it,
//! where they go out.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use grapeshot_core::{Direction, now};
use grapeshot_net::{TcpStream, WaitLimit};
use grapeshot_tls::{Carrier, Patience, ServerConfig, TlsStream};

use crate::pace::Pace;
use crate::stream::Arrived;

/// The stream, and what is kept for it between requests.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<PacedTcp>,
    /// When the connection is closed for want of a request: records that hold none do not put it off.
    idle_until: Cell<Option<Instant>>,
}

impl Secured {
    pub(crate) fn server(tcp: TcpStream, config: &ServerConfig) -> io::Result<Secured> {
        let stream = TlsStream::server(PacedTcp { tcp, pace: Cell::default(), failure: Cell::default() }, config)?;
        Ok(Secured { stream, idle_until: Cell::new(None) })
    }

    /// Runs `read` until it does something else than would-block, waiting in between at most as `limit` says.
    pub(crate) fn attempt_read<T>(
        &self,
        name: &'static str,
        limit: WaitLimit,
        mut read: impl FnMut(Arrived<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        // What TLS holds already is not waited for.
        match self.try_read(&mut read) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        let source = self.stream.inner().tcp.source();
        source.attempt(Direction::Read, name, limit, |_| false, |_| read(Arrived::Tls(&self.stream)))
    }

    /// Runs `read` once, and if there is nothing for it sends what TLS has to say by itself,
    /// such as its half of a change of keys.
    pub(crate) fn try_read<T>(&self, mut read: impl FnMut(Arrived<'_>) -> io::Result<T>) -> io::Result<T> {
        let done = read(Arrived::Tls(&self.stream));
        if matches!(&done, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && self.stream.buffered().unsent > 0
        {
            (&self.stream).flush()?;
        }
        done
    }

    /// Writes both stretches of bytes whole, one after the other, as long as the peer keeps the pace.
    pub(crate) fn write_paced(&self, first: &[u8], second: &[u8], pace: &mut Pace) -> io::Result<()> {
        let below = self.stream.inner();
        below.pace.set(Some(*pace));
        let mut stream = &self.stream;
        let written = stream.write_all(first).and_then(|()| stream.write_all(second)).and_then(|()| stream.flush());
        *pace = below.pace.take().unwrap_or(*pace);
        written.map_err(|error| below.failure.take().unwrap_or(error))
    }

    /// Until when a next request is waited for, which is `timeout` from when this was first asked.
    pub(crate) fn idle_until(&self, timeout: Duration) -> Option<Instant> {
        if self.idle_until.get().is_none() {
            self.idle_until.set(now().checked_add(timeout));
        }
        self.idle_until.get()
    }

    /// Ends the wait for a next request: it has begun.
    pub(crate) fn end_idle(&self) {
        self.idle_until.set(None);
    }
}

/// The TCP connection below TLS, whose writes keep the pace of a response.
pub(crate) struct PacedTcp {
    pub(crate) tcp: TcpStream,
    /// Of the response under way; without one the limits that TLS gives hold.
    pace: Cell<Option<Pace>>,
    /// Why the peer was too slow. TLS is told of something else than a limit of its own, which it would have tried again.
    failure: Cell<Option<io::Error>>,
}

impl fmt::Debug for PacedTcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tcp.fmt(f)
    }
}

impl Carrier for PacedTcp {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.tcp.read_with(patience, read)
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        let Some(mut pace) = self.pace.get() else { return self.tcp.write_within(bytes, limit) };
        let written = pace.write(|limit| self.tcp.write_within(bytes, limit));
        self.pace.set(Some(pace));
        written.map_err(|error| {
            self.failure.set(Some(error));
            io::ErrorKind::ConnectionAborted.into()
        })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.try_write(bytes)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.tcp.end_writing()
    }

    fn close(&self) {
        Carrier::close(&self.tcp);
    }

    fn peer(&self) -> Option<String> {
        self.tcp.peer()
    }
}
