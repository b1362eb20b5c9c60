//! Ann talks, bob listens, and the sleeper does not read a line: it must go, and bob must not miss anything.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use grapeshot::net::{BufStream, SocketOptions, TcpListener, TcpStream};
use grapeshot::{sleep, spawn, try_scope, with_timeout};

use crate::{LINE, serve};

const LIMIT: Duration = Duration::from_secs(60);

/// Ann is quick, but not so quick that the room has to slow her down.
const PAUSE: Duration = Duration::from_millis(12);

pub(crate) fn run(listener: TcpListener) -> io::Result<()> {
    let address = listener.local_addr()?;
    let server = spawn(move || serve(listener));
    with_timeout(LIMIT, || talk(address))??;
    server.cancel();
    Ok(())
}

fn talk(address: SocketAddr) -> io::Result<()> {
    let mut bob = visitor(address, "bob")?;
    let sleeper = visitor(address, "sleeper")?;
    // Or the system would keep a megabyte for it.
    sleeper.inner().set_recv_buffer_size(4096)?;
    let mut ann = visitor(address, "ann")?;
    let sleeper_is_there = Cell::new(true);
    let (said, heard) = try_scope(|scope| {
        let ann = scope.spawn(|| {
            let mut said = 0;
            while sleeper_is_there.get() {
                writeln!(ann, "{}", "la ".repeat(100))?;
                ann.flush()?;
                said += 1;
                sleep(PAUSE);
            }
            ann.write_all(b"/quit\n")?;
            ann.flush()?;
            Ok::<usize, io::Error>(said)
        });
        let mut heard = 0;
        loop {
            let line = bob.read_line(2 * LINE)?;
            match String::from_utf8_lossy(&line).trim_end() {
                "" => return Err(io::Error::other("the room has closed before ann left")),
                "* ann leaves: said goodbye" => break,
                line if line.starts_with("ann: ") => heard += 1,
                line => {
                    println!("bob sees: {line}");
                    sleeper_is_there.set(!line.starts_with("* sleeper leaves: ") && sleeper_is_there.get());
                }
            }
        }
        let said = ann.join().map_err(io::Error::other)?;
        Ok((said, heard))
    })?;
    println!("ann said {said} lines until the sleeper was dropped, and bob heard {heard} of them");
    if said == heard { Ok(()) } else { Err(io::Error::other("bob missed some of what ann said")) }
}

fn visitor(address: SocketAddr, name: &str) -> io::Result<BufStream<TcpStream>> {
    let mut stream = BufStream::new(TcpStream::connect(address)?);
    writeln!(stream, "{name}")?;
    stream.flush()?;
    // The second line is the room's word that it is in.
    for _ in 0..2 {
        stream.read_line(LINE)?;
    }
    Ok(stream)
}
