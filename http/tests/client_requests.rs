//! What the client sends, and how a body goes out while an answer comes in.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_http::client::{Client, ClientError, RequestError, Url, UrlError};
use grapeshot_http::{Method, Request, Server, ServerHandle};

use client_support::{Peer, SECOND, URL, builder_of, client_of};

const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The request heads that a server gets.
fn heads(ask: impl FnOnce(&Client)) -> Vec<String> {
    let heads = Rc::new(RefCell::new(Vec::new()));
    let seen = heads.clone();
    let client = client_of(move |peer| {
        loop {
            let head = peer.answer(EMPTY);
            if head.is_empty() {
                return;
            }
            seen.borrow_mut().push(head);
        }
    });
    ask(&client);
    heads.take()
}

#[test]
fn a_get_has_a_line_a_host_and_who_asks() {
    test::run(|| {
        let sent = heads(|client| drop(client.get("http://Server.Example:8080/a/b?c#d").unwrap()));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            sent,
            [format!(
                "GET /a/b?c HTTP/1.1\r\nhost: server.example:8080\r\nuser-agent: grapeshot/{version}\r\naccept: */*\r\n\r\n"
            )]
        );
    });
}

#[test]
fn a_header_of_the_requests_stands_in_for_the_clients_own() {
    test::run(|| {
        let sent = heads(|client| {
            let request =
                client.request(Method::GET, URL).header("User-Agent", "me").header("X-A", "1").header("x-a", "2");
            request.send().unwrap();
        });
        assert!(sent[0].contains("\r\nuser-agent: me\r\nx-a: 1\r\nx-a: 2\r\naccept: */*\r\n"), "{sent:?}");
        assert!(!sent[0].contains("grapeshot"), "{sent:?}");
    });
}

/// RFC 9112 section 9.6: who will not use the connection again says so.
#[test]
fn section_9_6_a_client_that_keeps_no_connection_says_close() {
    test::run(|| {
        let mut limits = grapeshot_http::client::ClientLimits::default();
        limits.idle_connections = 0;
        let client = builder_of(|peer| {
            let head = peer.answer(EMPTY);
            assert!(head.ends_with("\r\nconnection: close\r\n\r\n"), "{head}");
        });
        let client = client.limits(limits).build();
        client.get(URL).unwrap();
        assert_eq!(client.idle_connections(), 0);
    });
}

/// What cannot be sent is refused before anything is: no connection is made.
#[test]
fn what_cannot_be_sent_is_refused_before_a_connection_is_made() {
    test::run(|| {
        let client = client_of(|_| panic!("no connection was to be made"));
        let error = client.get("ftp://a/").unwrap_err();
        assert!(matches!(error, ClientError::Url(UrlError::UnknownScheme)));
        let error = client.request(Method::GET, URL).header("x", "a\r\nb: c").send().unwrap_err();
        assert!(matches!(error, ClientError::Request(RequestError::InvalidHeader)));
        let error = client.request(Method::GET, URL).header("x y", "a").send().unwrap_err();
        assert!(matches!(error, ClientError::Request(RequestError::InvalidHeader)));
        let error = client.request(Method::GET, URL).header("content-length", "5").send().unwrap_err();
        assert!(matches!(error, ClientError::Request(RequestError::ReservedHeader(_))));
        let error = client.request(Method::CONNECT, URL).send().unwrap_err();
        assert!(matches!(error, ClientError::Request(RequestError::Connect)));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_url_is_taken_in_every_form_it_comes_in() {
    test::run(|| {
        let sent = heads(|client| {
            let url: Url = URL.parse().unwrap();
            client.get(&url).unwrap();
            client.get(url).unwrap();
            client.get(URL.to_owned()).unwrap();
            client.get(&grapeshot_http::Uri::from_static(URL)).unwrap();
        });
        assert_eq!(sent.len(), 4);
        assert!(sent.iter().all(|head| head.starts_with("GET /page HTTP/1.1\r\nhost: server.example\r\n")));
    });
}

#[test]
fn a_body_of_bytes_has_its_length_said() {
    test::run(|| {
        let client = client_of(|peer| {
            let head = peer.head();
            assert!(head.contains("\r\ncontent-length: 10\r\n"), "{head}");
            assert_eq!(peer.body(10), b"round shot");
            peer.send(EMPTY);
        });
        assert_eq!(client.request(Method::POST, URL).body("round shot").send().unwrap().status(), 200);
    });
}

/// Our own server, which reads what is sent as it sends back what it reads.
fn echo() -> (String, ServerHandle) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let mut limits = grapeshot_http::Limits::default();
    limits.body_bytes = 1 << 30;
    let (url, handle) = (format!("http://{}/", server.local_addr().unwrap()), server.handle());
    spawn(move || {
        server.limits(limits).serve(|request: &mut Request<'_>| {
            let (body, mut writer) = request.stream(grapeshot_http::Response::new(grapeshot_http::StatusCode::OK))?;
            io::copy(body, &mut writer)?;
            writer.finish()
        })
    });
    (url, handle)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// An echo takes no more once nobody takes what it sends: who would send first and read then never ends.
#[test]
fn a_large_body_goes_out_while_the_answer_comes_in() {
    test::Test::new().real_time().run(|| {
        let (url, server) = echo();
        let (client, body) = (Client::new(), pattern(20 << 20));
        let requests = [
            client.request(Method::POST, &url[..]).body(body.clone()),
            client.request(Method::PUT, &url[..]).body_reader(io::Cursor::new(body.clone()), Some(body.len() as u64)),
            client.request(Method::POST, &url[..]).body_reader(io::Cursor::new(body.clone()), None),
        ];
        for request in requests {
            assert!(request.send().unwrap().read_all().unwrap() == body);
        }
        drop(client);
        server.drain();
    });
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks_and_may_be_empty() {
    test::run(|| {
        let (url, server) = echo();
        let client = Client::new();
        for body in ["", "a", "round shot"] {
            let request = client.request(Method::POST, &url[..]).body_reader(body.as_bytes(), None);
            assert_eq!(request.send().unwrap().read_text().unwrap(), body);
        }
        drop(client);
        server.drain();
    });
}

/// A body that cannot be read ends the request at once, and the server sees a part that is no whole.
#[test]
fn a_body_that_fails_ends_the_request() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            sleep(SECOND);
            Err(io::Error::other("the disk is gone"))
        }
    }
    test::run(|| {
        for length in [Some(10), None] {
            let ended = Rc::new(RefCell::new(false));
            let seen = ended.clone();
            let client = client_of(move |peer| {
                peer.head();
                assert_eq!(peer.head(), "", "nothing more but the end");
                *seen.borrow_mut() = true;
            });
            let began = now();
            let error = client.request(Method::PUT, URL).body_reader(Broken, length).send().unwrap_err();
            assert_eq!(error.to_string(), "reading the request's body: the disk is gone");
            assert_eq!(now() - began, SECOND);
            sleep(SECOND);
            assert!(*ended.borrow());
        }
        let client = client_of(|peer| drop((peer.head(), peer.head())));
        let error = client.request(Method::PUT, URL).body_reader(&b"abc"[..], Some(10)).send().unwrap_err();
        assert_eq!(error.to_string(), "reading the request's body: it ended after 3 of 10 bytes");
    });
}

