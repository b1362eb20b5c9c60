//! The table of TLS servers: CPU of the server per handshake with a request, per megabyte, and what an idle connection holds.
//!
//! Both servers run with the same configuration of rustls, and so with the same provider. The client is rustls over
//! blocking sockets of std, on the other core; it takes more CPU than the servers, which so are never overloaded:
//! what is compared is CPU per piece of work and not how many pieces there were.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_tls::rustls::client::Resumption;
use grapeshot_tls::rustls::pki_types::ServerName;
use grapeshot_tls::rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use grapeshot_tls::{SelfSigned, rustls};

use crate::load;
use crate::machine::{self, Cores, Scheduled};
use crate::options::Options;
use crate::peers::{Peer, Server};
use crate::serve::tls_folder;
use crate::stats::Summary;

const PEERS: &[Peer] =
    &[Peer { name: "Grapeshot", kind: "grapeshot-tls" }, Peer { name: "tokio-rustls", kind: "tokio-rustls" }];

/// Bytes of a request and of an answer beside a handshake.
const SMALL: usize = 100;

/// Bytes of one transfer in bulk.
const BULK: usize = 16 << 20;

/// Connections that are left idle.
const IDLE: usize = 2000;

/// Lets a server finish what it does after its last answer, so that its CPU time has been accounted.
const SETTLE: Duration = Duration::from_millis(3);

type Client = StreamOwned<ClientConnection, TcpStream>;

/// What a piece of work is.
#[derive(Clone, Copy)]
enum Work {
    Full,
    Resumed,
    Download,
    Upload,
}

impl Work {
    const ALL: [Work; 4] = [Work::Full, Work::Resumed, Work::Download, Work::Upload];

    fn name(self) -> &'static str {
        match self {
            Work::Full => "full handshake and a request, µs",
            Work::Resumed => "resumed handshake and a request, µs",
            Work::Download => "a megabyte sent, µs",
            Work::Upload => "a megabyte received, µs",
        }
    }
}

/// A client of one server.
struct Contender {
    server: Server,
    full: Arc<ClientConfig>,
    resumed: Arc<ClientConfig>,
    bulk: Client,
    /// CPU a piece, in µs, by kind of work.
    samples: Vec<Vec<f64>>,
}

/// The tables of TLS.
pub fn tls(options: &Options) -> io::Result<()> {
    let cores = Cores::pick()?;
    let own = SelfSigned::new(["localhost"]).map_err(io::Error::other)?;
    fs::write(tls_folder()?.join("tls-chain.pem"), own.chain_pem())?;
    fs::write(tls_folder()?.join("tls-key.pem"), own.key_pem())?;
    let config = own.client_config().map_err(io::Error::other)?;
    let mut contenders = Vec::new();
    for peer in PEERS {
        if let Some(server) = Server::start(*peer, cores.server)? {
            contenders.push(Contender::new(server, config.rustls())?);
        }
    }
    machine::pin(cores.load)?;
    compare(options, &mut contenders)?;
    idle(options, &mut contenders)
}

/// CPU per piece of work, in shuffled rounds.
fn compare(options: &Options, contenders: &mut [Contender]) -> io::Result<()> {
    println!("\n## TLS\n\n| CPU of the server for | {} | {} | ratio |", PEERS[0].name, PEERS[1].name);
    println!("|---|---|---|---|");
    for (kind, work) in Work::ALL.into_iter().enumerate() {
        for round in 0..options.rounds + 1 {
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            options.shuffle(&mut order);
            for index in order {
                let sample = contenders[index].slice(work, options.slice)?;
                // The first round warms caches and buffers.
                if round > 0 {
                    contenders[index].samples[kind].push(sample);
                }
            }
        }
        let [ours, theirs] = [0, 1].map(|index| &contenders[index].samples[kind]);
        let ratio = Summary::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
        let [ours, theirs] = [ours, theirs].map(|samples| Summary::of(samples.iter().copied()));
        println!("| {} | {ours:.1} | {theirs:.1} | {ratio:.3} |", work.name());
    }
    Ok(())
}

