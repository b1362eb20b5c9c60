//! Signatures that take long are made elsewhere, and the loop goes on meanwhile.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;
#[path = "common/rsa.rs"]
mod rsa;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::NAME;
use grapeshot_core::{Handle, scope, spawn, test, yield_now};
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_tls::{
    ClientCertificates, ClientConfig, Identity, Limits, ServerConfig, Signing, TlsError, TlsStream, Version,
};
use rsa::{Authority, Watched};

type Stream = TlsStream<MemoryStream>;

const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

/// A server with this identity, and a client that believes it and speaks this version.
struct Ends {
    server: ServerConfig,
    client: ClientConfig,
}

impl Ends {
    fn new(authority: &Authority, identity: Identity, version: Version) -> Ends {
        let client = ClientConfig::builder().roots(authority.roots()).newest_version(version).oldest_version(version);
        let server = ServerConfig::builder().identity(identity);
        Ends { server: server.build().unwrap(), client: client.build().unwrap() }
    }

    /// The same, and the client shows an identity of its own, which the server demands.
    fn mutual(authority: &Authority, identity: Identity, client: Identity, version: Version) -> Ends {
        let belief = ClientConfig::builder().roots(authority.roots()).newest_version(version).oldest_version(version);
        let demand = ClientCertificates::required(authority.roots());
        let server = ServerConfig::builder().identity(identity).client_certificates(demand);
        Ends { server: server.build().unwrap(), client: belief.identity(client).build().unwrap() }
    }

    /// The client's stream and the server's.
    fn streams(&self) -> (Stream, Stream) {
        let (near, far) = memory::pair();
        (TlsStream::client(near, &self.client, NAME).unwrap(), TlsStream::server(far, &self.server).unwrap())
    }
}

/// Has a byte go each way, which takes both handshakes.
fn talk(near: &Stream, far: Stream) -> io::Result<Stream> {
    let other = spawn(move || {
        (&far).read_exact(&mut [0])?;
        (&far).write_all(b"!")?;
        (&far).flush().map(|()| far)
    });
    let asked = (&mut &*near).write_all(b"?").and_then(|()| (&mut &*near).read_exact(&mut [0]));
    let answered = other.join().unwrap();
    asked.and(answered)
}

/// Lets others run until a signature is under way.
fn wait_for(watched: &Watched) {
    while watched.threads().is_empty() {
        yield_now();
    }
}

/// The handshake waits for its signature, and others run meanwhile.
fn loop_turns_while_it_signs(ends: &Ends, watched: &Watched, let_go: std::sync::mpsc::Sender<()>) {
    let (near, far) = ends.streams();
    let done = Rc::new(Cell::new(false));
    let talking = spawn({
        let done = done.clone();
        move || {
            talk(&near, far).unwrap();
            done.set(true);
        }
    });
    wait_for(watched);
    for _ in 0..1000 {
        yield_now();
    }
    assert!(!done.get(), "the signature has not been let go");
    drop(let_go);
    talking.join().unwrap();
    assert_eq!(watched.here_and_elsewhere(), (0, 1));
}

#[test]
fn the_loop_turns_while_a_server_signs_with_rsa() {
    for version in VERSIONS {
        test::run(move || {
            let authority = Authority::new();
            let (identity, watched, let_go) = Watched::held(&authority.rsa());
            loop_turns_while_it_signs(&Ends::new(&authority, identity, version), &watched, let_go);
        });
    }
}

#[test]
fn the_loop_turns_while_a_client_signs_with_rsa() {
    for version in VERSIONS {
        test::run(move || {
            let authority = Authority::new();
            let (identity, watched, let_go) = Watched::held(&authority.rsa());
            let ends = Ends::mutual(&authority, authority.ecdsa(), identity, version);
            loop_turns_while_it_signs(&ends, &watched, let_go);
        });
    }
}

/// Where the signatures of one connection are made: on the loop, and elsewhere.
fn signatures(identity: &Identity, authority: &Authority, signing: Option<Signing>) -> (usize, usize) {
    let (identity, watched) = Watched::new(identity);
    let mut ends = Ends::new(authority, identity, Version::Tls13);
    if let Some(signing) = signing {
        ends.server = ends.server.with_signing(signing);
        assert_eq!(ends.server.signing(), signing);
    }
    let (near, far) = ends.streams();
    talk(&near, far).unwrap();
    watched.here_and_elsewhere()
}

