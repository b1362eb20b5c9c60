//! HTTPS: what a request and its answer are over TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, ErrorKind, Read, Write};

use grapeshot_core::{sleep, test};
use grapeshot_http::{Request, Response, Upgraded};
use grapeshot_net::TcpStream;
use grapeshot_tls::rustls::ProtocolVersion;
use grapeshot_tls::{ClientCertificates, ClientConfig, SelfSigned, ServerConfig, TlsError, TlsStream, Version};

use support::tls::{NAME, SecureSite};
use support::{Client, SECOND, echo, get, post, post_chunks, show};

/// Says what it knows of the TLS below.
fn tell(request: &mut Request<'_>) -> String {
    let Some(tls) = request.tls() else { return format!("plain {}", request.is_tls()) };
    let alpn = tls.alpn_protocol().map(|name| String::from_utf8(name).unwrap());
    format!(
        "{} {:?} {:?} {:?} {} {}",
        request.is_tls(),
        tls.server_name(),
        alpn,
        tls.protocol_version().unwrap(),
        tls.is_resumed(),
        tls.peer_certificates().map_or(0, |chain| chain.len())
    )
}

fn client(own: &SelfSigned) -> grapeshot_tls::ClientBuilder {
    ClientConfig::builder().roots(own.roots().unwrap())
}

#[test]
fn a_request_knows_the_tls_it_came_over() {
    test::run(|| {
        let site = SecureSite::new(tell);
        let config = client(&site.own).alpn(["http/1.1"]).build().unwrap();
        let told = format!("true Some({NAME:?}) Some(\"http/1.1\") {:?} false 0", ProtocolVersion::TLSv1_3);
        assert_eq!(site.connect_with(&config).ask(get("/")).text(), told);
        let told = format!("true Some({NAME:?}) Some(\"http/1.1\") {:?} true 0", ProtocolVersion::TLSv1_3);
        assert_eq!(site.connect_with(&config).ask(get("/")).text(), told, "resumed by a ticket");
    });
}

#[test]
fn a_client_of_tls_1_2_is_served() {
    test::run(|| {
        let site = SecureSite::new(tell);
        let config = client(&site.own).newest_version(Version::Tls12).build().unwrap();
        let told = site.connect_with(&config).ask(get("/"));
        assert!(told.text().contains("TLSv1_2"), "{}", told.text());
    });
}

#[test]
fn a_request_shows_the_certificate_of_its_client() {
    test::run(|| {
        let members = SelfSigned::new(["member.example"]).unwrap();
        let roots = members.roots().unwrap();
        let site = SecureSite::of(
            |server, own| {
                let config = ServerConfig::builder().identity(own.identity().unwrap());
                server.tls(config.client_certificates(ClientCertificates::required(roots)).build().unwrap())
            },
            |request: &mut Request<'_>| {
                let chain = request.tls().unwrap().peer_certificates().unwrap();
                Response::bytes(chain[0].to_vec())
            },
        );
        let config = client(&site.own).identity(members.identity().unwrap()).build().unwrap();
        let shown = site.connect_with(&config).ask(get("/")).body;
        assert_eq!(shown, members.identity().unwrap().chain()[0].to_vec());
        // Of TLS 1.3 a client learns of a refusal only when it reads.
        let mut stranger = site.connect();
        let refused = stranger.stream.read(&mut [0; 16]).unwrap_err();
        assert!(matches!(TlsError::of(&refused), Some(TlsError::AlertReceived { .. })), "{refused}");
        assert!(site.failures.take()[0].contains("has shown no certificate"));
    });
}

/// RFC 7301 section 3.2: a server that knows none of the protocols offered ends the handshake with an alert.
#[test]
fn rfc_7301_section_3_2_http_1_1_is_offered_and_nothing_else() {
    test::run(|| {
        let site = SecureSite::new(tell);
        let both = client(&site.own).alpn(["h2", "http/1.1"]).build().unwrap();
        assert!(site.connect_with(&both).ask(get("/")).text().contains("Some(\"http/1.1\")"));
        assert!(site.connect().ask(get("/")).text().contains("None"), "a client without ALPN is served");
        let other = client(&site.own).alpn(["h2"]).build().unwrap();
        let refused = site.fresh_with(&other).stream.handshake().unwrap_err();
        assert!(matches!(TlsError::of(&refused), Some(TlsError::NothingInCommon { .. })), "{refused}");
    });
}

#[test]
fn protocols_that_the_configuration_names_stay() {
    test::run(|| {
        let configure = |server: grapeshot_http::Server, own: &SelfSigned| {
            server.tls(own.server_config().unwrap().with_alpn(["http/1.0"]).unwrap())
        };
        let site = SecureSite::of(configure, tell);
        let config = client(&site.own).alpn(["http/1.1", "http/1.0"]).build().unwrap();
        assert!(site.connect_with(&config).ask(get("/")).text().contains("Some(\"http/1.0\")"));
    });
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        for round in 0..10 {
            let path = format!("/{round}");
            assert_eq!(client.ask(get(&path)).text(), format!("GET {path} []"));
            assert_eq!(client.ask(post(&path, "a body")).text(), format!("POST {path} [a body]"));
            assert_eq!(client.ask(post_chunks(&path, &["in", "chunks"])).text(), format!("POST {path} [inchunks]"));
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        client.send((0..100).map(|n| get(&format!("/{n}"))).collect::<String>());
        for n in 0..100 {
            assert_eq!(client.reply().text(), format!("GET /{n} []"));
        }
    });
}

/// Requests need not begin where records do.
#[test]
fn a_request_may_come_in_a_record_for_each_byte() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        for byte in post("/slow", "body").as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.reply().text(), "POST /slow [body]");
    });
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(client.ask(head).status, 100);
        assert_eq!(client.ask("body").text(), "POST / [body]");
    });
}

