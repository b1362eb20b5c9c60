//! The handshake: who does it, what it ends with, and how long it may take.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::{NAME, client, client_config, pair, server, server_config};
use grapeshot_core::{now, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_net::memory::{self, Faults, MemoryStream};
use grapeshot_tls::rustls::{AlertDescription, CertificateError, HandshakeKind, ProtocolVersion};
use grapeshot_tls::{
    AnyStream, Carrier, ClientConfig, Lacking, Limits, Protocol, SelfSigned, ServerConfig, TlsError, TlsStream, Version,
};

fn tls_error(error: &io::Error) -> &TlsError {
    TlsError::of(error).unwrap_or_else(|| panic!("{error} has nothing to do with TLS"))
}

/// Does both handshakes and returns what they came to, the client's first.
fn shake(client: TlsStream<MemoryStream>, server: TlsStream<MemoryStream>) -> (io::Result<()>, io::Result<()>) {
    let other = spawn(move || {
        let done = server.handshake();
        // A client of TLS 1.3 is done before it hears of a refusal.
        done.and_then(|()| (&server).read(&mut [0; 1]).map(drop))
    });
    let near = client.handshake().and_then(|()| match (&client).write(b"x") {
        Ok(_) => (&client).read(&mut [0; 1]).map(drop),
        Err(error) => Err(error),
    });
    drop(client);
    (near, other.join().unwrap())
}

#[test]
fn what_was_agreed_on_is_known_on_both_sides() {
    test::run(|| {
        let client_config = client_config().with_alpn(["h2", "http/1.1"]).unwrap();
        let server_config = server_config().with_alpn(["http/1.1"]).unwrap();
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &client_config, NAME).unwrap();
        let far = TlsStream::server(far, &server_config).unwrap();
        assert_eq!((far.protocol_version(), far.server_name()), (None, None));
        let other = spawn(move || {
            far.handshake().unwrap();
            far
        });
        near.handshake().unwrap();
        let far = other.join().unwrap();
        for end in [&near, &far] {
            assert!(end.is_established());
            assert_eq!(end.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(end.alpn_protocol().as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(end.cipher_suite(), near.cipher_suite());
            assert!(end.cipher_suite().is_some());
        }
        assert_eq!(far.server_name().as_deref(), Some(NAME));
        assert!(near.peer_certificates().is_some_and(|chain| !chain.is_empty()));
        assert!(far.peer_certificates().is_none());
    });
}

#[test]
fn rfc8446_section2_2_a_second_handshake_resumes_the_first() {
    test::run(|| {
        let own = SelfSigned::new([NAME]).unwrap();
        let (client_config, server_config) = (own.client_config().unwrap(), own.server_config().unwrap());
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (near, far) = memory::pair();
            let near = TlsStream::client(near, &client_config, NAME).unwrap();
            let far = TlsStream::server(far, &server_config).unwrap();
            let other = spawn(move || {
                (&far).write_all(b"hello").unwrap();
                far.close().unwrap();
                (far.is_resumed(), far.server_name())
            });
            io::copy(&mut &near, &mut io::sink()).unwrap();
            assert_eq!(near.is_resumed(), expected == HandshakeKind::Resumed);
            assert_eq!(other.join().unwrap(), (near.is_resumed(), Some(NAME.to_owned())));
        }
    });
}

#[test]
fn rfc5246_the_older_version_goes_as_well() {
    test::run(|| {
        let own = SelfSigned::new([NAME]).unwrap();
        let (near, far) = memory::pair();
        let config =
            ClientConfig::builder().roots(own.roots().unwrap()).newest_version(Version::Tls12).build().unwrap();
        let near = TlsStream::client(near, &config, NAME).unwrap();
        let far = TlsStream::server(far, &own.server_config().unwrap()).unwrap();
        let other = spawn(move || {
            let mut received = Vec::new();
            (&far).read_to_end(&mut received).unwrap();
            (&far).write_all(&received).unwrap();
            received
        });
        (&near).write_all(&[7; 100_000]).unwrap();
        near.close_write().unwrap();
        let mut back = Vec::new();
        (&near).read_to_end(&mut back).unwrap();
        assert_eq!(near.protocol_version(), Some(ProtocolVersion::TLSv1_2));
        assert!(back == [7; 100_000] && other.join().unwrap() == back);
    });
}

#[test]
fn a_handshake_goes_through_however_its_bytes_are_cut() {
    for (seed, longest) in [(1, 1), (2, 3), (3, 100)] {
        test::run(move || {
            let cut = |seed| Faults::new().seed(seed).short_reads(longest).short_writes(longest);
            let (near, far) = pair(memory::Builder::new().to_far(cut(seed)).to_near(cut(seed + 7)).pair());
            let other = spawn(move || far.handshake().map(|()| far));
            near.handshake().unwrap();
            assert_eq!(other.join().unwrap().unwrap().server_name().as_deref(), Some(NAME));
        });
    }
}

#[test]
fn any_stream_that_reads_and_writes_by_reference_will_do() {
    test::run(|| {
        let (near, far) = memory::pair();
        let (near, far) = pair((AnyStream(near), AnyStream(far)));
        let other = spawn(move || {
            let mut received = [0; 5];
            (&far).read_exact(&mut received).unwrap();
            far.close().unwrap();
            received
        });
        (&near).write_all(b"hello").unwrap();
        assert_eq!(&other.join().unwrap(), b"hello");
    });
}

#[test]
fn the_limit_holds_for_any_stream() {
    test::run(|| {
        let (near, _far) = memory::pair();
        let near = client(AnyStream(near));
        let began = now();
        let error = near.handshake().unwrap_err();
        assert!(matches!(tls_error(&error), TlsError::HandshakeTimedOut { .. }), "{error}");
        assert_eq!(now() - began, Limits::default().handshake);
    });
}

/// The server has the last word in a full handshake of TLS 1.2, and must not wait for the client before that is out.
#[test]
fn rfc5246_section7_3_a_server_that_reads_first_has_said_that_it_is_finished() {
    fn read_first<S: Carrier + 'static>((near, far): (S, S)) {
        let own = SelfSigned::new([NAME]).unwrap();
        let config = ClientConfig::builder().roots(own.roots().unwrap()).newest_version(Version::Tls12);
        let near = TlsStream::client(near, &config.build().unwrap(), NAME).unwrap();
        let far = TlsStream::server(far, &own.server_config().unwrap()).unwrap();
        let other = spawn(move || (&far).read_exact(&mut [0; 5]).map(|()| far));
        (&near).write_all(b"hello").unwrap();
        drop(other.join().unwrap().unwrap());
    }
    test::run(|| {
        read_first(memory::pair());
        read_first(memory::Builder::new().capacity(10).pair());
        let (near, far) = memory::pair();
        read_first((AnyStream(near), AnyStream(far)));
    });
}

