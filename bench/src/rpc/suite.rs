//! Grapeshot itself, with every limit on, and a bare echo over the same sockets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot::net::{TcpListener, TcpStream};
use grapeshot::rpc::stream::Sink;
use grapeshot::rpc::{self, Client, Failure, Server};
use grapeshot::{Exit, Runtime, spawn};

use super::client::{Load, Turn, Turns, Unit};
use super::{ITEM, ITEMS, TEXT};
use crate::serve;

/// The bytes of `[0, 0xffff_ffff, "echo", ["0123456789"]]`.
const FRAME: &[u8] = b"\x94\x00\xce\xff\xff\xff\xff\xa4echo\x91\xaa0123456789";

/// Read buffer of a bare connection: more than one frame, so that a short read says that the socket is empty.
const BUFFER: usize = 64;

pub fn serve_bare() -> io::Result<()> {
    run(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        serve::announce(listener.local_addr()?)?;
        for stream in listener.incoming() {
            let mut stream = stream?;
            stream.set_nodelay(true)?;
            spawn(move || {
                let mut buffer = [0; BUFFER];
                while read_frame(&mut stream, &mut buffer)
                    .and_then(|()| stream.write_all(&buffer[..FRAME.len()]))
                    .is_ok()
                {}
            });
        }
        Ok(())
    })
}

pub fn echo_bare(addr: SocketAddr, load: Load) -> io::Result<()> {
    let connect = move || {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    assert_eq!(load.flights, 1, "bytes without a frame have no numbers");
    take_turns(load, connect, |mut stream: &TcpStream| {
        let mut buffer = [0; BUFFER];
        stream.write_all(FRAME)?;
        read_frame(stream, &mut buffer)?;
        assert_eq!(&buffer[..FRAME.len()], FRAME);
        Ok(1)
    })
}

/// Reads one frame.
fn read_frame(mut stream: impl Read, buffer: &mut [u8; BUFFER]) -> io::Result<()> {
    let mut filled = 0;
    while filled < FRAME.len() {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

#[rpc::service]
trait Echo {
    fn echo(&self, text: String) -> String;

    fn repeat(&self, count: u32, items: Sink<String>) -> Result<u32, Failure>;
}

struct EchoServer;

impl Echo for EchoServer {
    fn echo(&self, text: String) -> String {
        text
    }

    fn repeat(&self, count: u32, items: Sink<String>) -> Result<u32, Failure> {
        for _ in 0..count {
            items.send(ITEM)?;
        }
        Ok(count)
    }
}

pub fn serve() -> io::Result<()> {
    run(|| {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0))?;
        serve::announce(server.local_addr()?)?;
        server.service(EchoService(EchoServer)).serve()
    })
}

pub fn call(addr: SocketAddr, load: Load) -> io::Result<()> {
    let connect = move || Client::connect(&addr.to_string()).map(EchoClient::new);
    match load.unit {
        Unit::Call => take_turns(load, connect, echo),
        Unit::Item => take_turns(load, connect, repeat),
    }
}

fn echo(client: &EchoClient<Client>) -> io::Result<u64> {
    let answer = client.echo(TEXT.to_owned()).map_err(io::Error::other)?;
    assert_eq!(answer, TEXT);
    Ok(1)
}

fn repeat(client: &EchoClient<Client>) -> io::Result<u64> {
    let items = client.repeat(ITEMS).map_err(io::Error::other)?;
    let mut count = 0;
    for item in items.items() {
        assert_eq!(item.map_err(io::Error::other)?, ITEM);
        count += 1;
    }
    assert_eq!(items.finish().map_err(io::Error::other)?, ITEMS);
    assert_eq!(count, u64::from(ITEMS));
    Ok(count)
}

/// Takes turns in which each client does `work` from so many coroutines at once, for ever.
fn take_turns<C: 'static>(
    load: Load,
    connect: impl Fn() -> io::Result<C> + 'static,
    work: impl Fn(&C) -> io::Result<u64> + Copy + 'static,
) -> io::Result<()> {
    run(move || {
        let clients: Vec<Rc<C>> = (0..load.connections).map(|_| connect().map(Rc::new)).collect::<io::Result<_>>()?;
        for client in &clients {
            work(client)?;
        }
        let turns = Turns::begin()?;
        while let Some(duration) = turns.wait() {
            turns.report(turn(&clients, load, duration, work)?);
        }
        Ok(())
    })
}

fn turn<C: 'static>(
    clients: &[Rc<C>],
    load: Load,
    duration: Duration,
    work: impl Fn(&C) -> io::Result<u64> + Copy + 'static,
) -> io::Result<Turn> {
    let began = Instant::now();
    let end = began + duration;
    let calls: Vec<_> = clients
        .iter()
        .flat_map(|client| std::iter::repeat_n(client, load.flights))
        .map(|client| {
            let client = Rc::clone(client);
            spawn(move || {
                let mut count = 0;
                while Instant::now() < end {
                    count += work(&client)?;
                }
                io::Result::Ok(count)
            })
        })
        .collect();
    let mut completed = 0;
    for call in calls {
        completed += call.join().map_err(|error| io::Error::other(error.to_string()))??;
    }
    Ok(Turn { completed, elapsed: began.elapsed() })
}

/// A turn may block the thread for as long as nobody has asked for the next one.
fn run(main: impl FnOnce() -> io::Result<()> + 'static) -> io::Result<()> {
    match Runtime::new().latency_warning(None).run(main)? {
        Exit::Returned(result) => result,
        ended => Err(io::Error::other(format!("{ended:?}"))),
    }
}