impl Contender {
    fn new(server: Server, config: &ClientConfig) -> io::Result<Contender> {
        let mut full = config.clone();
        full.resumption = Resumption::disabled();
        let mut resumed = config.clone();
        // Its own memory, so that one server's tickets are not shown to the other.
        resumed.resumption = Resumption::in_memory_sessions(8);
        let full = Arc::new(full);
        let mut bulk = connect(server.addr, &full)?;
        // It does its handshake now: a server gives a silent client up.
        ask(&mut bulk, SMALL, SMALL)?;
        let samples = vec![Vec::new(); Work::ALL.len()];
        Ok(Contender { server, full, resumed: Arc::new(resumed), bulk, samples })
    }

    /// Works for about `duration`, and answers what a piece cost the server, in µs.
    fn slice(&mut self, work: Work, duration: Duration) -> io::Result<f64> {
        let pid = self.server.pid();
        let before = Scheduled::of(&pid)?;
        let start = Instant::now();
        let mut pieces = 0.0;
        while start.elapsed() < duration {
            pieces += match work {
                Work::Full => self.handshake(HandshakeKind::Full)?,
                Work::Resumed => self.handshake(HandshakeKind::Resumed)?,
                Work::Download => ask(&mut self.bulk, 0, BULK).map(|()| BULK as f64 / 1e6)?,
                Work::Upload => ask(&mut self.bulk, BULK, 0).map(|()| BULK as f64 / 1e6)?,
            };
        }
        thread::sleep(SETTLE);
        Ok(Scheduled::of(&pid)?.since(before).ran.as_secs_f64() * 1e6 / pieces)
    }

    /// One connection with one request; counts only what was asked for, as the first is never a resumed one.
    fn handshake(&self, wanted: HandshakeKind) -> io::Result<f64> {
        let config = if wanted == HandshakeKind::Full { &self.full } else { &self.resumed };
        let mut client = connect(self.server.addr, config)?;
        ask(&mut client, SMALL, SMALL)?;
        let kind = client.conn.handshake_kind();
        client.conn.send_close_notify();
        client.flush()?;
        Ok(if kind == Some(wanted) { 1.0 } else { 0.0 })
    }
}

fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Client> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, load::connect(addr)?))
}

/// Sends so many bytes, and waits for so many, at least one.
fn ask(client: &mut Client, sent: usize, wanted: usize) -> io::Result<()> {
    let wanted = wanted.max(1);
    let mut request = [(sent as u64).to_be_bytes(), (wanted as u64).to_be_bytes()].concat();
    if sent <= SMALL {
        request.resize(request.len() + sent, 7);
        client.write_all(&request)?;
    } else {
        client.write_all(&request)?;
        let piece = vec![7; 64 << 10];
        for _ in 0..sent / piece.len() {
            client.write_all(&piece)?;
        }
    }
    client.flush()?;
    let mut piece = vec![0; wanted.min(64 << 10)];
    let mut left = wanted;
    while left > 0 {
        let room = left.min(piece.len());
        match client.read(&mut piece[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= count,
        }
    }
    Ok(())
}

/// What a server holds for a connection that has made a request and says nothing more.
fn idle(options: &Options, contenders: &mut [Contender]) -> io::Result<()> {
    println!("\n| idle connection | memory, KiB |\n|---|---|");
    for contender in contenders {
        let before = machine::resident(&contender.server.pid())?;
        let mut clients = Vec::new();
        for _ in 0..IDLE {
            let mut client = connect(contender.server.addr, &contender.full)?;
            ask(&mut client, SMALL, SMALL)?;
            clients.push(client);
        }
        thread::sleep(options.idle);
        let after = machine::resident(&contender.server.pid())?;
        for client in &mut clients {
            ask(client, SMALL, SMALL)?;
        }
        let each = after.saturating_sub(before) as f64 / IDLE as f64 / 1024.0;
        println!("| {} | {each:.2} |", contender.server.name);
    }
    println!("\nrustls's own state, without its heap: {} bytes on a server.", size_of::<rustls::ServerConnection>());
    Ok(())
}
