//! Which connections are used again, and when: RFC 9112 section 9.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;

use grapeshot_core::{now, sleep, spawn, test, with_timeout};
use grapeshot_http::client::{Client, ClientError, Origin, Transport};
use grapeshot_http::{Method, StatusCode};
use grapeshot_net::memory::{self, Faults};

use client_support::{Peer, SECOND, URL, client_of, client_with};

const ROUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround";

/// Answers every request on every connection with the connection's number.
fn numbered(peer: &mut Peer) {
    while !peer.head().is_empty() {
        let number = peer.number.to_string();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{number}", number.len()));
    }
}

fn ask(client: &Client) -> String {
    ask_by(client, Method::GET, URL)
}

fn ask_by(client: &Client, method: Method, url: &str) -> String {
    client.request(method, url).send().unwrap().read_text().unwrap()
}

/// RFC 9112 section 9.3.
#[test]
fn section_9_3_a_connection_is_used_again_once_its_answer_is_read() {
    test::run(|| {
        let client = client_of(numbered);
        assert_eq!((ask(&client), ask(&client), ask(&client.clone())), ("0".into(), "0".into(), "0".into()));
        assert_eq!(client.idle_connections(), 1);
        // Another origin has another connection.
        assert_eq!(ask_by(&client, Method::GET, "http://server.example:81/"), "1");
        assert_eq!(ask_by(&client, Method::GET, "http://other.example/"), "2");
        assert_eq!(ask(&client), "0");
    });
}

#[test]
fn section_9_3_answers_that_are_read_at_once_have_a_connection_each() {
    test::run(|| {
        let client = client_of(numbered);
        let (mut one, mut two) = (client.get(URL).unwrap(), client.get(URL).unwrap());
        assert_eq!((one.read_text().unwrap(), two.read_text().unwrap()), ("0".into(), "1".into()));
        assert_eq!(client.idle_connections(), 2);
    });
}

/// What is left of an answer would be taken for the next.
#[test]
fn section_9_3_a_body_that_is_not_read_costs_its_connection() {
    test::run(|| {
        let client = client_of(|peer| while !peer.answer(ROUND).is_empty() {});
        let mut response = client.get(URL).unwrap();
        response.read_exact(&mut [0; 4]).unwrap();
        drop(response);
        assert_eq!(client.idle_connections(), 0);
        let mut response = client.get(URL).unwrap();
        response.read_exact(&mut [0; 5]).unwrap();
        drop(response);
        assert_eq!(client.idle_connections(), 1, "the last byte is enough");
    });
}

/// RFC 9112 section 9.3 and 9.6.
#[test]
fn section_9_6_a_connection_that_the_server_ends_is_not_kept() {
    test::run(|| {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nround",
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nround",
            "HTTP/1.1 200 OK\r\n\r\nround",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nroundHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled!",
        ] {
            let client = client_of(move |peer| drop(peer.answer(text)));
            assert_eq!(ask(&client), "round");
            assert_eq!(client.idle_connections(), 0, "{text:?}");
        }
    });
}

/// An answer that nobody asked for is nobody's: it must not become the answer to the next request.
#[test]
fn section_9_2_what_comes_unasked_costs_the_connection() {
    test::run(|| {
        let client = client_of(|peer| {
            if peer.number > 0 {
                return numbered(peer);
            }
            peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0");
            sleep(SECOND);
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled!");
            sleep(1000 * SECOND);
        });
        assert_eq!(ask(&client), "0");
        assert_eq!(client.idle_connections(), 1);
        sleep(2 * SECOND);
        assert_eq!(ask(&client), "1");
    });
}

#[test]
fn section_9_5_a_connection_that_was_closed_meanwhile_is_not_used() {
    test::run(|| {
        let client = client_of(|peer| drop(peer.answer(ROUND)));
        for _ in 0..3 {
            assert_eq!(ask(&client), "round");
            sleep(SECOND);
        }
    });
}

/// RFC 9112 section 9.3.1: a request that does no harm is sent again when the connection it went out on is closed.
#[test]
fn section_9_3_1_a_request_that_meets_a_closing_connection_is_sent_again_once() {
    test::run(|| {
        let heads = Rc::new(Cell::new(0));
        let count = heads.clone();
        let client = client_of(move |peer| {
            peer.answer(ROUND);
            if !peer.head().is_empty() {
                count.set(count.get() + 1);
            }
        });
        assert_eq!(ask(&client), "round");
        assert_eq!(ask(&client), "round");
        assert_eq!(heads.get(), 1, "the first connection had the second request, and hung up");
    });
}

