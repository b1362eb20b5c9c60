//! What a handler sees of a request, and when a connection goes on after it (REQUIREMENTS 2.2).

mod support;

use std::net::Shutdown;
use std::rc::Rc;

use grapeshot_core::{Reason, WaitQueue, current, scope, sleep, spawn, test, yield_now};
use grapeshot_http::{Method, Request, Response, Server, StatusCode, Version};

use support::{Client, Notes, SECOND, Site, get, post, show};

/// HTTP-1, HTTP-5: method, target, path and query as they were sent.
#[test]
fn a_handler_sees_the_request_line() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (method, target) = (request.method(), request.target());
            format!("{method} {target} {} {:?} {:?}", request.path(), request.query(), request.version())
        });
        let mut client = site.connect();
        let seen = client.ask(get("/a%20b;c?d=e?f"));
        assert_eq!(seen.text(), "GET /a%20b;c?d=e?f /a%20b;c Some(\"d=e?f\") HTTP/1.1");
        let seen = client.ask("brew / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(seen.text(), "brew / / None HTTP/1.0");
    });
}

/// HTTP-5: names in any case of letters, headers given several times, all in the order they came.
#[test]
fn a_handler_sees_the_headers() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            assert_eq!(request.header("x-ONE"), Some(&b"1"[..]));
            assert_eq!(request.header_str("x-two"), Some("a"));
            assert_eq!(request.header("x-three"), None);
            assert_eq!(request.host(), "test:81");
            let twice: Vec<_> = request.headers().get_all("x-two").iter().collect();
            assert_eq!(twice, ["a", "b"]);
            let names: Vec<_> = request.header_lines().map(|(name, _)| name).collect();
            assert_eq!(names, ["Host", "X-Two", "X-One", "x-two"]);
        });
        let mut client = site.connect();
        let reply = client.ask("GET / HTTP/1.1\r\nHost: test:81\r\nX-Two: a\r\nX-One:  1 \r\nx-two: b\r\n\r\n");
        assert_eq!(reply.status, 204);
    });
}

#[test]
fn the_types_of_the_http_crate_can_be_asked_for() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            assert_eq!(request.http_method(), Method::DELETE);
            assert_eq!(request.version(), Version::HTTP_11);
            assert_eq!((request.uri().path(), request.uri().query()), ("/x", Some("y")));
            assert_eq!(request.headers().len(), 1);
            assert!(!request.offers_upgrade());
        });
        assert_eq!(site.connect().ask("DELETE /x?y HTTP/1.1\r\nHost: test\r\n\r\n").status, 204);
    });
}

#[test]
fn a_handler_sees_whom_it_answers() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| request.peer_addr().to_string());
        let mut client = site.connect();
        let own = client.stream.local_addr().unwrap().to_string();
        assert_eq!(client.ask(get("/")).text(), own);
    });
}

/// HTTP-1: the first match wins, and what nothing matches is 404; a `match` of the language says both.
#[test]
fn a_handler_chooses_by_path() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/a" => Ok("first"),
            path if path.starts_with("/a") => Ok("second"),
            _ => Err(StatusCode::NOT_FOUND),
        });
        let mut client = site.connect();
        assert_eq!(client.ask(get("/a")).text(), "first");
        assert_eq!(client.ask(get("/ab")).text(), "second");
        let missing = client.ask(get("/b"));
        assert_eq!((missing.status, missing.text()), (404, "Not Found\n"));
    });
}

/// HTTP-3: one coroutine for each connection, named for its peer.
#[test]
fn a_connection_is_one_coroutine_with_a_name() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| format!("{} {:?}", current().id(), current().name()));
        let (mut one, mut two) = (site.connect(), site.connect());
        let first = one.ask(get("/")).text().to_owned();
        assert!(first.contains(&format!("http {}", one.stream.local_addr().unwrap())), "{first}");
        assert_eq!(one.ask(get("/")).text(), first);
        assert_ne!(two.ask(get("/")).text(), first);
    });
}

/// RFC 9112 section 9.3.
#[test]
fn a_1_1_connection_goes_on_until_the_client_closes_it() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        for path in ["/one", "/two", "/three"] {
            let reply = client.ask(get(path));
            assert_eq!(reply.text(), format!("GET {path} []"));
            assert_eq!(reply.header("connection"), None);
        }
        let last = client.ask("GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        assert!(last.closes());
        assert_eq!(last.text(), "GET /last []");
        client.assert_closed();
    });
}

/// HTTP-7: 1.0 goes on only if it was asked to.
#[test]
fn a_1_0_connection_ends_after_its_response() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let reply = client.ask("GET / HTTP/1.0\r\n\r\n");
        assert_eq!((reply.status, reply.closes()), (200, true));
        client.assert_closed();
    });
}

/// HTTP-7.
#[test]
fn a_1_0_connection_goes_on_if_the_client_asks_for_it() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        for _ in 0..3 {
            let reply = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            assert_eq!(reply.header("connection"), Some("keep-alive"));
            assert_eq!(reply.text(), "GET / []");
        }
    });
}

/// HTTP-7: without a length, only its end can end a response to 1.0.
#[test]
fn a_1_0_response_of_unknown_length_ends_with_its_connection() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| Response::reader(&b"some bytes"[..], None));
        let mut client = site.connect();
        let reply = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert!(reply.closes());
        assert_eq!(reply.header("transfer-encoding"), None);
        assert_eq!(reply.text(), "some bytes");
    });
}

