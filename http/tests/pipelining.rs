//! Requests sent before the responses to those before are in (RFC 9112 section 9.3.2).

mod support;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use grapeshot_core::{sleep, spawn, test, yield_now};
use grapeshot_http::{Request, Response, StatusCode};

use support::{SECOND, Site, get, post, post_chunks, show};

/// Sixteen requests, with and without bodies, and the texts of their answers.
fn sixteen() -> (String, Vec<String>) {
    let (mut requests, mut answers) = (String::new(), Vec::new());
    for n in 0..16 {
        let path = format!("/{n}");
        let (request, answer) = match n % 4 {
            0 | 1 => (get(&path), format!("GET {path} []")),
            2 => (post(&path, "length"), format!("POST {path} [length]")),
            _ => (post_chunks(&path, &["chu", "nks"]), format!("POST {path} [chunks]")),
        };
        requests += &request;
        answers.push(answer);
    }
    (requests, answers)
}

/// SYL-10: pipelining; RFC 9112 section 9.3.2: responses MUST be in the order of the requests.
#[test]
fn sixteen_requests_at_once_are_answered_in_order() {
    test::run(|| {
        let (requests, answers) = sixteen();
        let site = Site::new(show);
        let mut client = site.connect();
        client.send(requests);
        for answer in answers {
            assert_eq!(client.reply().text(), answer);
        }
    });
}

#[test]
fn pipelined_requests_may_be_split_anywhere() {
    let (requests, _) = sixteen();
    for at in 1..requests.len() {
        test::run(move || {
            let (requests, answers) = sixteen();
            let site = Site::new(show);
            let mut client = site.connect();
            client.send(&requests[..at]);
            sleep(SECOND / 100);
            client.send(&requests[at..]);
            for answer in answers {
                assert_eq!(client.reply().text(), answer, "split at {at}");
            }
        });
    }
}

#[test]
fn pipelined_requests_may_come_byte_by_byte() {
    test::run(|| {
        let (requests, answers) = sixteen();
        let site = Site::new(show);
        let mut client = site.connect();
        let writing = client.stream.try_clone().unwrap();
        let writer = spawn(move || {
            for byte in requests.into_bytes() {
                (&writing).write_all(&[byte]).unwrap();
                yield_now();
            }
        });
        for answer in answers {
            assert_eq!(client.reply().text(), answer);
        }
        writer.join().unwrap();
    });
}

#[test]
fn more_requests_than_any_buffer_holds_are_answered_in_order() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let requests: String = (0..5000).map(|n| get(&format!("/{n}"))).collect();
        let writing = client.stream.try_clone().unwrap();
        let writer = spawn(move || (&writing).write_all(requests.as_bytes()).unwrap());
        for n in 0..5000 {
            assert_eq!(client.reply().text(), format!("GET /{n} []"));
        }
        writer.join().unwrap();
    });
}

/// Every kind of body between its neighbours: gathered, passed through, read from a reader, streamed.
#[test]
fn responses_of_every_kind_keep_their_order() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/small" => Ok(Response::text("small")),
            "/large" => Ok(Response::bytes("large".repeat(10_000))),
            "/reader" => Ok(Response::reader(&b"reader"[..], None)),
            "/none" => Ok(Response::new(StatusCode::NO_CONTENT)),
            _ => {
                let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
                writer.write_all(b"stream")?;
                writer.finish()
            }
        });
        let mut client = site.connect();
        let kinds = ["small", "large", "reader", "none", "stream"];
        let order: Vec<&str> = kinds.iter().flat_map(|&one| kinds.iter().flat_map(move |&two| [one, two])).collect();
        client.send(order.iter().map(|kind| get(&format!("/{kind}"))).collect::<String>());
        for kind in order {
            let reply = client.reply();
            match kind {
                "none" => assert_eq!(reply.status, 204),
                "large" => assert_eq!(reply.text(), "large".repeat(10_000)),
                _ => assert_eq!(reply.text(), kind),
            }
        }
    });
}

/// SYL-10: others run between pipelined requests.
#[test]
fn a_long_pipeline_does_not_keep_the_others_waiting() {
    test::run(|| {
        let served = Rc::new(Cell::new(0));
        let seen = served.clone();
        let site = Site::new(move |_: &mut Request<'_>| seen.set(seen.get() + 1));
        let (greedy, mut other) = (site.connect(), site.connect());
        let requests = get("/").repeat(20_000);
        let writing = greedy.stream.try_clone().unwrap();
        let writer = spawn(move || (&writing).write_all(requests.as_bytes()).unwrap());
        let mut greedy = greedy;
        let reader = spawn(move || (0..20_000).for_each(|_| assert_eq!(greedy.reply().status, 204)));
        while served.get() == 0 {
            yield_now();
        }
        assert_eq!(other.ask(get("/")).status, 204);
        assert!(served.get() < 10_000, "{} came first", served.get());
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

/// What is gathered is out before the server waits for its peer, here for a body.
#[test]
fn an_answer_does_not_wait_for_the_next_requests_body() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let (head, body) = ("POST /b HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n", "body");
        client.send(get("/a") + head);
        assert_eq!(client.reply().text(), "GET /a []");
        assert_eq!(client.ask(body).text(), "POST /b [body]");
        let head = head.replace("Content-Length: 4", "Transfer-Encoding: chunked");
        client.send(get("/a") + &head);
        assert_eq!(client.reply().text(), "GET /a []");
        assert_eq!(client.ask(format!("4\r\n{body}\r\n0\r\n\r\n")).text(), "POST /b [body]");
    });
}

/// A response that fails takes none of those before it along.
#[test]
fn an_answer_is_not_lost_with_the_next_one() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/good" => Response::text("good"),
            // Ends before its length, and so does the connection.
            _ => Response::reader(&b"bad"[..], Some(1000)),
        });
        let answer = site.exchange(get("/good") + &get("/good") + &get("/bad"));
        assert_eq!(answer.matches("\r\n\r\ngood").count(), 2, "{answer}");
    });
}

#[test]
fn nothing_is_answered_after_a_request_to_close() {
    test::run(|| {
        let site = Site::new(show);
        let close = "GET /close HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        let answer = site.exchange(get("/a") + close + &get("/b"));
        assert_eq!(answer.matches("HTTP/1.1").count(), 2);
        assert!(answer.ends_with("GET /close []"), "{answer}");
    });
}

/// RFC 9112 section 9.6: closing at once would reset the connection under what the peer still sends.
#[test]
fn a_close_by_the_server_lets_the_peer_read_the_last_answer() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/last" => Response::text("last").header("connection", "close"),
            _ => Response::text("more"),
        });
        let mut client = site.connect();
        client.send(get("/first") + &get("/last") + &get("/never").repeat(1000));
        let (answer, end) = client.rest_and_end();
        assert_eq!(answer.matches("HTTP/1.1").count(), 2);
        assert!(answer.ends_with("last"), "{answer}");
        end.unwrap();
    });
}

/// A known weakness: a handler that waits holds back the small answers gathered before it.
///
/// Writing them first would cost every pipelined request a system call, since nobody knows beforehand who waits.
#[test]
fn a_handler_that_waits_holds_back_the_answers_gathered_before_it() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            if request.path() == "/slow" {
                sleep(10 * SECOND);
            }
        });
        let mut client = site.connect();
        let began = grapeshot_core::now();
        client.send(get("/quick") + &get("/slow"));
        assert_eq!(client.reply().status, 204);
        assert_eq!(grapeshot_core::now() - began, 10 * SECOND);
        assert_eq!(client.reply().status, 204);
    });
}
