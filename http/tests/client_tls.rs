//! HTTPS by the client: who is believed, what is told from a cut, and what is kept (RFC 9110 section 4.3.4, RFC 8446).
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use grapeshot_core::{JoinHandle, now, sleep, spawn, test};
use grapeshot_http::Method;
use grapeshot_http::client::{Client, ClientBuilder, ClientError, Dialer, Url};
use grapeshot_net::{IpAddr, Ipv4Addr, TcpListener};
use grapeshot_tls::{ClientCertificates, ClientConfig, SelfSigned, ServerConfig, TlsError, TlsStream};

use client_support::{SECOND, cause};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

type Connection = TlsStream<grapeshot_net::TcpStream>;

/// A server under a name of its own, that plays a script on each connection.
struct Site {
    port: u16,
    serving: JoinHandle<()>,
}

impl Site {
    fn new(config: ServerConfig, play: impl Fn(&mut Connection) + 'static) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                play(&mut TlsStream::server(stream, &config).unwrap());
            }
        });
        Site { port, serving }
    }

    fn url(&self) -> Url {
        format!("https://shop.test:{}/", self.port).parse().unwrap()
    }

    /// A client that knows where the server is, and believes whom the configuration says.
    fn client(&self, config: ClientConfig) -> Client {
        self.builder(config).build()
    }

    fn builder(&self, config: ClientConfig) -> ClientBuilder {
        Client::builder().connector(Dialer::new().resolve("shop.test", self.port, [LOOPBACK]).tls(config))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.cancel();
    }
}

fn shop() -> SelfSigned {
    SelfSigned::new(["shop.test"]).unwrap()
}

/// Reads a request head; whether there was one.
fn head(stream: &mut Connection) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Answers a request; a client that has seen enough hangs up.
fn answer(stream: &mut Connection, text: &str) {
    if head(stream) {
        let _ = stream.write_all(text.as_bytes());
    }
}

/// Sends what it has and ends the connection without a word: what somebody who cuts it would make of it.
fn cut(stream: &mut Connection) {
    stream.flush().unwrap();
    grapeshot_tls::Carrier::close(stream.inner());
}

const ROUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround";
const OPEN_END: &str = "HTTP/1.1 200 OK\r\n\r\nround";

#[test]
fn an_answer_comes_over_tls_and_the_server_is_told_the_name_and_the_protocol() {
    test::run(|| {
        let (own, seen) = (shop(), Rc::new(RefCell::new(None)));
        let told = seen.clone();
        let config = own.server_config().unwrap().with_alpn(["h2", "http/1.1"]).unwrap();
        let site = Site::new(config, move |stream| {
            answer(stream, ROUND);
            told.replace(Some((stream.server_name(), stream.alpn_protocol())));
        });
        let client = site.client(own.client_config().unwrap());
        assert_eq!(client.get(site.url()).unwrap().read_text().unwrap(), "round");
        sleep(SECOND);
        assert_eq!(seen.take(), Some((Some("shop.test".to_owned()), Some(b"http/1.1".to_vec()))));
    });
}

/// RFC 6066 section 3: the name is told without its last dot, and the certificate is compared without it.
#[test]
fn a_name_with_a_dot_at_its_end_is_the_same_server() {
    test::run(|| {
        let own = shop();
        let site = Site::new(own.server_config().unwrap(), |stream| answer(stream, ROUND));
        let client = site.client(own.client_config().unwrap());
        let url = format!("https://shop.test.:{}/", site.port);
        assert_eq!(client.get(url).unwrap().read_text().unwrap(), "round");
    });
}

/// RFC 9110 section 4.3.5: an address is compared with the addresses in the certificate.
#[test]
fn a_server_may_be_named_by_its_address() {
    test::run(|| {
        for (names, is_believed) in [(["127.0.0.1"], true), (["shop.test"], false)] {
            let own = SelfSigned::new(names).unwrap();
            let site = Site::new(own.server_config().unwrap(), |stream| answer(stream, ROUND));
            let client = site.client(own.client_config().unwrap());
            let asked = client.get(format!("https://127.0.0.1:{}/", site.port));
            assert_eq!(asked.is_ok(), is_believed, "{asked:?}");
        }
    });
}

