//! The load generator: one thread, one epoll set, keep-alive connections that each have one batch of requests in flight.
//!
//! A connection sends its batch (one request, or several to pipeline), waits until the whole answer is there,
//! checks it and sends the next. Connections stay open between slices, with nothing in flight, so that many
//! servers can be kept up and loaded in turn.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// No answer for so long means that the server is broken; the run is abandoned.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client says and what it wants to hear.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: Vec<u8>,
    /// Every answer begins with this,
    pub head: Vec<u8>,
    /// ends with this,
    pub tail: Vec<u8>,
    /// and has this length.
    pub len: usize,
    pub carrier: Carrier,
}

/// What carries a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Stream,
    /// One datagram each way; this machine loses none as long as few are under way.
    Datagram,
}

impl Exchange {
    /// A message of `len` bytes that is to come back as it is.
    pub fn echo(len: usize) -> Self {
        let message: Vec<u8> = (b'a'..=b'z').cycle().take(len).collect();
        Self { request: message.clone(), head: message.clone(), tail: message, len, carrier: Carrier::Stream }
    }

    /// A datagram of `len` bytes that is to come back as it is.
    pub fn udp_echo(len: usize) -> Self {
        Self { carrier: Carrier::Datagram, ..Self::echo(len) }
    }

    /// `GET /plaintext`; asks the server once to learn how long its answers are.
    pub fn plaintext(addr: SocketAddr) -> io::Result<Self> {
        const BODY: &[u8] = b"Hello, World!";
        let request = format!("GET /plaintext HTTP/1.1\r\nHost: {addr}\r\n\r\n").into_bytes();
        let mut stream = connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        while !answer.ends_with(BODY) {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        for wanted in ["content-length: 13\r\n", "content-type: text/plain", "date: ", "server: "] {
            if !text.contains(wanted) {
                return Err(io::Error::other(format!("no {wanted:?} in {text:?}")));
            }
        }
        Ok(Self {
            request,
            head: b"HTTP/1.1 200".to_vec(),
            tail: BODY.to_vec(),
            len: answer.len(),
            carrier: Carrier::Stream,
        })
    }

    pub fn check(&self, answer: &[u8]) -> io::Result<()> {
        if answer.starts_with(&self.head) && answer.ends_with(&self.tail) {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(answer);
        Err(io::Error::other(format!("wrong answer: {shown:?}")))
    }
}

/// What one slice of load achieved.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub completed: u64,
    pub elapsed: Duration,
}

/// Connections to one server.
pub struct Load {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    connections: Vec<Connection>,
    exchange: Exchange,
    /// Requests sent in one go; the next batch waits for the last answer.
    depth: usize,
    batch: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    /// Answers of the batch in flight.
    answers: Box<[u8]>,
    filled: usize,
}

impl Load {
    /// Opens `count` connections that pipeline `depth` requests each.
    pub fn connect(addr: SocketAddr, exchange: Exchange, count: usize, depth: usize) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            let socket = open(addr, exchange.carrier)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &socket, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
            connections.push(Connection { socket, answers: vec![0; depth * exchange.len].into(), filled: 0 });
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(count),
            connections,
            batch: exchange.request.repeat(depth),
            exchange,
            depth,
        })
    }

    /// Loads the server for about `duration` and returns with nothing in flight.
    pub fn run(&mut self, duration: Duration) -> io::Result<Slice> {
        let start = Instant::now();
        for connection in &mut self.connections {
            connection.send(&self.batch)?;
        }
        let mut completed = 0;
        let mut in_flight = self.connections.len();
        while in_flight > 0 {
            self.wait()?;
            let over = start.elapsed() >= duration;
            for event in self.events.drain(..) {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.receive(&self.exchange)? {
                    continue;
                }
                completed += self.depth as u64;
                if over {
                    in_flight -= 1;
                } else {
                    connection.send(&self.batch)?;
                }
            }
        }
        Ok(Slice { completed, elapsed: start.elapsed() })
    }

    fn wait(&mut self) -> io::Result<()> {
        let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit)) {
            // A profiler that attaches interrupts the wait; the caller waits again.
            Ok(1..) | Err(Errno::INTR) => Ok(()),
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "the server stopped answering")),
            Err(error) => Err(error.into()),
        }
    }
}

impl Connection {
    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        // The connection is idle, so its send buffer is empty and takes a batch of a few KiB whole.
        match send(&self.socket, batch, SendFlags::NOSIGNAL)? {
            sent if sent == batch.len() => Ok(()),
            _ => Err(io::Error::other("a batch did not fit the send buffer")),
        }
    }

    /// Takes what has come; true once the batch is answered in full and found right.
    ///
    /// One call an event is enough although the set is edge-triggered: what comes later makes a new edge, and
    /// nothing can come after the batch.
    fn receive(&mut self, exchange: &Exchange) -> io::Result<bool> {
        let room = &mut self.answers[self.filled..];
        let (_, received) = match recv(&self.socket, room, RecvFlags::empty()) {
            Err(Errno::AGAIN) => return Ok(false),
            result => result?,
        };
        if received == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
        }
        self.filled += received;
        if self.filled < self.answers.len() {
            return Ok(false);
        }
        self.filled = 0;
        for answer in self.answers.chunks_exact(exchange.len) {
            exchange.check(answer)?;
        }
        Ok(true)
    }
}

/// A non-blocking socket that is connected to a server on this machine.
fn open(addr: SocketAddr, carrier: Carrier) -> io::Result<OwnedFd> {
    match carrier {
        Carrier::Stream => {
            let stream = connect(addr)?;
            stream.set_nonblocking(true)?;
            Ok(stream.into())
        }
        Carrier::Datagram => {
            assert!(addr.ip().is_loopback(), "load stays on this machine");
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(addr)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        }
    }
}

/// A connection to a server on this machine, without Nagle's delay.
pub fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    assert!(addr.ip().is_loopback(), "load stays on this machine");
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
