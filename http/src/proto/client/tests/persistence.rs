//! Whether the connection goes on: RFC 9112 section 9.3.

use super::{head_of, head_to, with_headers};
use crate::proto::MethodKind;

fn persists(lines: &str) -> bool {
    head_of(&with_headers(lines)).keep_alive
}

#[test]
fn section_9_3_close_ends_it_then_the_version_decides() {
    assert!(persists("Content-Length: 0"));
    assert!(persists("Transfer-Encoding: chunked"));
    assert!(!persists("Content-Length: 0\r\nConnection: x, Close"));
    assert!(!persists("Content-Length: 0\r\nConnection: keep-alive\r\nConnection: close"));
    let old = |lines: &str| head_of(&format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{lines}\r\n\r\n")).keep_alive;
    assert!(!old("X: y"));
    assert!(old("Connection: Keep-Alive"));
}

/// RFC 9112 section 9.3: without a length the connection's end is the body's.
#[test]
fn section_9_3_a_body_that_ends_with_the_connection_ends_it() {
    assert!(!persists("X: y"));
    assert!(head_to(MethodKind::Head, &with_headers("X: y")).keep_alive);
}

/// A 204 with a length is taken, but what follows is nobody's answer.
#[test]
fn section_9_3_a_204_that_claims_a_body_ends_it() {
    let persists = |lines: &str| head_of(&format!("HTTP/1.1 204 x\r\n{lines}\r\n\r\n")).keep_alive;
    assert!(persists("X: y"));
    assert!(persists("Content-Length: 0"));
    assert!(!persists("Content-Length: 5"));
    assert!(!persists("Transfer-Encoding: chunked"));
}
