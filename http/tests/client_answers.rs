//! What the client makes of answers: RFC 9112 sections 6, 7, 8 and 9, RFC 9110 section 15.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::io::{ErrorKind, Read};

use grapeshot_core::{sleep, test};
use grapeshot_http::client::{ClientError, MalformedResponse};
use grapeshot_http::{Method, StatusCode, Version};

use client_support::{SECOND, URL, body_of, cause, client_of, exchange, failure};

/// One of each framing, whole.
const WHOLE: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nro\r\n3;x=y\r\nund\r\n0\r\nDigest: x\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nround",
];

#[test]
fn an_answer_has_status_version_reason_headers_and_body() {
    test::run(|| {
        let text = "HTTP/1.1 404 Nowhere\r\nContent-Length: 4\r\nX-A: 1\r\nx-a: 2\r\n\r\nlost";
        let (response, body) = exchange(text).unwrap();
        assert_eq!((response.status(), response.version()), (StatusCode::NOT_FOUND, Version::HTTP_11));
        assert_eq!(response.reason(), b"Nowhere");
        assert_eq!(response.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((response.header_str("X-A"), response.header("x-b")), (Some("1"), None));
        assert_eq!(response.url().to_string(), URL);
        assert_eq!(body.unwrap(), "lost");
    });
}

/// RFC 9112 section 6.3.
#[test]
fn section_6_3_a_body_is_read_in_every_framing() {
    test::run(|| {
        for text in WHOLE {
            assert_eq!(body_of(text), "round", "{text:?}");
        }
    });
}

/// RFC 9112 section 6.3, item 8; section 8 has such a message marked as one that may be a part.
#[test]
fn section_6_3_a_body_that_ends_with_the_connection_is_marked() {
    test::run(|| {
        let (mut response, body) = exchange("HTTP/1.1 200 OK\r\n\r\nround").unwrap();
        assert_eq!(body.unwrap(), "round");
        assert!(response.body().ends_with_connection() && response.body().is_finished());
        let (mut response, _) = exchange(WHOLE[0]).unwrap();
        assert!(!response.body().ends_with_connection() && response.body().is_finished());
    });
}

/// RFC 9112 section 8: an incomplete message MUST be taken for one, wherever it is cut off.
#[test]
fn section_8_an_answer_cut_off_anywhere_is_an_error() {
    for text in WHOLE {
        for len in 0..text.len() {
            test::run(move || {
                let told = failure(&text[..len]);
                let expected = ["the server closed", "the stream ended within", "the answer ends after"];
                assert!(expected.iter().any(|expected| told.starts_with(expected)), "{len} bytes of {text:?}: {told}");
            });
        }
    }
}

#[test]
fn section_8_the_error_says_how_much_came_and_how_much_was_to_come() {
    test::run(|| {
        let (_, body) = exchange("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nround").unwrap();
        let error = body.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(cause(&error), ClientError::Truncated { received: 5, expected: Some(10) }));
        let (_, body) = exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nround\r\n").unwrap();
        assert!(matches!(cause(&body.unwrap_err()), ClientError::Truncated { received: 5, expected: None }));
    });
}

#[test]
fn an_answer_is_the_same_one_byte_at_a_time() {
    for text in WHOLE {
        test::run(move || {
            let client = client_of(move |peer| {
                peer.head();
                for byte in text.as_bytes() {
                    peer.send([*byte]);
                    sleep(SECOND / 10);
                }
            });
            assert_eq!(client.get(URL).unwrap().read_text().unwrap(), "round", "{text:?}");
        });
    }
}

#[test]
fn an_answer_is_the_same_in_any_two_pieces() {
    for text in WHOLE {
        for at in 1..text.len() {
            test::run(move || {
                let client = client_of(move |peer| {
                    peer.answer(&text[..at]);
                    sleep(SECOND);
                    peer.send(&text[at..]);
                });
                assert_eq!(client.get(URL).unwrap().read_text().unwrap(), "round", "{text:?} cut at {at}");
            });
        }
    }
}

/// RFC 9112 section 6.3, item 1.
#[test]
fn section_6_3_answers_without_a_body_are_not_waited_for() {
    test::run(|| {
        // The server keeps the connection open: who waits for a body waits for the limit.
        let never_ends = |text: &'static str| {
            client_of(move |peer| {
                peer.answer(text);
                peer.head();
            })
        };
        for text in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert_eq!(never_ends(text).get(URL).unwrap().read_text().unwrap(), "", "{text:?}");
        }
        for text in
            ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
        {
            let client = never_ends(text);
            let mut response = client.request(Method::HEAD, URL).send().unwrap();
            assert_eq!(response.read_text().unwrap(), "", "{text:?}");
        }
    });
}

