//! An arena of worms to watch and to meddle with over telnet, each worm a coroutine.
//!
//! ```sh
//! cargo run --release --example worms
//! telnet 127.0.0.1 9001
//! ```
//!
//! A terminal of 150 columns and 54 rows shows all of it, a smaller one the upper left part. Everyone who connects sees
//! the same worms; the line at the bottom says which keys do what. Worms turn away from walls and from each other,
//! and two that meet head-on are a collision: the one that ran lies stunned for five seconds.
//!
//! `-- --worms 300` begins with more than ten, `--listen ADDRESS:PORT` listens elsewhere than on 127.0.0.1:9001.
//! Ctrl-C ends the program and gives all viewers their terminals back.
//!
//! Read `worm.rs` for a life in a loop, `viewer.rs` for two coroutines on one connection and what a slow viewer costs,
//! then `world.rs`, `arena.rs`, `screen.rs` and `telnet.rs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

mod arena;
mod screen;
mod telnet;
mod viewer;
mod world;
mod worm;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;

use grapeshot::net::{TcpListener, TcpStream};
use grapeshot::{Builder, Group};

use crate::world::{MOST_WORMS, World};

const DEFAULT_PORT: u16 = 9001;
const DEFAULT_WORMS: usize = 10;

/// Most viewers at a time; each costs a little of the processor and of the network.
const MOST_VIEWERS: usize = 100;

struct Options {
    listen: SocketAddr,
    worms: usize,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!(
            "usage: worms [--listen ADDRESS:PORT] [--worms COUNT], such as --listen 127.0.0.1:{DEFAULT_PORT}, and \
             with up to {MOST_WORMS} worms"
        );
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worms: cannot serve {}: {error}", options.listen);
            ExitCode::FAILURE
        }
    })
}

fn options() -> Option<Options> {
    let mut options = Options { listen: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(), worms: DEFAULT_WORMS };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--listen" => options.listen = value.parse().ok()?,
            "--worms" => options.worms = value.parse().ok().filter(|&count| count <= MOST_WORMS)?,
            _ => return None,
        }
    }
    Some(options)
}

fn serve(options: &Options) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    let world = Rc::new(World::new());
    world.add_worms(options.worms)?;
    println!("{} worms on {}", options.worms, listener.local_addr()?);
    // When this function unwinds, the group ends the viewers, and the last of them the world and its worms.
    let viewers = Group::new();
    loop {
        let (stream, peer) = listener.accept()?;
        if viewers.len() >= MOST_VIEWERS {
            // A fresh connection takes a line at once; if it does not, there is nobody to tell.
            let _ = (&stream).write_all(b"There are too many viewers. Please come back later.\r\n");
            continue;
        }
        let world = world.clone();
        viewers.spawn(Builder::new().name(format!("viewer {peer}")), move || view(&world, &stream, peer))?;
    }
}

fn view(world: &World, stream: &TcpStream, peer: SocketAddr) {
    println!("{peer} watches");
    let _entered = world.enter();
    match viewer::show(world, stream) {
        Ok(()) => println!("{peer} is gone"),
        Err(error) => println!("{peer} is gone: {error}"),
    }
}