#[test]
fn tls_goes_inside_tls() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let (near, far) = (client(near), server(far));
        let other = spawn(move || {
            let mut received = String::new();
            (&far).read_to_string(&mut received).unwrap();
            far.close().unwrap();
            received
        });
        (&near).write_all(b"through two layers").unwrap();
        near.close_write().unwrap();
        assert_eq!((&near).read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(other.join().unwrap(), "through two layers");
    });
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused_and_the_peer_is_told() {
    test::run(|| {
        let other = SelfSigned::new([NAME]).unwrap();
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &other.client_config().unwrap(), NAME).unwrap();
        let (near, far) = shake(near, server(far));
        let error = near.unwrap_err();
        let TlsError::CertificateRefused { reason, .. } = tls_error(&error) else { panic!("{error}") };
        // The name of the issuer is the same, its key is not.
        assert!(matches!(reason, CertificateError::UnknownIssuer | CertificateError::BadSignature), "{error}");
        assert!(error.to_string().contains(NAME), "{error}");
        let error = far.unwrap_err();
        assert!(matches!(tls_error(&error), TlsError::AlertReceived { .. }), "{error}");
    });
}

#[test]
fn rfc9525_a_certificate_for_another_name_is_refused() {
    test::run(|| {
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &client_config(), "example.net").unwrap();
        let (near, far) = shake(near, server(far));
        let error = near.unwrap_err();
        assert!(error.to_string().contains("example.net"), "{error}");
        assert!(matches!(tls_error(&error), TlsError::CertificateRefused { .. }), "{error}");
        let TlsError::AlertReceived { alert, .. } = tls_error(far.as_ref().unwrap_err()) else { panic!("{far:?}") };
        assert_eq!(*alert, AlertDescription::BadCertificate);
    });
}