#[test]
fn quick_keys_sign_on_the_loop_unless_it_is_said_otherwise() {
    test::run(|| {
        let authority = Authority::new();
        assert_eq!(signatures(&authority.ecdsa(), &authority, None), (1, 0));
        assert_eq!(signatures(&authority.ecdsa(), &authority, Some(Signing::ByKey)), (1, 0));
        assert_eq!(signatures(&authority.ecdsa(), &authority, Some(Signing::OffLoop)), (0, 1));
        assert_eq!(signatures(&authority.rsa(), &authority, None), (0, 1));
        assert_eq!(signatures(&authority.rsa(), &authority, Some(Signing::OnLoop)), (1, 0));
    });
}

#[test]
fn the_key_that_is_shown_decides_where_there_are_two() {
    test::run(|| {
        let authority = Authority::new();
        let (quick, watched_quick) = Watched::new(&authority.ecdsa());
        let (slow, watched_slow) = Watched::new(&authority.rsa());
        let server = ServerConfig::builder().identity(quick).identity(slow).build().unwrap();
        let client = ClientConfig::builder().roots(authority.roots()).build().unwrap();
        let (near, far) = Ends { server, client }.streams();
        talk(&near, far).unwrap();
        assert_eq!((watched_quick.here_and_elsewhere(), watched_slow.threads().len()), ((1, 0), 0));
    });
}

#[test]
fn a_configuration_of_rustls_that_was_handed_in_is_treated_alike() {
    test::run(|| {
        let authority = Authority::new();
        let (identity, watched) = Watched::new(&authority.rsa());
        let ends = Ends::new(&authority, identity, Version::Tls13);
        let server = ServerConfig::from(ends.server.rustls().clone());
        let (near, far) = Ends { server, ..ends }.streams();
        talk(&near, far).unwrap();
        assert_eq!(watched.here_and_elsewhere(), (0, 1));
    });
}

#[test]
fn a_hundred_handshakes_at_once_all_come_to_their_end() {
    for version in VERSIONS {
        test::run(move || {
            let authority = Authority::new();
            let (identity, watched) = Watched::new(&authority.rsa());
            let ends = Ends::new(&authority, identity, version);
            scope(|scope| {
                for _ in 0..100 {
                    scope.spawn(|| {
                        let (near, far) = ends.streams();
                        talk(&near, far).unwrap();
                    });
                }
            });
            assert_eq!(watched.here_and_elsewhere(), (0, 100));
        });
    }
}

#[test]
fn a_resumed_handshake_needs_no_signature() {
    for version in VERSIONS {
        test::run(move || {
            let authority = Authority::new();
            let (identity, watched) = Watched::new(&authority.rsa());
            let ends = Ends::new(&authority, identity, version);
            for resumed in [false, true] {
                let (near, far) = ends.streams();
                let far = talk(&near, far).unwrap();
                assert_eq!((near.is_resumed(), far.is_resumed()), (resumed, resumed));
            }
            assert_eq!(watched.threads().len(), 1);
        });
    }
}

/// rustls resumes only where the certificate would be chosen by the very same means.
#[test]
fn a_client_with_a_certificate_resumes_across_application_protocols() {
    test::run(|| {
        let authority = Authority::new();
        let mut ends = Ends::mutual(&authority, authority.ecdsa(), authority.rsa(), Version::Tls13);
        ends.client = ends.client.with_limits(Limits::default());
        let (near, far) = ends.streams();
        talk(&near, far).unwrap();
        ends.client = ends.client.with_alpn(["h2"]).unwrap();
        let (near, far) = ends.streams();
        let far = talk(&near, far).unwrap();
        assert!(near.is_resumed() && far.is_resumed());
    });
}

#[test]
fn who_is_cut_off_while_a_signature_is_made_breaks_the_connection_and_says_so() {
    for version in VERSIONS {
        test::run(move || {
            let authority = Authority::new();
            let (identity, watched, let_go) = Watched::held(&authority.rsa());
            let (near, far) = Ends::new(&authority, identity, version).streams();
            let far = Rc::new(far);
            let client = spawn(move || near.handshake());
            let [cut_off, waiting] = [(); 2].map(|()| {
                let far = far.clone();
                spawn(move || far.handshake())
            });
            wait_for(&watched);
            assert!(!waiting.is_finished());
            cut_off.cancel();
            assert!(cut_off.join().is_err());
            // Who waited for the handshake hears of it, and whoever comes later; the peer sees the end.
            for error in [waiting.join().unwrap().unwrap_err(), far.handshake().unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeAbandoned { .. })), "{error}");
            }
            let error = (&*far).read(&mut [0]).unwrap_err();
            assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeAbandoned { .. })), "{error}");
            assert!((&*far).write(b"x").is_err());
            assert!(!far.is_established() && far.protocol_version().is_none());
            let error = client.join().unwrap().unwrap_err();
            let truncated = matches!(TlsError::of(&error), Some(TlsError::Truncated { after_handshake: false, .. }));
            assert!(truncated, "{error}");
            drop(let_go);
        });
    }
}