/// RFC 9110 section 9.3.2.
#[test]
fn head_is_answered_like_get_without_the_body() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/reader" => Response::reader(&b"four"[..], Some(4)),
            "/stream" => Response::reader(&b"four"[..], None),
            _ => Response::text("four"),
        });
        let mut client = site.connect();
        for path in ["/", "/reader", "/stream"] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
            let head = client.reply_to_head();
            let body = client.ask(get(path));
            assert_eq!(body.text(), "four");
            assert_eq!(head.header("content-type"), body.header("content-type"));
            // It may leave out what it would only learn on the way, such as that the body comes in chunks.
            assert_eq!(head.header("content-length"), body.header("content-length"));
        }
    });
}

/// HTTP-4: the next request is looked at when the one before is answered, however long that takes.
#[test]
fn requests_of_one_connection_are_handled_one_at_a_time() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            seen.add(format!("begin {}", request.path()));
            if request.path() == "/slow" {
                sleep(10 * SECOND);
            }
            seen.add(format!("end {}", request.path()));
        });
        let mut client = site.connect();
        client.send(get("/slow") + &get("/quick"));
        assert_eq!((client.reply().status, client.reply().status), (204, 204));
        assert_eq!(notes.take(), ["begin /slow", "end /slow", "begin /quick", "end /quick"]);
    });
}

/// HTTP-4: a handler may pass the request to another coroutine, and its connection waits.
#[test]
fn another_coroutine_may_answer() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            scope(|scope| {
                let worker = scope.spawn(|| {
                    sleep(SECOND);
                    request.body().read_text().unwrap().to_uppercase()
                });
                worker.join().unwrap()
            })
        });
        assert_eq!(site.connect().ask(post("/", "body")).text(), "BODY");
    });
}

#[test]
fn a_slow_handler_holds_up_nobody_but_its_own_connection() {
    test::run(|| {
        let gate = Rc::new(WaitQueue::new());
        let opened = gate.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            if request.path() == "/slow" {
                gate.wait(Reason::Other("the gate"));
            }
        });
        let address = site.address;
        let slow = spawn(move || Client::connect(address).ask(get("/slow")).status);
        assert_eq!(site.connect().ask(get("/quick")).status, 204);
        assert!(!slow.is_finished());
        while !opened.wake_one() {
            yield_now();
        }
        assert_eq!(slow.join().unwrap(), 204);
    });
}

#[test]
fn a_request_may_arrive_in_any_two_pieces() {
    let request = post("/path", "body");
    for at in 1..request.len() {
        let (first, second) = request.split_at(at);
        let (first, second) = (first.to_owned(), second.to_owned());
        test::run(move || {
            let site = Site::new(show);
            let mut client = site.connect();
            client.send(first);
            sleep(SECOND);
            client.send(second);
            assert_eq!(client.reply().text(), "POST /path [body]", "split at {at}");
        });
    }
}

/// RFC 9112 section 2.2: at least one empty line before a request line is to be ignored.
#[test]
fn empty_lines_before_a_request_are_skipped() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask("\r\n".to_owned() + &get("/a")).text(), "GET /a []");
        assert_eq!(client.ask(post("/b", "x") + "\r\n" + &get("/c")).text(), "POST /b [x]");
        assert_eq!(client.reply().text(), "GET /c []");
    });
}

#[test]
fn a_client_that_half_closes_after_its_request_gets_the_answer() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            sleep(SECOND);
            show(request)
        });
        for request in [get("/"), post("/", "body")] {
            let mut client = site.connect();
            client.send(request);
            client.stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.reply().status, 200);
            client.assert_closed();
        }
    });
}

/// RFC 9110 section 9.3.6: after a 2xx to CONNECT comes a tunnel, which nobody here has the other end of.
#[test]
fn what_follows_a_successful_connect_is_not_read_as_requests() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| seen.add(request.method()));
        let answer = site.exchange("CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n".to_owned() + &get("/"));
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
        assert_eq!(notes.take(), ["CONNECT"]);
    });
}

#[test]
fn a_refused_connect_leaves_the_connection_as_it_is() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| StatusCode::METHOD_NOT_ALLOWED);
        let mut client = site.connect();
        assert_eq!(client.ask("CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n").status, 405);
        assert_eq!(client.ask(get("/")).status, 405);
    });
}

/// HTTP-2: a colon in the address selects IPv6.
#[test]
fn a_server_listens_on_ipv6() {
    test::run(|| {
        let Ok(server) = Server::bind("[::1]:0") else {
            eprintln!("skipped: no IPv6 on this machine");
            return;
        };
        let site = Site::of(server, |request: &mut Request<'_>| request.peer_addr().is_ipv6().to_string());
        assert_eq!(site.connect().ask(get("/")).text(), "true");
    });
}

/// HTTP-2: an address in use is an error at once, and whoever wants to try again can.
#[test]
fn an_address_in_use_is_refused() {
    test::run(|| {
        let site = Site::new(show);
        let error = Server::bind(site.address).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    });
}

/// HTTP-2: backlog 1024, as far as the system lets it: these connect although nobody accepts.
#[test]
fn connections_wait_in_the_backlog() {
    test::run(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let mut clients: Vec<_> = (0..200).map(|_| Client::connect(address)).collect();
        let _site = Site::of(server, show);
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).status, 200);
        }
    });
}