/// RFC 9112 section 7.1.2.
#[test]
fn section_7_1_2_trailers_come_after_the_body_and_apart_from_the_headers() {
    test::run(|| {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: head\r\n\r\n\
                    1\r\nx\r\n0\r\nA: one\r\nB:  two \r\na: three\r\n\r\n";
        let client = client_of(move |peer| drop(peer.answer(text)));
        let mut response = client.get(URL).unwrap();
        assert!(response.body().trailers().is_empty());
        response.read_all().unwrap();
        let trailers = response.body().trailers();
        assert_eq!(trailers.get_all("a").iter().collect::<Vec<_>>(), ["one", "three"]);
        assert_eq!(trailers["b"], "two");
        assert_eq!(response.header_str("a"), Some("head"));
    });
}

/// RFC 9110 section 15.2: a client MUST be able to read interim answers, although it asked for none.
#[test]
fn section_15_2_interim_answers_are_left() {
    test::run(|| {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 103\r\n\r\n";
        let (response, body) = exchange(format!("{text}{}", WHOLE[0])).unwrap();
        assert_eq!((response.status().as_u16(), body.unwrap()), (200, "round".to_owned()));
        assert_eq!(response.headers().len(), 1);
    });
}

/// RFC 9110 section 15.2.2: 101 is the answer to an offer, and we make none.
#[test]
fn section_15_2_2_a_change_of_protocol_that_was_not_offered_is_refused() {
    test::run(|| {
        let error = exchange("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").unwrap_err();
        assert!(matches!(error, ClientError::Malformed(MalformedResponse::UnaskedUpgrade)));
    });
}

/// RFC 9112 sections 2.2, 4, 5, 6 and 7: what is refused, and how it is said.
#[test]
fn bad_answers_are_refused_with_what_where_and_why() {
    let table = [
        ("<html>", "the answer does not begin as HTTP/1 does (RFC 9112 section 4)"),
        ("HTTP/2 200\r\n\r\n", "the answer does not begin as HTTP/1 does (RFC 9112 section 4)"),
        ("HTTP/3.0 200 OK\r\n\r\n", "the answer is neither in HTTP/1.0 nor in HTTP/1.1 (RFC 9112 section 2.3)"),
        (
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "status line, byte 10: the status is not a number of three digits from 100 on (RFC 9112 section 4)",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "response head, byte 21: LF without CR before it (RFC 9112 section 2.2)",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            "response head, byte 21: CR without LF after it (RFC 9112 section 2.2)",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "response head, byte 23: a header line starts with white space (RFC 9112 sections 2.2 and 5.2)",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nround",
            "byte 52: Content-Length is given more than once (RFC 9112 section 6.3)",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nround",
            "byte 33: Content-Length is not one decimal number below 2^64 (RFC 9112 section 6.3)",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "byte 55: Transfer-Encoding together with Content-Length (RFC 9112 section 6.3)",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "byte 36: no transfer coding but chunked was asked for (RFC 9112 sections 6.1 and 7)",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nround",
            "body, byte 0: not a chunk size (RFC 9112 section 7.1)",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "body, byte 4: no CR LF where a chunk's line or data ends (RFC 9112 section 7.1)",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
            "trailers, byte 3: a header that may not be a trailer (RFC 9110 section 6.5.1)",
        ),
        ("", "the server closed the connection without an answer"),
    ];
    for (text, told) in table {
        test::run(move || assert_eq!(failure(text), told, "{text:?}"));
    }
}

#[test]
fn a_body_that_failed_once_fails_again() {
    test::run(|| {
        let client = client_of(|peer| drop(peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nround")));
        let mut response = client.get(URL).unwrap();
        let mut buf = [0; 100];
        assert_eq!(response.read(&mut buf).unwrap(), 5);
        let first = response.read(&mut buf).unwrap_err();
        let second = response.read(&mut buf).unwrap_err();
        assert_eq!((second.kind(), second.to_string()), (first.kind(), first.to_string()));
        assert!(!response.body().is_finished());
    });
}

/// What comes after a body is not part of it, and no reason to doubt it.
#[test]
fn what_follows_a_body_is_left() {
    test::run(|| {
        assert_eq!(body_of(format!("{}and more", WHOLE[0])), "round");
        assert_eq!(body_of(format!("{}and more", WHOLE[1])), "round");
    });
}

#[test]
fn a_large_body_comes_byte_for_byte_in_every_framing() {
    test::run(|| {
        let body: String = (0..300_000_u32).map(|n| char::from(b'a' + (n % 1009 * n % 26) as u8)).collect();
        let chunks: String = body
            .as_bytes()
            .chunks(7777)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()))
            .collect();
        for text in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}and more", body.len()),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\nand more"),
            format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
        ] {
            for piece in [1000, 64 << 10, 1 << 20] {
                let text = text.clone();
                let client = client_of(move |peer| drop(peer.answer(&text)));
                let (mut response, mut came, mut room) = (client.get(URL).unwrap(), Vec::new(), vec![0; piece]);
                loop {
                    match response.read(&mut room).unwrap() {
                        0 => break,
                        len => came.extend_from_slice(&room[..len]),
                    }
                }
                assert!(came == body.as_bytes(), "{} bytes in pieces of {piece}", came.len());
            }
        }
    });
}