#[test]
fn rfc7301_section3_2_no_application_protocol_in_common_is_said_on_both_sides() {
    test::run(|| {
        let (near, far) = memory::pair();
        let near = TlsStream::client(near, &client_config().with_alpn(["h2"]).unwrap(), NAME).unwrap();
        let far = TlsStream::server(far, &server_config().with_alpn(["http/1.1"]).unwrap()).unwrap();
        let (near, far) = shake(near, far);
        for error in [near.unwrap_err(), far.unwrap_err()] {
            let TlsError::NothingInCommon { lacking, .. } = tls_error(&error) else { panic!("{error}") };
            assert_eq!(*lacking, Lacking::ApplicationProtocol);
        }
    });
}

#[test]
fn no_version_in_common_is_said_on_both_sides() {
    test::run(|| {
        let own = SelfSigned::new([NAME]).unwrap();
        let (near, far) = memory::pair();
        let config =
            ClientConfig::builder().roots(own.roots().unwrap()).newest_version(Version::Tls12).build().unwrap();
        let near = TlsStream::client(near, &config, NAME).unwrap();
        let config = ServerConfig::builder().identity(own.identity().unwrap()).oldest_version(Version::Tls13);
        let far = TlsStream::server(far, &config.build().unwrap()).unwrap();
        let (near, far) = shake(near, far);
        for error in [near.unwrap_err(), far.unwrap_err()] {
            let TlsError::NothingInCommon { lacking, .. } = tls_error(&error) else { panic!("{error}") };
            assert_eq!(*lacking, Lacking::Version);
        }
    });
}

#[test]
fn what_is_not_tls_is_called_by_its_name() {
    let cases: &[(&[u8], Protocol)] = &[
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", Protocol::PlainHttp),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Protocol::Ssh),
        (&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10], Protocol::Ssl2),
        (b"what is this", Protocol::Unknown),
    ];
    for &(bytes, protocol) in cases {
        test::run(move || {
            let (mut near, far) = memory::pair();
            near.write_all(bytes).unwrap();
            let error = server(far).handshake().unwrap_err();
            let TlsError::NotTls { protocol: found, .. } = tls_error(&error) else { panic!("{error}") };
            assert_eq!(*found, protocol);
            // The peer is told with an alert, and sees the end.
            let mut told = Vec::new();
            near.read_to_end(&mut told).unwrap();
            assert_eq!(told[..3], [21, 3, 3]);
        });
    }
}

#[test]
fn a_peer_that_leaves_in_the_middle_is_called_truncated() {
    test::run(|| {
        let (near, far) = memory::pair();
        let other = spawn(move || {
            let mut hello = [0; 4096];
            let mut near = near;
            let read = near.read(&mut hello).unwrap();
            assert!(read > 100);
        });
        let error = client(far).handshake().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(tls_error(&error), TlsError::Truncated { after_handshake: false, .. }), "{error}");
        other.join().unwrap();
    });
}

#[test]
fn garbage_in_the_middle_of_a_handshake_is_answered_with_an_alert() {
    for position in [0, 1, 3, 5, 9, 43, 60, 100, 130, 200, 700] {
        test::run(move || {
            let spoiled = Faults::new().garbage(position..position + 1);
            let (near, far) = pair(memory::Builder::new().to_near(spoiled).pair());
            near.set_limits(Limits { handshake: Duration::from_secs(1), ..Limits::default() });
            let (near, far) = shake(near, far);
            let error = near.unwrap_err();
            assert!(TlsError::of(&error).is_some(), "{error}");
            assert!(far.is_err());
        });
    }
}

#[test]
fn a_handshake_that_stalls_ends_at_its_limit_and_stays_ended() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = server(far);
        far.set_limits(Limits { handshake: Duration::from_secs(3), ..Limits::default() });
        let began = now();
        let error = far.handshake().unwrap_err();
        assert_eq!(now() - began, Duration::from_secs(3));
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let TlsError::HandshakeTimedOut { limit, .. } = tls_error(&error) else { panic!("{error}") };
        assert_eq!(*limit, Duration::from_secs(3));
        // The peer sees the end, and who uses the stream again hears the same at once.
        assert_eq!((&near).read(&mut [0; 1]).unwrap(), 0);
        assert!(matches!(tls_error(&(&far).read(&mut [0; 1]).unwrap_err()), TlsError::HandshakeTimedOut { .. }));
        assert_eq!(now() - began, Duration::from_secs(3));
    });
}