#[test]
fn a_signature_that_panics_breaks_the_connection_and_nothing_else() {
    test::run(|| {
        let authority = Authority::new();
        let (near, far) = Ends::new(&authority, Watched::panicking(&authority.rsa()), Version::Tls13).streams();
        let far = Rc::new(far);
        let client = spawn(move || near.handshake());
        let server = spawn({
            let far = far.clone();
            move || far.handshake()
        });
        assert!(server.join().unwrap_err().to_string().contains("no signature today"));
        let error = far.handshake().unwrap_err();
        assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeAbandoned { .. })), "{error}");
        assert!(client.join().unwrap().is_err());
    });
}

#[test]
fn the_limit_of_a_handshake_holds_for_its_signature() {
    // A virtual clock stands still while another thread works.
    test::Test::new().real_time().run(|| {
        let authority = Authority::new();
        let (identity, _watched, let_go) = Watched::held(&authority.rsa());
        let (near, far) = Ends::new(&authority, identity, Version::Tls13).streams();
        far.set_limits(Limits { handshake: Duration::from_millis(30), ..Limits::default() });
        let client = spawn(move || near.handshake());
        for _ in 0..2 {
            let error = far.handshake().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeTimedOut { .. })), "{error}");
        }
        assert!(client.join().unwrap().is_err());
        drop(let_go);
    });
}

#[test]
fn others_find_the_stream_in_the_middle_of_its_handshake() {
    test::run(|| {
        let authority = Authority::new();
        let (identity, watched, let_go) = Watched::held(&authority.rsa());
        let (near, far) = Ends::new(&authority, identity, Version::Tls13).streams();
        let far = Rc::new(far);
        let client = spawn(move || near.handshake());
        let server = spawn({
            let far = far.clone();
            move || far.handshake()
        });
        wait_for(&watched);
        assert!(!far.is_established());
        assert_eq!(far.server_name().as_deref(), Some(NAME), "it is known from the client's first words");
        assert_eq!((far.protocol_version(), far.alpn_protocol(), far.handshake_kind()), (None, None, None));
        assert_eq!(far.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(far.refresh_traffic_keys().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(format!("{far:?}").contains("established: false"));
        // Closed by another, it ends as soon as it would send.
        far.close().unwrap();
        drop(let_go);
        assert!(server.join().unwrap().is_err());
        assert!(client.join().unwrap().is_err());
    });
}

#[test]
fn two_loops_have_their_signatures_made_by_the_same_threads() {
    test::Test::new().real_time().run(|| {
        let authority = Authority::new();
        let (identity, watched) = Watched::new(&authority.rsa());
        // Whichever is second resumes nothing, and so has a signature as well.
        let client = ClientConfig::builder().roots(authority.roots()).servers_remembered(0).build().unwrap();
        let ends = Ends { client, ..Ends::new(&authority, identity, Version::Tls13) };
        let (server, client) = (ends.server.clone(), ends.client.clone());
        let elsewhere = std::thread::spawn(move || {
            test::Test::new().real_time().run(move || {
                assert!(Handle::try_current().is_ok());
                let (near, far) = Ends { server, client }.streams();
                talk(&near, far).unwrap();
            });
        });
        let (near, far) = ends.streams();
        talk(&near, far).unwrap();
        elsewhere.join().unwrap();
        assert_eq!(watched.threads().len(), 2);
    });
}

#[test]
fn outside_of_coroutines_a_handshake_signs_by_itself() {
    let authority = Authority::new();
    let (identity, watched) = Watched::new(&authority.rsa());
    let ends = Ends::new(&authority, identity, Version::Tls13);
    let (near, far) = grapeshot_net::UnixStream::pair().unwrap();
    let near = TlsStream::client(near, &ends.client, NAME).unwrap();
    let far = TlsStream::server(far, &ends.server).unwrap();
    // The client stays for the server's last words.
    let client = std::thread::spawn(move || near.handshake().map(|()| near));
    far.handshake().unwrap();
    drop(client.join().unwrap().unwrap());
    assert_eq!(watched.here_and_elsewhere(), (1, 0));
}