#[track_caller]
fn assert_refused(error: &ClientError) {
    let ClientError::Tls { cause, .. } = error else { panic!("{error:?}") };
    assert!(matches!(TlsError::of(cause), Some(TlsError::CertificateRefused { .. })), "{error:?}");
}

/// RFC 9110 section 4.3.4: no request goes to a server that is not who it should be.
#[test]
fn section_4_3_4_a_server_that_is_not_believed_gets_no_request() {
    test::run(|| {
        let (own, other) = (shop(), SelfSigned::new(["other.test"]).unwrap());
        let requests = Rc::new(Cell::new(0));
        let count = requests.clone();
        let site = Site::new(own.server_config().unwrap(), move |stream| {
            count.set(count.get() + u32::from(head(stream)));
        });
        // Another authority, and then another name by the right one.
        assert_refused(&site.client(other.client_config().unwrap()).get(site.url()).unwrap_err());
        let dialer = Dialer::new().resolve("other.test", site.port, [LOOPBACK]).tls(own.client_config().unwrap());
        let client = Client::builder().connector(dialer).build();
        assert_refused(&client.get(format!("https://other.test:{}/", site.port)).unwrap_err());
        sleep(SECOND);
        assert_eq!(requests.get(), 0);
    });
}

#[test]
fn a_server_without_tls_is_told_from_one_that_is_not_believed() {
    test::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let serving = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = stream.read(&mut [0; 1000]);
        });
        let dialer = Dialer::new().tls(shop().client_config().unwrap());
        let error = Client::builder().connector(dialer).build().get(url).unwrap_err();
        let ClientError::Tls { cause, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(TlsError::of(cause), Some(TlsError::NotTls { .. })), "{error}");
        serving.join().unwrap();
    });
}

/// A server that takes connections and says nothing costs a request its limit, and no more.
#[test]
fn a_handshake_that_stalls_ends_at_its_limit() {
    test::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let config = shop().client_config().unwrap();
        let limit = config.limits().handshake;
        let began = now();
        let error = Client::builder().connector(Dialer::new().tls(config)).build().get(url).unwrap_err();
        let ClientError::Tls { cause, .. } = &error else { panic!("{error:?}") };
        assert_eq!((cause.kind(), now() - began), (ErrorKind::TimedOut, limit));
        drop(listener);
    });
}

/// RFC 9112 section 9.8: without close_notify, an answer that ends with the connection may have been cut off.
#[test]
fn section_9_8_an_open_end_counts_only_if_it_was_announced() {
    test::run(|| {
        let own = shop();
        let site = Site::new(own.server_config().unwrap(), |stream| {
            answer(stream, OPEN_END);
            stream.close().unwrap();
        });
        let mut response = site.client(own.client_config().unwrap()).get(site.url()).unwrap();
        assert_eq!(response.read_text().unwrap(), "round");
        assert!(response.body().ends_with_connection());

        let site = Site::new(own.server_config().unwrap(), |stream| {
            answer(stream, OPEN_END);
            cut(stream);
        });
        let mut response = site.client(own.client_config().unwrap()).get(site.url()).unwrap();
        let error = response.read_text().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(cause(&error), ClientError::Truncated { received: 5, expected: None }), "{error:?}");
    });
}

/// RFC 9112 section 9.8: with a length the answer is whole, however the connection ends.
#[test]
fn section_9_8_an_answer_with_a_length_is_whole_without_an_announcement() {
    test::run(|| {
        let own = shop();
        for (text, is_whole) in [
            (ROUND, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nround", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n", false),
        ] {
            let site = Site::new(own.server_config().unwrap(), move |stream| {
                answer(stream, text);
                cut(stream);
            });
            let body = site.client(own.client_config().unwrap()).get(site.url()).unwrap().read_text();
            match body {
                Ok(body) => assert!(is_whole && body == "round", "{text:?}"),
                Err(error) => assert!(!is_whole && error.kind() == ErrorKind::UnexpectedEof, "{text:?}: {error}"),
            }
        }
    });
}

