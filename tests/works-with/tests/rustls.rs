//! rustls: `StreamOwned` over our sockets, at both ends.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test, with_timeout};
use grapeshot_net::memory::{Builder, Faults};
use grapeshot_net::{TcpListener, TcpStream};
use rcgen::CertifiedKey;
use rustls::crypto::ring;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Both ends' settings: a certificate for `localhost`, which the client trusts.
fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn serve<S: Read + Write>(config: Arc<ServerConfig>, stream: S) -> StreamOwned<ServerConnection, S> {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}

fn connect<S: Read + Write>(config: Arc<ClientConfig>, stream: S) -> StreamOwned<ClientConnection, S> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// Sends back what comes, until the end.
fn echo<S: Read + Write>(mut stream: StreamOwned<ServerConnection, S>) -> io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf)? {
            0 => break,
            count => stream.write_all(&buf[..count])?,
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// Sends `bytes` and takes as many back.
fn exchange(stream: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    assert!(answer == bytes);
    Ok(())
}

/// DESIGN §6: a hundred connections at once, each coroutine in its own handshake.
#[test]
fn a_hundred_connections_share_a_thread() {
    test::run(|| {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(move || {
            for stream in listener.incoming() {
                let stream = serve(server.clone(), stream.unwrap());
                spawn(move || echo(stream).unwrap());
            }
        });
        let clients: Vec<_> = (0..100)
            .map(|number: usize| {
                let config = client.clone();
                spawn(move || {
                    let mut stream = connect(config, TcpStream::connect(address).unwrap());
                    for round in 0..3 {
                        exchange(&mut stream, &vec![number as u8; 1 + 5000 * round]).unwrap();
                    }
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).unwrap();
                    assert!(rest.is_empty());
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// A handshake with a peer that says nothing holds up its own coroutine, and a limit ends it.
#[test]
fn a_silent_peer_costs_its_own_coroutine() {
    test::run(|| {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let silent = TcpStream::connect(address).unwrap();
        let (stuck, _) = listener.accept().unwrap();
        let waits = spawn({
            let mut stream = serve(server.clone(), stuck);
            move || with_timeout(Duration::from_secs(5), || stream.read(&mut [0; 8])).unwrap_err()
        });
        let serving = spawn(move || echo(serve(server, listener.accept().unwrap().0)));
        let mut stream = connect(client, TcpStream::connect(address).unwrap());
        exchange(&mut stream, b"not held up").unwrap();
        drop(stream);
        serving.join().unwrap().unwrap_err();
        waits.join().unwrap();
        drop(silent);
    });
}

/// Records and handshakes are whole wherever the stream cuts them; what is garbled is refused.
#[test]
fn records_cut_into_small_pieces_are_whole_and_garbled_ones_refused() {
    test::run(|| {
        let (server, client) = configs();
        let cut = || Faults::new().short_reads(7).short_writes(11).delays(Duration::ZERO..Duration::from_millis(2));
        let (near, far) = Builder::new().to_far(cut()).to_near(cut()).pair();
        let serving = spawn({
            let server = server.clone();
            move || echo(serve(server, far))
        });
        let mut stream = connect(client.clone(), near);
        exchange(&mut stream, &[7; 3000]).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        serving.join().unwrap().unwrap();

        let (near, far) = Builder::new().to_near(Faults::new().garbage(200..210)).pair();
        let serving = spawn(move || echo(serve(server, far)));
        let mut stream = connect(client, near);
        exchange(&mut stream, b"never arrives").unwrap_err();
        drop(stream);
        let _ended = serving.join().unwrap();
        sleep(Duration::from_secs(1));
    });
}