/// The peer can tell the end of what was sent from a cut (RFC 8446 section 6.1): the clients of these tests fail at a cut.
#[test]
fn rfc_8446_section_6_1_a_connection_ends_with_close_notify() {
    test::run(|| {
        let site = SecureSite::new(show);
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            "GET / HTTP/1.0\r\n\r\n".to_owned(),
            "nonsense\r\n\r\n".to_owned(),
            post("/", "body").replace("Content-Length: 4", "Content-Length: 99999999"),
        ] {
            let mut client = site.connect();
            client.send(&request);
            let (answer, end) = client.rest_and_end();
            assert!(answer.starts_with("HTTP/1.1 "), "{request:?}");
            end.unwrap_or_else(|error| panic!("{request:?}: {error}"));
        }
    });
}

/// Whose body was cut off is not told that it is whole, not even where only the end of the connection says so.
#[test]
fn rfc_8446_section_6_1_a_response_cut_off_ends_without_close_notify() {
    test::run(|| {
        let site = SecureSite::new(|request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(grapeshot_http::StatusCode::OK))?;
            writer.write_all(b"the first half")?;
            writer.flush()?;
            Err::<Response, io::Error>(io::Error::other("no second half"))
        });
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut client = site.connect();
            client.send(request);
            let (answer, end) = client.rest_and_end();
            assert!(answer.contains("the first half"), "{answer}");
            assert!(end.is_err(), "{request:?} was answered in full");
        }
    });
}

#[test]
fn a_body_cut_off_by_the_client_is_an_error_for_the_handler() {
    test::run(|| {
        let notes = support::Notes::default();
        let seen = notes.clone();
        let site = SecureSite::new(move |request: &mut Request<'_>| {
            let failed = request.body().read_all().unwrap_err();
            seen.add(format!("{:?}", failed.kind()));
            Response::text("never sent")
        });
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        client.stream.inner().shutdown(std::net::Shutdown::Write).unwrap();
        sleep(SECOND);
        assert_eq!(notes.take(), [format!("{:?}", ErrorKind::UnexpectedEof)]);
    });
}

#[test]
fn an_upgraded_connection_keeps_its_tls() {
    test::run(|| {
        let site = SecureSite::new(|_: &mut Request<'_>| {
            Response::upgrade("shout", |upgraded: Upgraded| {
                let Upgraded { mut stream, buffered } = upgraded;
                assert!(stream.is_tls() && stream.tls().is_some());
                stream.write_all(&buffered.to_ascii_uppercase()).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                stream.write_all(text.to_ascii_uppercase().as_bytes()).unwrap();
                stream.shutdown_write().unwrap();
            })
        });
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\neager ");
        assert_eq!(client.reply().status, 101);
        client.send("and more");
        client.stream.close_write().unwrap();
        assert_eq!(client.rest(), "EAGER AND MORE");
    });
}

const LARGE: usize = 3 << 20;

/// A body that no buffer on the way holds at once, back and forth at the same time.
#[test]
fn large_bodies_go_both_ways() {
    test::run(|| {
        let site = SecureSite::with(|limits| limits.body_bytes = 1 << 30, echo);
        let mut client = site.connect();
        let body: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
        let stream = client.stream;
        let received = grapeshot_core::scope(|scope| {
            scope.spawn(|| {
                write!(&stream, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").unwrap();
                (&stream).write_all(&body).unwrap();
            });
            let mut received = Client::over(&stream);
            received.reply().body
        });
        assert!(received == body, "it came back otherwise than it went");
        client = Client::over(stream);
        client.send(get("/"));
        assert_eq!(client.reply().status, 200, "the connection goes on");
    });
}

/// A peer who takes its time for a large response gets all of it.
#[test]
fn a_slow_reader_gets_a_large_response_whole() {
    test::run(|| {
        let body: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
        let sent = body.clone();
        let site = SecureSite::new(move |_: &mut Request<'_>| Response::bytes(sent.clone()));
        let mut client = site.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let mut received = Vec::new();
        let mut block = vec![0; 64 << 10];
        loop {
            match client.stream.read(&mut block).unwrap() {
                0 => break,
                len => received.extend_from_slice(&block[..len]),
            }
            sleep(SECOND / 10);
        }
        let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(received[head..] == body, "{} bytes of {LARGE} came", received.len() - head);
    });
}

#[test]
fn a_server_without_tls_says_so() {
    test::run(|| {
        let site = support::Site::new(tell);
        assert_eq!(site.connect().ask(get("/")).text(), "plain false");
    });
}

/// Who does not trust the server's certificate tells it so, and nobody else suffers.
#[test]
fn a_client_that_trusts_another_authority_goes_away() {
    test::run(|| {
        let site = SecureSite::new(show);
        let other = SelfSigned::new([NAME]).unwrap();
        let refused = site.fresh_with(&other.client_config().unwrap()).stream.handshake().unwrap_err();
        assert!(matches!(TlsError::of(&refused), Some(TlsError::CertificateRefused { .. })), "{refused}");
        let stream = TcpStream::connect(site.site.address).unwrap();
        let elsewhere = TlsStream::client(stream, &site.own.client_config().unwrap(), "other.example").unwrap();
        assert!(matches!(TlsError::of(&elsewhere.handshake().unwrap_err()), Some(TlsError::CertificateRefused { .. })));
        assert_eq!(site.connect().ask(get("/")).status, 200);
        let failures = site.failures.take();
        assert_eq!(failures.len(), 2, "{failures:?}");
        assert!(failures.iter().all(|failure| failure.contains("alert")), "{failures:?}");
    });
}
