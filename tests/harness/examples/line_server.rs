//! A server as a harness likes them: it takes any free port, prints it, and ends with its input.
//!
//! Run `cargo run --package grapeshot-harness --example line_server`, connect to the address it prints, and it sends each line back.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            let (stream, peer) = listener.accept()?;
            writeln!(io::stdout(), "connection from {peer}")?;
            thread::spawn(move || echo(&stream));
        }
    });
    // The end of the input is the end of the program.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn echo(stream: &TcpStream) -> io::Result<()> {
    let mut writer = stream;
    for line in BufReader::new(stream).lines() {
        writeln!(writer, "{}", line?)?;
    }
    Ok(())
}
