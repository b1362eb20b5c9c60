//! How the client finds its servers: by name, by address, and by its caller's word.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{ErrorKind, Read, Write};

use grapeshot_core::{JoinHandle, spawn, test};
use grapeshot_dns::{Config, ConnectError, LookupError, LookupErrorKind, Resolver};
use grapeshot_http::client::{Client, ClientError, Dialer};
use grapeshot_net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Answers one request on 127.0.0.1 with the value of its `Host`.
fn server() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len()).unwrap();
    });
    (port, serving)
}

/// A client that asks no server of names: what it knows, it knows without one.
fn client(dialer: Dialer) -> Client {
    Client::builder().connector(dialer.resolver(Resolver::new(Config::default()))).build()
}

/// RFC 6761 section 6.3, RFC 8305: nobody listens at ::1, so 127.0.0.1 is tried.
#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried() {
    test::run(|| {
        let (port, serving) = server();
        let mut answer = client(Dialer::new()).get(format!("http://localhost:{port}/")).unwrap();
        assert_eq!(answer.read_text().unwrap(), format!("localhost:{port}"));
        serving.join().unwrap();
    });
}

/// RFC 6761 section 6.4.
#[test]
fn a_name_that_leads_nowhere_is_told_from_a_server_that_is_not_there() {
    test::run(|| {
        let client = client(Dialer::new());
        let error = client.get("http://shop.invalid/").unwrap_err();
        let ClientError::Name { host, cause } = &error else { panic!("{error:?}") };
        assert_eq!(host, "shop.invalid");
        let cause: &LookupError = cause.downcast_ref().unwrap();
        assert!(matches!(cause.kind(), LookupErrorKind::NoSuchName));

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = client.get(format!("http://localhost:{port}/")).unwrap_err();
        let ClientError::Connect { cause, .. } = &error else { panic!("{error:?}") };
        assert_eq!(cause.kind(), ErrorKind::ConnectionRefused);
        assert!(cause.get_ref().unwrap().is::<ConnectError>());
        let told = error.to_string();
        assert!(
            told.starts_with(&format!("cannot connect to localhost, port {port}: no address could be reached")),
            "{told}"
        );
        assert!(told.contains(&format!("127.0.0.1:{port}: Connection refused")), "{told}");

        let error = client.get(format!("http://127.0.0.1:{port}/")).unwrap_err().to_string();
        assert_eq!(error, format!("connecting to http://127.0.0.1:{port}: Connection refused (os error 111)"));
    });
}

/// As curl's --resolve: the name is not looked up, and the addresses are tried in their order.
#[test]
fn the_callers_word_on_a_host_and_port_counts() {
    test::run(|| {
        let (port, serving) = server();
        let nowhere = [IpAddr::V6(Ipv6Addr::LOCALHOST), LOOPBACK];
        let dialer = Dialer::new().resolve("Shop.Invalid", port, []).resolve("shop.invalid", port, nowhere);
        let client = client(dialer);
        let mut answer = client.get(format!("http://shop.invalid:{port}/")).unwrap();
        assert_eq!(answer.read_text().unwrap(), format!("shop.invalid:{port}"));
        // For that port, and no other.
        let other = if port == 1 { 2 } else { 1 };
        let error = client.get(format!("http://shop.invalid:{other}/")).unwrap_err();
        assert!(matches!(error, ClientError::Name { .. }), "{error:?}");
        serving.join().unwrap();
    });
}

#[test]
fn a_host_known_to_have_no_address_has_none() {
    test::run(|| {
        let client = client(Dialer::new().resolve("localhost", 80, []));
        let error = client.get("http://localhost/").unwrap_err();
        assert_eq!(error.to_string(), "connecting to http://localhost: no address was given");
    });
}

/// An address has nobody asked, and may be led elsewhere as well.
#[test]
fn an_address_is_taken_as_it_is() {
    test::run(|| {
        let (port, serving) = server();
        let mut answer = client(Dialer::new()).get(format!("http://127.0.0.1:{port}/")).unwrap();
        assert_eq!(answer.read_text().unwrap(), format!("127.0.0.1:{port}"));
        serving.join().unwrap();
        let (port, serving) = server();
        let dialer = Dialer::new().resolve("192.0.2.1", port, [LOOPBACK]);
        let mut answer = client(dialer).get(format!("http://192.0.2.1:{port}/")).unwrap();
        assert_eq!(answer.read_text().unwrap(), format!("192.0.2.1:{port}"));
        serving.join().unwrap();
    });
}