/// One byte of an answer, and it was not the old connection's fault.
#[test]
fn section_9_3_1_a_request_whose_answer_has_begun_is_not_sent_again() {
    test::run(|| {
        let client = client_of(|peer| {
            peer.answer(ROUND);
            peer.answer("H");
        });
        assert_eq!(ask(&client), "round");
        let error = client.get(URL).unwrap_err();
        assert!(matches!(error, ClientError::Malformed(_)), "{error:?}");
    });
}

/// A reset after a part of a head, or after an interim answer, is no sign of a connection that was closed before.
#[test]
fn section_9_3_1_a_request_whose_answer_was_broken_off_is_not_sent_again() {
    for start in ["HTTP/1.1 20", "HTTP/1.1 103 x\r\n\r\n"] {
        test::run(move || {
            let faults = Faults::new().reset_at((ROUND.len() + start.len()) as u64);
            let connections = Rc::new(Cell::new(0));
            let count = connections.clone();
            let client = Client::builder().connector(move |_: &Origin| {
                let (near, mut far) = memory::Builder::new().to_near(faults.clone()).pair();
                count.set(count.get() + 1);
                spawn(move || {
                    for text in [ROUND, start, "x"] {
                        let _ = far.read(&mut [0; 1000]);
                        let _ = far.write_all(text.as_bytes());
                        sleep(SECOND);
                    }
                });
                Ok(Rc::new(near) as Rc<dyn Transport>)
            });
            let client = client.build();
            assert_eq!(ask(&client), "round");
            let error = client.get(URL).unwrap_err();
            assert!(matches!(error, ClientError::Receive(_)), "{error:?}");
            assert_eq!(connections.get(), 1, "{start:?}");
        });
    }
}

/// RFC 9110 section 9.2.2: nobody knows what came of a request that is not idempotent.
#[test]
fn section_9_3_1_what_could_do_harm_twice_has_a_connection_of_its_own() {
    test::run(|| {
        let client = client_of(numbered);
        assert_eq!(ask(&client), "0");
        assert_eq!(ask_by(&client, Method::POST, URL), "1");
        assert_eq!(ask_by(&client, Method::PATCH, URL), "2");
        assert_eq!(client.request(Method::PUT, URL).body("x").send().unwrap().status(), StatusCode::OK);
        assert_eq!(ask_by(&client, Method::DELETE, URL), "2");
        let client = client_of(|peer| drop(peer.head()));
        assert!(matches!(client.request(Method::POST, URL).send().unwrap_err(), ClientError::NoAnswer));
    });
}

#[test]
fn idle_connections_are_bounded_in_number_and_age() {
    test::run(|| {
        let client = client_with(|limits| limits.idle_connections = 2, numbered);
        let mut answers: Vec<_> = (0..3).map(|_| client.get(URL).unwrap()).collect();
        answers.iter_mut().for_each(|answer| drop(answer.read_all().unwrap()));
        assert_eq!(client.idle_connections(), 2);
        assert_eq!(ask(&client), "2", "the one used last");
        sleep(15 * SECOND);
        assert_eq!(ask(&client), "3");
        assert_eq!(client.idle_connections(), 1);
    });
}

/// A request that is cut off takes its connection with it: its answer may still come.
#[test]
fn a_request_that_is_cut_off_closes_its_connection() {
    test::run(|| {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let seen = ends.clone();
        let client = client_of(move |peer| {
            peer.head();
            if peer.number == 1 {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nround");
            }
            assert_eq!(peer.head(), "");
            seen.borrow_mut().push(peer.number);
        });
        with_timeout(SECOND, || client.get(URL)).unwrap_err();
        with_timeout(SECOND, || client.get(URL).unwrap().read_all()).unwrap_err();
        let asking = client.clone();
        let coroutine = spawn(move || asking.request(Method::PUT, URL).body(vec![0; 1 << 20]).send());
        sleep(SECOND);
        coroutine.cancel();
        coroutine.join().unwrap_err();
        sleep(SECOND);
        assert_eq!((ends.take(), client.idle_connections()), (vec![0, 1, 2], 0));
    });
}

#[test]
fn many_requests_at_once_do_not_mix() {
    test::run(|| {
        let client = client_of(|peer| {
            loop {
                let head = peer.head();
                let Some(path) = head.split(' ').nth(1) else { return };
                let number: u32 = path.trim_start_matches('/').parse().unwrap();
                sleep(SECOND / (1 + number % 7));
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
            }
        });
        let began = now();
        let asking: Vec<_> = (0..200)
            .map(|number| {
                let client = client.clone();
                spawn(move || {
                    for _ in 0..3 {
                        let path = format!("/{number}");
                        assert_eq!(ask_by(&client, Method::GET, &format!("http://server.example{path}")), path);
                    }
                })
            })
            .collect();
        asking.into_iter().for_each(|asking| asking.join().unwrap());
        assert!(now() - began <= 3 * SECOND);
        assert_eq!(client.idle_connections(), 16);
    });
}
