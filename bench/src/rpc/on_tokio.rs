//! What the peers on tokio share: the runtime, and a client with calls in flight.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::client::{Load, Turn, Turns};

/// A client, whose clones share its connection.
pub trait Calls: Clone + Send + Sync + Sized + 'static {
    /// Connects.
    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Self>>;

    /// Makes one call or receives one stream, checks what comes, and counts it.
    fn work(&mut self, load: Load) -> impl Future<Output = io::Result<u64>> + Send;
}

/// tokio with one thread, as its users run it.
pub fn block_on<T>(main: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    Builder::new_current_thread().enable_all().build()?.block_on(main)
}

/// Takes turns with clients of this kind, for ever.
pub fn call<C: Calls>(addr: SocketAddr, load: Load) -> io::Result<()> {
    block_on(async move {
        let mut clients = Vec::new();
        for _ in 0..load.connections {
            let mut client = C::connect(addr).await?;
            client.work(load).await?;
            clients.push(client);
        }
        let turns = Turns::begin()?;
        while let Some(duration) = turns.wait() {
            turns.report(turn(&clients, load, duration).await?);
        }
        Ok(())
    })
}

async fn turn<C: Calls>(clients: &[C], load: Load, duration: Duration) -> io::Result<Turn> {
    let began = Instant::now();
    let end = began + duration;
    let mut calls = JoinSet::new();
    for client in clients {
        for _ in 0..load.flights {
            let mut client = client.clone();
            calls.spawn(async move {
                let mut count = 0;
                while Instant::now() < end {
                    count += client.work(load).await?;
                }
                io::Result::Ok(count)
            });
        }
    }
    let mut completed = 0;
    while let Some(count) = calls.join_next().await {
        completed += count.map_err(io::Error::other)??;
    }
    Ok(Turn { completed, elapsed: began.elapsed() })
}
