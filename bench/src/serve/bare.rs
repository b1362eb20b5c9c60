//! The yardstick: a bare epoll loop, one thread, and for each event one recv, the parse and one send.
//!
//! Nothing here limits, times out or drains. Edge-triggered, which spares the kernel a second look at each socket:
//! a read that leaves room in the buffer has emptied the socket, and what comes later makes a new edge.

use std::io;
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::SystemTime;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{ClockId, clock_gettime};

use super::BODY;

const EVENTS: usize = 1024;
const BUFFER: usize = 64 * 1024;
const MAX_HEADERS: usize = 32;
const LISTENER: u64 = u64::MAX;

/// Sends datagrams back to whom they came from, for ever.
pub fn udp_echo(socket: &UdpSocket) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, socket, EventData::new_u64(0), EventFlags::IN | EventFlags::ET)?;
    let mut buffer = vec![0; BUFFER];
    let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => events.clear(),
            Err(error) => return Err(error.into()),
        }
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((len, from)) => drop(socket.send_to(&buffer[..len], from)?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}

/// What the loop does with bytes.
pub trait Protocol {
    /// Called once for every batch of events.
    fn turn(&mut self) {}

    /// Appends the answers to the complete requests in `input` to `output`; returns how much of `input` they were,
    /// or `None` when the peer broke the protocol.
    fn answer(&self, input: &[u8], output: &mut Vec<u8>) -> Option<usize>;
}

/// Serves connections of `listener` for ever.
pub fn run(listener: TcpListener, mut protocol: impl Protocol) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections = Connections::default();
    let mut buffers = Buffers { input: vec![0; BUFFER], output: Vec::with_capacity(BUFFER) };
    let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        protocol.turn();
        for event in events.drain(..) {
            let token = event.data.u64();
            if token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let connection = connections.insert(stream);
                    let data = EventData::new_u64(connection as u64);
                    let stream = &connections.open[connection].as_ref().unwrap().stream;
                    epoll::add(&epoll, stream, data, EventFlags::IN | EventFlags::ET)?;
                }
                continue;
            }
            let slot = &mut connections.open[token as usize];
            let Some(connection) = slot else { continue };
            if connection.ready(&protocol, &mut buffers).is_err() {
                *slot = None;
                connections.free.push(token as usize);
            }
        }
    }
}

/// Open connections by token.
#[derive(Default)]
struct Connections {
    open: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Connections {
    fn insert(&mut self, stream: TcpStream) -> usize {
        let token = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[token] = Some(Connection { stream, rest: Vec::new() });
        token
    }
}

/// Shared by all connections: nothing stays in them between events.
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request whose end has not come yet.
    rest: Vec<u8>,
}

impl Connection {
    /// Answers what has come; an error means that the connection is over.
    fn ready(&mut self, protocol: &impl Protocol, buffers: &mut Buffers) -> io::Result<()> {
        loop {
            let held = self.rest.len();
            buffers.input[..held].copy_from_slice(&self.rest);
            self.rest.clear();
            let room = &mut buffers.input[held..];
            let received = match recv(&self.stream, room, RecvFlags::empty()) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, received)) => received,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let input = &buffers.input[..held + received];
            buffers.output.clear();
            let used = protocol.answer(input, &mut buffers.output);
            let used = used.ok_or(io::ErrorKind::InvalidData)?;
            if used == 0 && input.len() == BUFFER {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.rest.extend_from_slice(&input[used..]);
            self.send(&buffers.output)?;
            if held + received < BUFFER {
                return Ok(());
            }
        }
    }

    /// Sends everything; a peer that does not read holds up the loop, which the load generator never does.
    fn send(&mut self, mut output: &[u8]) -> io::Result<()> {
        while !output.is_empty() {
            match send(&self.stream, output, SendFlags::NOSIGNAL) {
                Ok(sent) => output = &output[sent..],
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.stream, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Sends back what came.
pub struct Echo;

impl Protocol for Echo {
    fn answer(&self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        output.extend_from_slice(input);
        Some(input.len())
    }
}

/// Answers every request head with the same text, in an answer put together for each request.
#[derive(Default)]
pub struct Http {
    second: i64,
    /// The current second as a header field.
    date: String,
}

impl Protocol for Http {
    fn turn(&mut self) {
        let second = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
        if second != self.second {
            self.second = second;
            let date = httpdate::fmt_http_date(SystemTime::now());
            self.date = format!("Date: {date}\r\n");
        }
    }

    fn answer(&self, input: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let mut used = 0;
        while used < input.len() {
            let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
            let mut request = httparse::Request::new(&mut []);
            match request.parse_with_uninit_headers(&input[used..], &mut headers) {
                Ok(httparse::Status::Complete(head)) => used += head,
                Ok(httparse::Status::Partial) => break,
                Err(_) => return None,
            }
            output.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: bench\r\n");
            output.extend_from_slice(self.date.as_bytes());
            output.extend_from_slice(b"Content-Type: text/plain\r\nContent-Length: ");
            output.extend_from_slice(itoa::Buffer::new().format(BODY.len()).as_bytes());
            output.extend_from_slice(b"\r\n\r\n");
            output.extend_from_slice(BODY.as_bytes());
        }
        Some(used)
    }
}