#[test]
fn a_body_reader_that_panics_ends_the_request() {
    struct Panicking;
    impl Read for Panicking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose");
        }
    }
    test::Test::new().allow_crashes().run(|| {
        let client = client_of(|peer| drop((peer.head(), peer.head())));
        let began = now();
        let error = client.request(Method::PUT, URL).body_reader(Panicking, None).send().unwrap_err();
        assert_eq!(error.to_string(), "reading the request's body: it was broken off");
        assert_eq!(now(), began);
    });
}

/// RFC 9110 section 10.1.1 aside, a server may answer before it has read all, and hang up.
#[test]
fn an_answer_that_comes_before_the_body_is_out_counts() {
    test::run(|| {
        let refuses = |peer: &mut Peer| {
            peer.head();
            peer.send("HTTP/1.1 413 Too large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        };
        let client = client_of(refuses);
        let mut response = client.request(Method::PUT, URL).body(vec![0; 10 << 20]).send().unwrap();
        assert_eq!((response.status().as_u16(), response.read_text().unwrap()), (413, "no".to_owned()));
        assert_eq!(client.idle_connections(), 0);
    });
}

/// A request that was answered before it was out is sent no further, and its connection is not used again.
#[test]
fn the_rest_of_a_body_is_not_sent_once_the_answer_is_read() {
    test::run(|| {
        let stops = |peer: &mut Peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
            sleep(1000 * SECOND);
        };
        let client = client_of(stops);
        let began = now();
        let mut response = client.request(Method::PUT, URL).body(vec![0; 10 << 20]).send().unwrap();
        assert_eq!(response.read_text().unwrap(), "no");
        assert_eq!((client.idle_connections(), now() - began), (0, std::time::Duration::ZERO));
    });
}

/// The time for the answer runs from the end of the request, however long that takes.
#[test]
fn a_slow_body_does_not_use_up_the_time_of_the_answer() {
    struct Slow(u8);
    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            sleep(50 * SECOND);
            self.0 += 1;
            buf[0] = b'x';
            Ok(usize::from(self.0 < 5))
        }
    }
    test::run(|| {
        let client = client_of(|peer| {
            peer.head();
            peer.body("1\r\nx\r\n".len() * 4 + "0\r\n\r\n".len());
            sleep(59 * SECOND);
            peer.send(EMPTY);
        });
        let request = client.request(Method::PUT, URL).body_reader(Slow(0), None);
        assert_eq!(request.send().unwrap().status(), 200);

        let client = client_of(|peer| {
            peer.head();
            sleep(1000 * SECOND);
        });
        let began = now();
        let error = client.request(Method::PUT, URL).body_reader(Slow(0), None).send().unwrap_err();
        assert_eq!(error.to_string(), "no answer within 60s");
        assert_eq!(now() - began, 310 * SECOND);
    });
}
