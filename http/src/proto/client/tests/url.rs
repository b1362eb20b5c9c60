//! URLs: RFC 9110 section 4.2, RFC 3986 section 3.

use std::net::IpAddr;

use crate::proto::client::{Host, Origin, Scheme, Url, UrlError};

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

fn refusal(text: &str) -> UrlError {
    match text.parse::<Url>() {
        Err(error) => error,
        Ok(url) => panic!("{url}: {text:?}"),
    }
}

fn name(text: &str) -> Host {
    Host::Name(text.to_owned())
}

#[test]
fn section_4_2_a_url_is_scheme_host_port_and_target() {
    let parsed = url("HTTP://Host.Example:8080/a/b?c=d&e#f");
    assert_eq!(*parsed.origin(), Origin { scheme: Scheme::Http, host: name("host.example"), port: 8080 });
    assert_eq!((parsed.target(), parsed.path(), parsed.query()), ("/a/b?c=d&e", "/a/b", Some("c=d&e")));
    assert_eq!(url("https://a").origin().port, 443);
    assert_eq!(url("http://a").to_string(), "http://a/");
}

/// RFC 3986 section 6.2.3: an empty port is the scheme's own, and an empty path the root.
#[test]
fn section_4_2_3_what_is_left_out_has_its_default() {
    for text in ["http://a", "http://a/", "http://a:", "http://a:80", "http://a:/", "http://a#b", "http://a/#b?c"] {
        assert_eq!(url(text).to_string(), "http://a/", "{text}");
    }
    assert_eq!(url("http://a?b").target(), "/?b");
    assert_eq!(url("http://a:80/").origin(), url("http://a/").origin());
    assert_ne!(url("https://a:80/").origin(), url("http://a/").origin());
}

#[test]
fn section_4_2_only_http_and_https_are_taken() {
    for text in ["ftp://a/", "file:///a", "ws://a", "httpx://a"] {
        assert_eq!(refusal(text), UrlError::UnknownScheme, "{text}");
    }
    for text in ["", "a", "a.example/b", "http:/a", "http:a", "//a", "/a://b", "ht tp://a", "1x://a"] {
        assert_eq!(refusal(text), UrlError::NoScheme, "{text}");
    }
}

/// RFC 9110 section 4.2.4: its presence is best treated as an error.
#[test]
fn section_4_2_4_a_users_name_is_refused() {
    assert_eq!(refusal("http://user@a/"), UrlError::UserInfo { at: 11 });
    assert_eq!(refusal("http://trusted.example:80@evil.example/"), UrlError::UserInfo { at: 25 });
    assert_eq!(url("http://a/@b?c@d").target(), "/@b?c@d");
}

/// RFC 9110 section 4.2.1: an empty host MUST be refused.
#[test]
fn section_4_2_1_a_url_has_a_host() {
    for text in ["http://", "http:///a", "http://:80/", "http://?a", "http://#"] {
        assert_eq!(refusal(text), UrlError::NoHost { at: 7 }, "{text}");
    }
}

/// RFC 3986 section 3.2.2.
#[test]
fn section_3_2_2_addresses_are_read_in_the_one_form_all_agree_on() {
    let address = |text: &str| Host::Address(text.parse::<IpAddr>().unwrap());
    assert_eq!(url("http://127.0.0.1:1/").origin().host, address("127.0.0.1"));
    assert_eq!(url("http://[2001:DB8::1]/").origin().host, address("2001:db8::1"));
    assert_eq!(url("http://[::ffff:1.2.3.4]:1/").to_string(), "http://[::ffff:1.2.3.4]:1/");
    let readings_differ =
        ["127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.0.0.1.", "1.2.3.4.5", "a.1", "256.0.0.1"];
    for host in readings_differ {
        assert_eq!(refusal(&format!("http://{host}/")), UrlError::InvalidAddress { at: 7 }, "{host}");
    }
    for host in ["[", "[]", "[::1", "[1.2.3.4]", "[v1.x]", "[::1]x", "[:::1]"] {
        let error = refusal(&format!("http://{host}/"));
        assert!(matches!(error, UrlError::InvalidAddress { .. }), "{host}: {error:?}");
    }
    assert_eq!(refusal("http://[fe80::1%25eth0]/"), UrlError::ZoneId { at: 7 });
}

