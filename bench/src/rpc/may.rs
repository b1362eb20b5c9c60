//! may_rpc with one worker on each side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use may::net::TcpStream;
use may_rpc::TcpServer;

use super::TEXT;
use super::client::{Load, Turn, Turns};
use crate::peers::free_addr;
use crate::serve;

#[may_rpc::service]
trait Echo {
    fn echo(&self, text: String) -> String;
}

#[derive(may_rpc::Server)]
#[service(Echo)]
struct EchoServer;

impl Echo for EchoServer {
    fn echo(&self, text: String) -> String {
        text
    }
}

/// One worker, on the core that this process was given: may would pin it to the first.
fn configure() {
    may::config().set_workers(1).set_pool_capacity(1000).set_worker_pin(false);
}

pub fn serve() -> io::Result<()> {
    configure();
    let addr = free_addr()?;
    let server = EchoServer.start(addr)?;
    serve::announce(addr)?;
    server.join().map_err(|_| io::Error::other("the server panicked"))
}

/// The thread that waits for turns is none of may's.
pub fn call(addr: SocketAddr, load: Load) -> io::Result<()> {
    configure();
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        clients.push(Arc::new(EchoClient::new(stream)?));
    }
    let turns = Turns::begin()?;
    while let Some(duration) = turns.wait() {
        let began = Instant::now();
        let end = began + duration;
        let calls: Vec<_> = clients
            .iter()
            .flat_map(|client| std::iter::repeat_n(client, load.flights))
            .map(|client| {
                let client = Arc::clone(client);
                may::go!(move || {
                    let mut count = 0;
                    while Instant::now() < end {
                        let answer = client.echo(TEXT.to_owned()).unwrap_or_else(|error| panic!("{error}"));
                        assert_eq!(answer, TEXT);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut completed = 0;
        for call in calls {
            completed += call.join().map_err(|_| io::Error::other("a call failed"))?;
        }
        turns.report(Turn { completed, elapsed: began.elapsed() });
    }
    Ok(())
}