/// RFC 9112 section 9.8: a head that is cut off is no answer, announced or not.
#[test]
fn section_9_8_a_head_that_is_cut_off_is_told_from_none() {
    test::run(|| {
        let own = shop();
        for (text, told) in [
            ("", "the server closed the connection without an answer"),
            ("HTTP/1.1 200 OK\r\n", "the stream ended within the response head, after 17 bytes"),
        ] {
            for announced in [true, false] {
                let site = Site::new(own.server_config().unwrap(), move |stream| {
                    answer(stream, text);
                    if announced { stream.close().unwrap() } else { cut(stream) }
                });
                let error = site.client(own.client_config().unwrap()).get(site.url()).unwrap_err();
                assert_eq!(error.to_string(), told, "announced: {announced}");
            }
        }
    });
}

/// The tickets that a server sends by itself are nothing that nobody asked for: the connection is used again.
#[test]
fn a_connection_is_used_again_and_one_that_was_closed_is_resumed() {
    test::run(|| {
        let (own, seen) = (shop(), Rc::new(RefCell::new(Vec::new())));
        let told = seen.clone();
        let site = Site::new(own.server_config().unwrap(), move |stream| {
            for _ in 0..2 {
                answer(stream, ROUND);
            }
            told.borrow_mut().push(stream.is_resumed());
            stream.close().unwrap();
        });
        let client = site.client(own.client_config().unwrap());
        for _ in 0..4 {
            assert_eq!(client.get(site.url()).unwrap().read_text().unwrap(), "round");
            sleep(SECOND);
        }
        sleep(SECOND);
        assert_eq!(seen.take(), [false, true], "two requests on each of two connections, the second resumed");
    });
}

#[test]
fn a_server_that_wants_a_certificate_gets_ours() {
    test::run(|| {
        let own = shop();
        let me = own.issue(["me"]).unwrap();
        let clients = ClientCertificates::required(own.roots().unwrap());
        let config = ServerConfig::builder().identity(own.identity().unwrap()).client_certificates(clients);
        let site = Site::new(config.build().unwrap(), |stream| answer(stream, ROUND));
        let shown = ClientConfig::builder().roots(own.roots().unwrap()).identity(me.identity().unwrap());
        assert_eq!(site.client(shown.build().unwrap()).get(site.url()).unwrap().read_text().unwrap(), "round");
        // With TLS 1.3 the refusal comes only after our part of the handshake is done.
        let error = site.client(own.client_config().unwrap()).get(site.url()).unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. } | ClientError::Receive(_) | ClientError::Send(_)), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    });
}

#[test]
fn a_large_body_goes_both_ways_over_tls() {
    test::Test::new().real_time().run(|| {
        let own = shop();
        let server = grapeshot_http::Server::bind("127.0.0.1:0").unwrap().tls(own.server_config().unwrap());
        let (port, handle) = (server.local_addr().unwrap().port(), server.handle());
        let mut limits = grapeshot_http::Limits::default();
        limits.body_bytes = 1 << 30;
        let serving = spawn(move || {
            server.limits(limits).serve(|request: &mut grapeshot_http::Request<'_>| {
                let (body, mut writer) = request.stream(grapeshot_http::Response::bytes([]))?;
                std::io::copy(body, &mut writer)?;
                writer.finish()
            })
        });
        let dialer = Dialer::new().resolve("shop.test", port, [LOOPBACK]).tls(own.client_config().unwrap());
        let client = Client::builder().connector(dialer).build();
        let body: Vec<u8> = (0..8_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let url = format!("https://shop.test:{port}/");
        let mut response = client.request(Method::POST, &url).body(body.clone()).send().unwrap();
        assert!(response.read_all().unwrap() == body);
        drop(client);
        handle.drain();
        serving.join().unwrap().unwrap();
    });
}
