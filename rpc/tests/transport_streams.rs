//! What every transport promises, asked of each of those over sockets, TLS, memory and other streams.
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{WaitLimit, spawn, test, yield_now};
use grapeshot_net::{TcpListener, TcpStream, UnixStream, memory};
use grapeshot_rpc::transport::AnyStream;
use grapeshot_rpc::{Identity, Transport};
use grapeshot_tls::{ClientCertificates, ClientConfig, ServerConfig, TlsStream};

type Pair = (Box<dyn Transport>, Box<dyn Transport>);

/// A kind of transport, by its name, and how two that are connected are made.
type Kind = (&'static str, fn() -> Pair);

fn tcp() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    (Box::new(near), Box::new(far))
}

fn unix() -> Pair {
    let (near, far) = UnixStream::pair().unwrap();
    (Box::new(near), Box::new(far))
}

fn memory_pair() -> Pair {
    let (near, far) = memory::pair();
    (Box::new(near), Box::new(far))
}

fn any() -> Pair {
    let (near, far) = memory::pair();
    (Box::new(AnyStream::new(near)), Box::new(AnyStream::new(far)))
}

fn tls_configs() -> (ClientConfig, ServerConfig) {
    let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
    (own.client_config().unwrap(), own.server_config().unwrap())
}

fn tls() -> Pair {
    let (client, server) = tls_configs();
    let (near, far) = memory::pair();
    let near = TlsStream::client(near, &client, "localhost").unwrap();
    let far = Rc::new(TlsStream::server(far, &server).unwrap());
    let handshake = spawn({
        let far = far.clone();
        move || far.establish()
    });
    near.establish().unwrap();
    handshake.join().unwrap().unwrap();
    (Box::new(near), Box::new(far))
}

const KINDS: &[Kind] = &[("TCP", tcp), ("Unix", unix), ("memory", memory_pair), ("any stream", any), ("TLS", tls)];

fn each(check: impl Fn(&str, Pair) + Copy + 'static) {
    for &(name, pair) in KINDS {
        Test::new().real_time().run(move || check(name, pair()));
    }
}

fn read_all(transport: &dyn Transport) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match transport.read_within(&mut buf, WaitLimit::After(Duration::from_secs(20))).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

#[test]
fn a_write_is_whole_however_large() {
    each(|name, (near, far)| {
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let writer = spawn({
            let sent = sent.clone();
            move || {
                near.write_all_within(&sent, WaitLimit::After(Duration::from_secs(20))).unwrap();
                near.end_writing().unwrap();
                near
            }
        });
        // AnyStream has no other end than its own: it is closed instead.
        if name == "any stream" {
            spawn(move || writer.join().unwrap().close());
            assert!(read_all(&*far) == sent, "{name}");
            return;
        }
        assert!(read_all(&*far) == sent, "{name}");
        let near = writer.join().unwrap();
        far.write_all_within(b"and back", WaitLimit::Never).unwrap();
        let mut buf = [0; 64];
        let count = near.read_within(&mut buf, WaitLimit::Never).unwrap();
        assert_eq!(&buf[..count], b"and back", "{name} reads on after its end of writing");
    });
}