#[test]
fn those_who_come_during_a_handshake_wait_for_its_end() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let near = Rc::new(near);
        let done = Rc::new(Cell::new(0));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let (near, done) = (near.clone(), done.clone());
                spawn(move || {
                    near.handshake().unwrap();
                    done.set(done.get() + 1);
                })
            })
            .collect();
        yield_now();
        assert_eq!(done.get(), 0);
        far.handshake().unwrap();
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
        assert_eq!(done.get(), 3);
    });
}

#[test]
fn a_handshake_that_is_cut_off_is_taken_up_by_the_next() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        // Nobody answers yet.
        assert!(with_timeout(Duration::from_secs(1), || near.handshake()).is_err());
        let near = Rc::new(near);
        let cut_off = spawn({
            let near = near.clone();
            move || near.handshake()
        });
        let waiting = spawn({
            let near = near.clone();
            move || (&*near).write_all(b"hello").unwrap()
        });
        yield_now();
        cut_off.cancel();
        assert!(cut_off.join().is_err());
        let mut received = [0; 5];
        (&far).read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        waiting.join().unwrap();
    });
}

#[test]
fn a_handshake_that_is_cut_off_in_the_middle_of_a_message_loses_none_of_it() {
    test::run(|| {
        // A few bytes each millisecond: nearly every cut falls into a message.
        let drops =
            |seed| Faults::new().seed(seed).short_reads(60).delays(Duration::from_millis(1)..Duration::from_millis(2));
        let slow = memory::Builder::new().capacity(50).to_near(drops(1)).to_far(drops(2));
        let (near, far) = pair(slow.pair());
        let mut cuts = 0;
        let other = spawn(move || {
            while with_timeout(Duration::from_millis(7), || far.handshake().unwrap()).is_err() {}
            (&far).write_all(b"hello").unwrap();
            far.close().unwrap();
        });
        while with_timeout(Duration::from_millis(5), || near.handshake().unwrap()).is_err() {
            cuts += 1;
        }
        let mut received = String::new();
        (&near).read_to_string(&mut received).unwrap();
        assert_eq!(received, "hello");
        assert!(cuts > 3, "{cuts}");
        other.join().unwrap();
    });
}

#[test]
fn a_handshake_may_move_to_another_thread_in_the_middle() {
    fn needs_send<T: Send>(value: T) -> T {
        value
    }
    test::Test::new().real_time().run(|| {
        let (near, far) = grapeshot_net::UnixStream::pair().unwrap();
        let (near, far) = (client(near), server(far));
        let far = std::thread::spawn(move || {
            let far = needs_send(far);
            far.handshake().unwrap();
            (&far).write_all(b"from a thread").unwrap();
            far.close().unwrap();
        });
        let mut received = String::new();
        (&near).read_to_string(&mut received).unwrap();
        assert_eq!(received, "from a thread");
        far.join().unwrap();
    });
}

#[test]
fn rfc8446_section4_6_3_keys_change_while_bytes_go_both_ways() {
    test::run(|| {
        let (near, far) = pair(memory::Builder::new().capacity(3000).pair());
        let other = spawn(move || {
            let mut received = vec![0; 300_000];
            (&far).read_exact(&mut received).unwrap();
            (&far).write_all(&received).unwrap();
            far.close().unwrap();
        });
        near.handshake().unwrap();
        let near = Rc::new(near);
        let writer = spawn({
            let near = near.clone();
            move || {
                for piece in 0..100 {
                    (&*near).write_all(&[piece; 3000]).unwrap();
                    near.refresh_traffic_keys().unwrap();
                    if piece % 10 == 0 {
                        sleep(Duration::from_millis(1));
                    }
                }
            }
        });
        let mut back = Vec::new();
        (&*near).read_to_end(&mut back).unwrap();
        assert!(back.chunks(3000).enumerate().all(|(piece, bytes)| bytes.iter().all(|&byte| byte == piece as u8)));
        assert_eq!(back.len(), 300_000);
        writer.join().unwrap();
        other.join().unwrap();
    });
}