/// RFC 3986 section 3.2.3.
#[test]
fn section_3_2_3_a_port_is_a_number_from_1_to_65535() {
    assert_eq!(url("http://a:00080/").origin().port, 80);
    assert_eq!(url("http://[::1]:65535/").origin().port, 65535);
    for port in ["0", "65536", "x", "-1", "+1", "80:80", " 80", "99999999999999999999"] {
        let error = refusal(&format!("http://a:{port}/"));
        assert_eq!(error, UrlError::InvalidPort { at: 9 }, "{port}");
    }
}

#[test]
fn a_host_has_the_bytes_of_a_name() {
    for (text, at, byte) in [("http://a b/", 8, b' '), ("http://a\\b/", 8, b'\\'), ("http://a%20b/", 8, b'%')] {
        assert_eq!(refusal(text), UrlError::InvalidHostByte { at, byte }, "{text}");
    }
    assert_eq!(url("http://_a-b.example./").origin().host, name("_a-b.example."));
}

/// RFC 1035 section 2.3.4.
#[test]
fn a_name_fits_the_dns() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(url(&format!("http://{longest}/")).origin().host, name(&longest));
    assert_eq!(url(&format!("http://{longest}./")).origin().host, name(&format!("{longest}.")));
    for host in [format!("{longest}a"), "a".repeat(64), "a..b".into(), ".a".into(), ".".into(), "a..".into()] {
        assert_eq!(refusal(&format!("http://{host}/")), UrlError::InvalidName { at: 7 }, "{host}");
    }
}

/// RFC 5891.
#[test]
fn a_name_beyond_ascii_becomes_that_of_the_dns() {
    assert_eq!(url("http://BÜCHER.example/").origin().host, name("xn--bcher-kva.example"));
    assert_eq!(url("http://例え。テスト/").origin().host, name("xn--r8jz45g.xn--zckzah"));
    assert_eq!(refusal("http://xn--\u{e9}/"), UrlError::InvalidName { at: 7 });
    // What becomes an address only by the mapping is one no less.
    assert_eq!(url("http://１.2.3.4/").origin().host, Host::Address("1.2.3.4".parse().unwrap()));
}

/// RFC 3986 sections 2.1, 3.3 and 3.4; RFC 9110 section 4.2.5.
#[test]
fn section_3_3_what_a_request_line_cannot_hold_is_encoded_or_refused() {
    assert_eq!(url("http://a/é?ü#ß").target(), "/%C3%A9?%C3%BC");
    assert_eq!(url("http://a/%zz/../b//c?d?e`").target(), "/%zz/../b//c?d?e`");
    let table = [
        ("http://a/b c", 10, b' '),
        ("http://a/\r\nX:", 9, b'\r'),
        ("http://a/?\"", 10, b'"'),
        ("http://a/`", 9, b'`'),
    ];
    for (text, at, byte) in table {
        assert_eq!(refusal(text), UrlError::InvalidByte { at, byte }, "{text:?}");
    }
    assert_eq!(url("http://a/b#c d\r\n").target(), "/b", "the fragment is not sent");
}

#[test]
fn a_url_is_as_long_as_its_limit_and_no_longer() {
    let longest = format!("http://a/{}", "b".repeat(Url::MAX_BYTES - "http://a/".len()));
    assert_eq!(url(&longest).to_string(), longest);
    assert_eq!(refusal(&format!("{longest}b")), UrlError::TooLong { limit: Url::MAX_BYTES });
}

/// What a peer's page says must not be able to forge lines in a log.
#[test]
fn an_error_repeats_nothing_of_the_url() {
    for text in ["http://a\nb/", "x\n://", "http://a:\n/", "http://a/\n", "\n"] {
        let error = refusal(text).to_string();
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_uri_of_the_http_crate_is_read_as_its_text() {
    let uri: http::Uri = "http://a.example:81/b?c".parse().unwrap();
    assert_eq!(Url::try_from(&uri).unwrap().to_string(), "http://a.example:81/b?c");
    assert_eq!(Url::try_from(&http::Uri::from_static("/only/a/path")), Err(UrlError::NoScheme));
}
