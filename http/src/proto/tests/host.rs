//! The `Host` header: RFC 9112 section 3.2, RFC 9110 section 7.2.

use super::{HeadError, head_of, refusal};

fn request(host_lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{host_lines}\r\n")
}

/// RFC 9112 section 3.2: a server MUST answer 400 to a 1.1 request without Host.
#[test]
fn a_request_without_host_is_refused() {
    let error = refusal(&request(""));
    assert_eq!(error, HeadError::MissingHost);
    assert_eq!(error.status(), 400);
    assert_eq!(refusal(&request("Hosts: a\r\n")), HeadError::MissingHost);
}

#[test]
fn http_1_0_needs_no_host() {
    head_of("GET / HTTP/1.0\r\n\r\n");
}

/// RFC 9112 section 3.2: so it MUST to one with more than one Host line.
#[test]
fn host_given_twice_is_refused_even_if_equal() {
    assert_eq!(refusal(&request("Host: a\r\nHost: a\r\n")), HeadError::RepeatedHost { at: 31 });
    assert_eq!(refusal(&request("Host: a\r\nX: y\r\nhost: b\r\n")), HeadError::RepeatedHost { at: 37 });
    assert_eq!(refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), HeadError::RepeatedHost { at: 31 });
}

/// RFC 9112 section 3.2: and to one with an invalid value.
#[test]
fn a_value_that_is_no_host_is_refused() {
    let hosts = [
        "a b",
        "a, b",
        "a/b",
        "u@a",
        "a:b",
        "a:1:2",
        "::1",
        "[::1",
        "[]",
        "[a]",
        "[::1]a",
        "[fe80::1%25eth0]",
        "a\\b",
        "a?b",
        "a#b",
        "http://a",
        ":",
        ":80",
        "a:123456",
        "<a>",
        "\"a\"",
        "a%00b",
        "\u{e9}",
        "a:-1",
        "a: 80",
    ];
    for host in hosts {
        let error = refusal(&request(&format!("Host: {host}\r\n")));
        assert_eq!(error, HeadError::InvalidHost { at: 22 }, "{host}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn names_addresses_and_ports_are_hosts() {
    let hosts = [
        "a",
        "a.",
        "a-b_c.example",
        "EXAMPLE.com:80",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]",
        "a:",
        "1",
        "a:00080",
        "xn--bcher-kva.example",
    ];
    for host in hosts {
        let text = request(&format!("Host: {host}\r\n"));
        let head = head_of(&text);
        assert_eq!(crate::proto::HeadView::new(text.as_bytes(), &head).authority(), host);
    }
}

/// RFC 9112 section 3.2: a client sends an empty value where the target has no authority.
#[test]
fn host_may_be_empty() {
    head_of(&request("Host:\r\n"));
    head_of(&request("Host: \t \r\n"));
}
