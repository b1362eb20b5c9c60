//! What the tests with real TLS programs share: a server of ours, a client of ours, and files for theirs.
#![allow(dead_code, reason = "each file uses a part of this")]

use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{Builder, Group, offload, spawn};
use grapeshot_harness::TempDir;
use grapeshot_net::TcpStream;
use grapeshot_tls::rustls::ProtocolVersion;
use grapeshot_tls::rustls::pki_types::CertificateDer;
use grapeshot_tls::{
    ClientBuilder, ClientConfig, SelfSigned, ServerBuilder, ServerConfig, TlsListener, TlsStream, Version,
};

/// Never reached by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const VERSIONS: [(Version, ProtocolVersion); 2] =
    [(Version::Tls12, ProtocolVersion::TLSv1_2), (Version::Tls13, ProtocolVersion::TLSv1_3)];

/// The files that programs want to be given.
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    pub(crate) fn of(signed: &SelfSigned) -> Files {
        let files = Files { dir: TempDir::new().unwrap() };
        for (name, text) in
            [("ca.pem", &*signed.authority_pem()), ("chain.pem", signed.chain_pem()), ("key.pem", signed.key_pem())]
        {
            fs::write(files.path(name), text).unwrap();
        }
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As an argument of a command line.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

pub(crate) fn localhost() -> SelfSigned {
    SelfSigned::new(["localhost"]).unwrap()
}

pub(crate) fn server_of(signed: &SelfSigned) -> ServerBuilder {
    ServerConfig::builder().identity(signed.identity().unwrap())
}

pub(crate) fn client_of(signed: &SelfSigned) -> ClientBuilder {
    ClientConfig::builder().roots(signed.roots().unwrap())
}

/// What a stream of ours knows once its handshake is done.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) version: Option<ProtocolVersion>,
    pub(crate) alpn: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) is_resumed: bool,
    pub(crate) shown: Option<CertificateDer<'static>>,
}

pub(crate) fn facts(stream: &TlsStream<TcpStream>) -> Facts {
    Facts {
        version: stream.protocol_version(),
        alpn: stream.alpn_protocol().map(|name| String::from_utf8(name).unwrap()),
        name: stream.server_name(),
        is_resumed: stream.is_resumed(),
        shown: stream.peer_certificates().and_then(|chain| chain.first().cloned()),
    }
}

/// How a connection went on our server: what it knew, or why it came to no good.
pub(crate) type Served = Result<Facts, io::Error>;

/// Serves while `client` runs on a thread of its own, which is told the address; connections get every line back in capitals,
/// and close_notify after the line `bye`.
///
/// A connection has gone well if it ended with the client's close_notify.
pub(crate) fn serve<T: Send + 'static>(
    config: ServerConfig,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> (T, Vec<Served>) {
    Test::new().real_time().run(move || {
        let served = Rc::new(RefCell::new(Vec::new()));
        let listener = TlsListener::bind("127.0.0.1:0", config).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Rc::new(Group::new());
        let accepting = spawn({
            let (served, connections) = (served.clone(), connections.clone());
            move || {
                loop {
                    let (stream, _) = listener.accept().unwrap();
                    let served = served.clone();
                    let answer = move || served.borrow_mut().push(answer(&stream));
                    connections.spawn(Builder::new(), answer).unwrap();
                }
            }
        });
        let output = offload(move || client(address));
        // What the client has had an answer on was accepted, and ends as the client has ended.
        connections.wait_empty(None);
        accepting.cancel();
        drop(accepting.join());
        let served = served.take();
        (output, served)
    })
}

fn answer(stream: &TlsStream<TcpStream>) -> Served {
    stream.handshake()?;
    let facts = facts(stream);
    let (mut lines, mut line) = (BufReader::new(stream), String::new());
    while lines.read_line(&mut line)? > 0 {
        let mut stream = stream;
        stream.write_all(line.to_uppercase().as_bytes())?;
        stream.flush()?;
        if line == "bye\n" {
            stream.close_write()?;
        }
        line.clear();
    }
    stream.close()?;
    Ok(facts)
}

/// Connects from within a runtime.
pub(crate) fn connect(address: SocketAddr, config: &ClientConfig, name: &str) -> io::Result<TlsStream<TcpStream>> {
    let stream = TlsStream::client(TcpStream::connect(address)?, config, name)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.handshake()?;
    Ok(stream)
}

/// Sends a line, and waits for the one that comes back.
pub(crate) fn ask(stream: &TlsStream<TcpStream>, line: &str) -> io::Result<String> {
    let mut writing = stream;
    writing.write_all(line.as_bytes())?;
    writing.flush()?;
    let mut answer = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut answer)?;
    Ok(answer)
}

/// Runs the body in a runtime with real time.
pub(crate) fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    Test::new().real_time().run(body)
}