#[test]
fn a_read_that_finds_nothing_keeps_its_limit_and_loses_nothing() {
    each(|name, (near, far)| {
        let mut buf = [0; 16];
        let error = near.read_within(&mut buf, WaitLimit::After(Duration::from_millis(5))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{name}");
        far.write_all_within(b"late", WaitLimit::Never).unwrap();
        assert_eq!(near.read_within(&mut buf, WaitLimit::Never).unwrap(), 4, "{name}");
    });
}

#[test]
fn a_write_to_a_peer_that_does_not_read_keeps_its_limit() {
    each(|name, (near, _far)| {
        let much = vec![7; 64 << 20];
        let error = near.write_all_within(&much, WaitLimit::After(Duration::from_millis(20))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{name}");
    });
}

#[test]
fn a_small_write_that_the_peer_has_no_room_for_keeps_its_limit_over_tls() {
    test::run(|| {
        let (client, server) = tls_configs();
        let (near, far) = memory::Builder::new().capacity(8 << 10).pair();
        let far = Rc::new(TlsStream::server(far, &server).unwrap());
        let near = TlsStream::client(near, &client, "localhost").unwrap();
        let handshake = spawn({
            let far = far.clone();
            move || far.establish()
        });
        near.establish().unwrap();
        handshake.join().unwrap().unwrap();
        // One record's worth: TLS takes it whole, and cannot send it whole.
        let error = near.write_all_within(&[7; 12 << 10], WaitLimit::After(Duration::from_secs(1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn closing_ends_a_read_that_waits_and_tells_the_peer() {
    each(|name, (near, far)| {
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || near.read_within(&mut [0; 16], WaitLimit::Never)
        });
        yield_now();
        near.close();
        assert!(reader.join().unwrap().is_err(), "{name}");
        assert!(near.write_all_within(b"x", WaitLimit::Never).is_err(), "{name}");
        assert_eq!(far.read_within(&mut [0; 16], WaitLimit::After(Duration::from_secs(20))).unwrap(), 0, "{name}");
    });
}

#[test]
fn closing_ends_a_write_that_waits() {
    each(|name, (near, _far)| {
        let near = Rc::new(near);
        let writer = spawn({
            let near = near.clone();
            move || near.write_all_within(&vec![7; 64 << 20], WaitLimit::Never)
        });
        while !is_parked(&writer.coroutine()) {
            yield_now();
        }
        near.close();
        assert!(writer.join().unwrap().is_err(), "{name}");
    });
}

fn is_parked(coroutine: &grapeshot_core::Coroutine) -> bool {
    coroutine.info().state == grapeshot_core::State::Parked
}

#[test]
fn a_tcp_peer_is_its_address() {
    Test::new().real_time().run(|| {
        let (near, far) = tcp();
        let address = far.identity().address.unwrap();
        assert!(address.ip().is_loopback());
        assert_ne!(far.identity(), near.identity());
        assert_eq!(far.peer(), address.to_string());
    });
}

#[test]
fn a_unix_peer_is_the_user_and_process_that_the_kernel_names() {
    Test::new().real_time().run(|| {
        let (near, _far) = unix();
        let credentials = near.identity().credentials.unwrap();
        assert_eq!(credentials.pid, Some(std::process::id().cast_signed()));
        let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        assert_eq!(credentials.uid, own);
        assert_eq!(near.peer(), format!("process {} of user {own}", std::process::id()));
    });
}

#[test]
fn a_tls_peer_is_the_certificate_that_it_showed() {
    test::run(|| {
        let (near, far) = tls();
        assert!(near.identity().certificate.unwrap().starts_with(&[0x30]), "the server's, in DER");
        assert_eq!(far.identity().certificate, None, "the client was not asked for one");
    });
}

#[test]
fn a_tls_client_is_the_certificate_that_was_verified_once_the_connection_is_established() {
    test::run(|| {
        let server = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
        let staff = grapeshot_tls::SelfSigned::new(["clerk"]).unwrap();
        let clients = ClientCertificates::required(staff.roots().unwrap());
        let serving = ServerConfig::builder().identity(server.identity().unwrap()).client_certificates(clients);
        let client = ClientConfig::builder().roots(server.roots().unwrap()).identity(staff.identity().unwrap());
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &client.build().unwrap(), "localhost").unwrap();
        let far = TlsStream::server(far, &serving.build().unwrap()).unwrap();
        assert_eq!(far.identity().certificate, None, "nothing is known before");
        let handshake = spawn(move || near.establish().map(|()| near));
        far.establish().unwrap();
        let near = handshake.join().unwrap().unwrap();
        let clerk = far.identity().certificate.unwrap();
        assert_ne!(Some(&clerk), near.identity().certificate.as_ref());
        assert!(clerk.windows(5).any(|name| name == b"clerk"), "its name is in it");
    });
}

#[test]
fn the_handshake_of_tls_is_done_by_establishing_and_is_bounded() {
    test::run(|| {
        let (client, _) = tls_configs();
        let (near, _silent) = memory::pair();
        let near = TlsStream::client(near, &client, "localhost").unwrap();
        assert!(near.establish().is_err(), "the peer says nothing");
    });
}

#[test]
fn an_unknown_peer_is_said_to_be_unknown() {
    assert_eq!(Identity::default().to_string(), "an unknown peer");
}
