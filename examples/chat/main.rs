//! A line chat over TCP: one room, any number of people, and nobody is held up by a friend who has gone to lunch.
//!
//! ```sh
//! cargo run --release --example chat
//! nc 127.0.0.1 9001                # or telnet, in as many terminals as you like
//! cargo run --release --example chat -- --self-test
//! ```
//!
//! Everybody has two coroutines, one that reads and one that writes, and between the room and the writer a queue.
//! Who reads so slowly that the queue fills up is dropped, with the reason, and the others never wait.
//! `-- --listen ADDRESS:PORT` listens elsewhere; Ctrl-C ends it.
//! `-- --self-test` lets ann, bob and a sleeper chat in the same process, and prints what bob sees.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod room;
mod self_test;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::channel::Receiver;
use grapeshot::net::{BufStream, SocketOptions, TcpListener, TcpStream};
use grapeshot::{Builder, Group, RateLimiter, try_scope, with_timeout};

use room::{PEOPLE, Room};

const DEFAULT_PORT: u16 = 9001;

/// The longest line in bytes, its end included.
const LINE: usize = 512;

/// How many lines a second somebody may say, and how many at once: nobody shall fill the others' queues
/// faster than the network empties them.
const PACE: u32 = 100;
const BURST: u32 = 20;

const NAME_TIME: Duration = Duration::from_secs(60);
const WRITE_TIME: Duration = Duration::from_secs(10);

/// What the kernel holds for a peer that does not read; its own idea of that is several megabytes.
const SEND_BUFFER: usize = 32 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    let (address, work): (_, fn(TcpListener) -> io::Result<()>) = match arguments[..] {
        [] => (Some(default), serve),
        ["--listen", address] => (address.parse().ok(), serve),
        ["--self-test"] => (Some((Ipv4Addr::LOCALHOST, 0).into()), self_test::run),
        _ => (None, serve),
    };
    let Some(address) = address else {
        eprintln!("usage: chat [--listen ADDRESS:PORT | --self-test], such as --listen 127.0.0.1:{DEFAULT_PORT}");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match TcpListener::bind(address).and_then(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: on {address}: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(listener: TcpListener) -> io::Result<()> {
    println!("chat on {}", listener.local_addr()?);
    let room = Rc::new(Room::default());
    let people = Group::new();
    loop {
        let (stream, peer) = listener.accept()?;
        if people.len() >= PEOPLE {
            // A few bytes always find room in a new connection's buffer; if the peer has gone, so be it.
            let _ = writeln!(&stream, "* the room is full");
            continue;
        }
        let room = room.clone();
        people.spawn(Builder::new().name(format!("chat with {peer}")), move || {
            if let Err(error) = attend(&room, &stream) {
                println!("{peer}: {error}");
                // The peer may have gone; then nobody reads it.
                let _ = writeln!(&stream, "* goodbye: {error}");
            }
        })?;
    }
}

/// One person's visit.
fn attend(room: &Room, stream: &TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIME))?;
    stream.set_send_buffer_size(SEND_BUFFER)?;
    let mut input = BufStream::new(stream);
    let Some(name) = with_timeout(NAME_TIME, || ask_name(room, &mut input))?? else { return Ok(()) };
    let queue = room.enter(&name);
    let visit = try_scope(|scope| {
        scope.spawn(|| deliver(stream, &queue));
        let why = listen(room, &name, &mut input)?;
        // With it goes the sender, and the writer ends once the queue is empty.
        room.leave(&name, why);
        Ok(())
    });
    if let Err(error) = &visit {
        room.leave(&name, &error.to_string());
    }
    visit
}

/// A name that nobody here has; none if the peer hangs up.
fn ask_name(room: &Room, input: &mut BufStream<&TcpStream>) -> io::Result<Option<String>> {
    loop {
        input.inner_mut().write_all(b"* your name?\n")?;
        let Some(name) = read_line(input)? else { return Ok(None) };
        let fits = (1..=16).contains(&name.len()) && name.chars().all(char::is_alphanumeric);
        let answer = match fits {
            true if !room.has(&name) => return Ok(Some(name)),
            true => "* somebody here has that name\n",
            false => "* up to 16 letters and digits, please\n",
        };
        input.inner_mut().write_all(answer.as_bytes())?;
    }
}

/// Passes on what somebody says, and returns why they leave.
fn listen(room: &Room, name: &str, input: &mut BufStream<&TcpStream>) -> io::Result<&'static str> {
    let pace = RateLimiter::new(PACE, Duration::from_secs(1)).burst(BURST);
    while let Some(line) = read_line(input)? {
        match line.as_str() {
            "" => {}
            "/quit" => return Ok("said goodbye"),
            "/names" => input.inner_mut().write_all(format!("* {}\n", room.names()).as_bytes())?,
            line => room.say(name, &format!("{name}: {line}")),
        }
        pace.until_ready().map_err(io::Error::other)?;
    }
    Ok("hung up")
}

/// A line without its end, and without what would move the others' cursors; none at the end of the stream.
fn read_line(input: &mut BufStream<&TcpStream>) -> io::Result<Option<String>> {
    let line = input.read_line(LINE)?;
    let text = String::from_utf8_lossy(&line);
    Ok((!line.is_empty()).then(|| text.chars().filter(|char| !char.is_control()).collect()))
}

fn deliver(mut stream: &TcpStream, queue: &Receiver<Rc<str>>) -> io::Result<()> {
    for line in queue {
        stream.write_all(line.as_bytes())?;
    }
    Ok(())
}
