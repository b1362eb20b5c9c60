//! Request heads: RFC 9112 sections 3, 6 and 9.6, RFC 9110 sections 7.2 and 8.6.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::Limits;
use crate::proto::client::{RequestBody, RequestError, RequestHead, Url};
use crate::proto::{BodyFraming, HeadParser, HeadView, Parsed};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn encode(method: &Method, text: &str, lines: &[(&'static str, &'static str)], body: RequestBody) -> String {
    try_encode(method, text, lines, body).unwrap()
}

fn try_encode(
    method: &Method,
    text: &str,
    lines: &[(&'static str, &'static str)],
    body: RequestBody,
) -> Result<String, RequestError> {
    let mut out = b"before".to_vec();
    let head = RequestHead { method, url: &url(text), headers: &headers(lines), body, keep_alive: false };
    let encoded = head.encode(&mut out);
    let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    assert_eq!(encoded.is_ok(), !text.is_empty(), "an error leaves nothing behind");
    encoded.map(|()| text)
}

/// RFC 9112 sections 3.2.1 and 9.6; RFC 9110 section 7.2.
#[test]
fn section_3_a_request_is_a_line_and_host_and_the_callers_headers() {
    let text = encode(&Method::GET, "http://h.example/a?b#c", &[("accept", "x"), ("x-y", "z")], RequestBody::None);
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: h.example\r\naccept: x\r\nx-y: z\r\nconnection: close\r\n\r\n");
}

/// RFC 9112 section 3.2: without the port where it is the scheme's own, and with brackets around IPv6.
#[test]
fn section_3_2_host_is_the_urls_authority() {
    let table = [
        ("http://h.example:80", "h.example"),
        ("https://h.example:443", "h.example"),
        ("http://h.example:443", "h.example:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://[::1]/", "[::1]"),
        ("http://127.0.0.1/", "127.0.0.1"),
    ];
    for (url, host) in table {
        let text = encode(&Method::GET, url, &[], RequestBody::None);
        assert!(text.starts_with(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n")), "{text}");
    }
    let text = encode(&Method::GET, "http://127.0.0.1/", &[("x", "y"), ("host", "other:1")], RequestBody::None);
    assert!(text.starts_with("GET / HTTP/1.1\r\nhost: other:1\r\nx: y\r\n"), "{text}");
}

/// RFC 9112 section 3.2.4.
#[test]
fn section_3_2_4_options_of_the_whole_server_asks_for_an_asterisk() {
    assert!(encode(&Method::OPTIONS, "http://h/", &[], RequestBody::None).starts_with("OPTIONS * HTTP/1.1\r\n"));
    assert!(encode(&Method::OPTIONS, "http://h/a", &[], RequestBody::None).starts_with("OPTIONS /a HTTP/1.1\r\n"));
}

/// RFC 9112 section 6, RFC 9110 section 8.6.
#[test]
fn section_6_the_framing_follows_from_the_body() {
    let framing = |method: &Method, body| {
        let text = encode(method, "http://h/", &[], body);
        text.lines().find(|line| line.starts_with("content-") || line.starts_with("transfer-")).map(str::to_owned)
    };
    assert_eq!(framing(&Method::GET, RequestBody::None), None);
    assert_eq!(framing(&Method::POST, RequestBody::None).unwrap(), "content-length: 0");
    assert_eq!(framing(&Method::PUT, RequestBody::Length(0)).unwrap(), "content-length: 0");
    assert_eq!(framing(&Method::GET, RequestBody::Length(7)).unwrap(), "content-length: 7");
    assert_eq!(framing(&Method::POST, RequestBody::Chunked).unwrap(), "transfer-encoding: chunked");
}

#[test]
fn headers_that_frame_the_message_are_refused() {
    for name in
        ["content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "keep-alive"]
    {
        let error = try_encode(&Method::GET, "http://h/", &[(name, "1")], RequestBody::None).unwrap_err();
        assert_eq!(error, RequestError::ReservedHeader(HeaderName::from_static(name)));
    }
}

#[test]
fn a_host_that_is_none_is_refused() {
    for hosts in [&[("host", "a"), ("host", "a")][..], &[("host", "")], &[("host", "a b")], &[("host", ":80")]] {
        let error = try_encode(&Method::GET, "http://h/", hosts, RequestBody::None).unwrap_err();
        assert_eq!(error, RequestError::InvalidHost, "{hosts:?}");
    }
}

/// RFC 9110 sections 9.3.6 and 9.3.8.
#[test]
fn connect_and_a_trace_with_a_body_are_refused() {
    let error = |method, body| try_encode(method, "http://h/", &[], body).unwrap_err();
    assert_eq!(error(&Method::CONNECT, RequestBody::None), RequestError::Connect);
    assert_eq!(error(&Method::TRACE, RequestBody::Length(1)), RequestError::BodyWithTrace);
}

/// What we send is what the server's half takes, and reads as it was meant.
#[test]
fn our_own_server_reads_what_is_written() {
    for (body, framing) in [
        (RequestBody::None, BodyFraming::None),
        (RequestBody::Length(5), BodyFraming::Length(5)),
        (RequestBody::Chunked, BodyFraming::Chunked),
    ] {
        let text = encode(&Method::GET, "http://Bücher.example:8080/é?ü", &[("x-y", "z")], body);
        let mut head = crate::proto::RequestHead::new();
        let parsed = HeadParser::new().parse(text.as_bytes(), &Limits::default(), &mut head).unwrap();
        assert_eq!(parsed, Parsed::Complete(text.len()));
        assert_eq!((head.body(), head.keep_alive()), (framing, false));
        let view = HeadView::new(text.as_bytes(), &head);
        assert_eq!(view.target(), "/%C3%A9?%C3%BC");
        assert_eq!(view.authority(), "xn--bcher-kva.example:8080");
        assert_eq!(view.header("x-y"), Some(&b"z"[..]));
    }
}
