//! The request target: RFC 9112 section 3.2.

use http::Uri;

use super::{HeadError, Limits, head_of, parse_with, refusal};
use crate::proto::{HeadView, TargetFault, TargetForm};

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: host\r\n\r\n")
}

/// Form, path, query and authority.
fn parts(method: &str, target: &str) -> (TargetForm, String, Option<String>, String) {
    let text = request(method, target);
    let head = head_of(&text);
    let view = HeadView::new(text.as_bytes(), &head);
    assert_eq!(view.target(), target);
    (head.target_form(), view.path().to_owned(), view.query().map(str::to_owned), view.authority().to_owned())
}

fn fault(method: &str, target: &str) -> (usize, TargetFault) {
    match refusal(&request(method, target)) {
        HeadError::Target { at, fault } => (at - method.len() - 1, fault),
        error => panic!("{error:?}: {target:?}"),
    }
}

/// HTTP-5: the target is split. RFC 9112 section 3.2.1.
#[test]
fn a_path_has_an_optional_query() {
    let table = [
        ("/", "/", None),
        ("/a/b;c=d", "/a/b;c=d", None),
        ("/a?", "/a", Some("")),
        ("/?b=/c?d", "/", Some("b=/c?d")),
        ("//etc/passwd", "//etc/passwd", None),
        ("/%2e%2e/%zz", "/%2e%2e/%zz", None),
    ];
    for (target, path, query) in table {
        let expected = (TargetForm::Origin, path.to_owned(), query.map(str::to_owned), "host".to_owned());
        assert_eq!(parts("GET", target), expected);
    }
}

/// RFC 9112 section 3.2.2: a server MUST accept the absolute form, and MUST take the host from it.
#[test]
fn an_absolute_uri_brings_its_own_host() {
    let table = [
        ("http://a/b?c", "/b", Some("c"), "a"),
        ("HTTPS://a.b:8443/", "/", None, "a.b:8443"),
        ("http://a", "/", None, "a"),
        ("http://a?b", "/", Some("b"), "a"),
        ("http://[2001:db8::1]:80/x", "/x", None, "[2001:db8::1]:80"),
        ("http://a:/", "/", None, "a:"),
    ];
    for (target, path, query, authority) in table {
        let expected = (TargetForm::Absolute, path.to_owned(), query.map(str::to_owned), authority.to_owned());
        assert_eq!(parts("GET", target), expected);
    }
}

/// RFC 9110 section 4.2.1: an empty host MUST be refused; 4.2.4: so should a user name be.
#[test]
fn an_absolute_uri_without_a_valid_host_is_refused() {
    for target in
        ["http://", "http:///a", "http://:80/", "http://u@a/", "http://u:p@a/", "http://a:x/", "http://a:123456/"]
    {
        assert_eq!(fault("GET", target), (7, TargetFault::InvalidAuthority), "{target}");
    }
    for target in
        ["https://[::1/", "https://::1/", "https://[::1]x/", "https://[v1.a]/", "https://a%20b/", "https://a[]/"]
    {
        assert_eq!(fault("GET", target), (8, TargetFault::InvalidAuthority), "{target}");
    }
}

/// RFC 9112 section 3.2.3: CONNECT takes host and port; RFC 9110 section 9.3.6: an empty or invalid
/// port MUST be refused.
#[test]
fn connect_takes_a_host_and_a_port() {
    let whole = |target: &str| (TargetForm::Authority, String::new(), None, target.to_owned());
    for target in ["a:1", "a.b:65535", "[::1]:443", "127.0.0.1:00080"] {
        assert_eq!(parts("CONNECT", target), whole(target));
    }
    for target in ["a", "a:", ":80", "a:0", "a:65536", "a:b", "/", "*", "http://a:80/", "u@a:80", "a:80/", "a:80:80"] {
        assert_eq!(fault("CONNECT", target), (0, TargetFault::ConnectWithoutAuthority), "{target}");
    }
}

#[test]
fn a_host_and_port_is_for_connect_only() {
    assert_eq!(fault("GET", "a:80"), (0, TargetFault::UnknownForm));
}

/// RFC 9112 section 3.2.4.
#[test]
fn an_asterisk_is_for_options_only() {
    assert_eq!(parts("OPTIONS", "*"), (TargetForm::Asterisk, "*".to_owned(), None, "host".to_owned()));
    assert_eq!(fault("GET", "*"), (0, TargetFault::AsteriskWithoutOptions));
    assert_eq!(fault("OPTIONS", "**"), (0, TargetFault::UnknownForm));
}

#[test]
fn what_has_none_of_the_forms_is_refused() {
    for target in ["a", "?a", "a/b", "ftp://a/", "http:/a", "http:a", "://a", "."] {
        assert_eq!(fault("GET", target), (0, TargetFault::UnknownForm), "{target}");
    }
}

/// RFC 9112 section 3.2: a target has no fragment.
#[test]
fn a_fragment_is_refused() {
    assert_eq!(fault("GET", "/a#b"), (2, TargetFault::Fragment));
    assert_eq!(fault("GET", "/a?b#c"), (4, TargetFault::Fragment));
    assert_eq!(fault("GET", "http://a#b"), (8, TargetFault::Fragment));
}

#[test]
fn every_byte_is_taken_or_refused_in_path_and_query_as_documented() {
    for byte in 0x21..=0x7e_u8 {
        let refused_in_path = b"\"#<>`".contains(&byte);
        let refused_in_query = b"\"#<>".contains(&byte);
        for (start, refused) in [("/", refused_in_path), ("/?", refused_in_query), ("http://a/", refused_in_path)] {
            let text = request("GET", &format!("{start}{}", byte as char));
            let parsed = parse_with(text.as_bytes(), &Limits::default());
            assert_eq!(parsed.is_err(), refused, "{text:?}");
        }
    }
}

#[test]
fn a_byte_beyond_ascii_is_refused() {
    let limits = Limits::default();
    for byte in 0x7f..=0xff_u8 {
        let bytes = [b"GET /", &[byte][..], b" HTTP/1.0\r\n\r\n"].concat();
        assert_eq!(parse_with(&bytes, &limits).unwrap_err().status(), 400, "{byte:#04x}");
    }
    assert_eq!(fault("GET", "/\u{e9}"), (1, TargetFault::InvalidByte(0xc3)));
}

#[test]
fn every_target_taken_is_a_uri_of_the_http_crate() {
    let mut targets: Vec<_> = ["/", "/?", "http://a", "http://[::1]:80?q", "https://!$&'()*+,;=-._~/", "http://a:/"]
        .map(str::to_owned)
        .to_vec();
    targets.extend(
        (0x21..=0x7e_u8)
            .flat_map(|byte| ["/", "/?", "http://a/", "http://"].map(|start| format!("{start}{}", byte as char))),
    );
    for target in targets {
        let text = request("GET", &target);
        if let Ok((_, head)) = parse_with(text.as_bytes(), &Limits::default()) {
            let view = HeadView::new(text.as_bytes(), &head);
            let uri: Uri = view.to_uri().unwrap_or_else(|error| panic!("{error}: {target}"));
            assert_eq!((uri.path(), uri.query()), (view.path(), view.query()), "{target}");
            assert_eq!(uri.authority().map_or("host", |authority| authority.as_str()), view.authority(), "{target}");
        }
    }
}
