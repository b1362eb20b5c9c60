//! Our client at OpenSSL's server, which sends every line back with its characters in reverse.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peers;

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use grapeshot_harness::{Program, Ready, Running, require};
use grapeshot_tls::rustls::{CertificateError, HandshakeKind};
use grapeshot_tls::{Pin, SelfSigned, TlsError, Version};

use peers::{Files, PATIENCE, VERSIONS, ask, client_of, connect, facts, localhost, run};

/// `openssl s_server`, at work until it is dropped.
struct Server {
    running: Running,
    address: SocketAddr,
    _files: Files,
}

impl Server {
    fn start(openssl: &Path, signed: &SelfSigned, more: &[&str]) -> Server {
        let files = Files::of(signed);
        let program = Program::new(openssl).args(["s_server", "-accept", "127.0.0.1:0", "-rev"]);
        let program = program.args(["-cert", &files.arg("chain.pem"), "-key", &files.arg("key.pem")]);
        let program = program.args(["-CAfile", &files.arg("ca.pem")]).args(more);
        let running = program.open_input().ready_when(Ready::line("ACCEPT")).start().unwrap();
        Server { address: running.ready_addr().unwrap(), running, _files: files }
    }

    fn says(&self, line: &str) {
        self.running.wait_line(line, PATIENCE).unwrap();
    }
}

fn flag(version: Version) -> &'static str {
    match version {
        Version::Tls12 => "-tls1_2",
        Version::Tls13 => "-tls1_3",
    }
}

/// RFC 8446 section 6.1, RFC 5246 section 7.2.1: its close_notify is the end of what we read, and ours of what it reads.
#[test]
fn rfc_8446_6_1_and_5246_7_2_1_both_ends_say_close_notify() {
    let Some(openssl) = require("openssl") else { return };
    for (version, spoken) in VERSIONS {
        let signed = localhost();
        let server = Server::start(&openssl, &signed, &[flag(version)]);
        let (address, config) = (server.address, client_of(&signed).build().unwrap());
        run(move || {
            let mut stream = connect(address, &config, "localhost").unwrap();
            assert_eq!(stream.protocol_version(), Some(spoken));
            assert_eq!(ask(&stream, "grape\n").unwrap(), "eparg\n");
            // Its word for the end, upon which it says close_notify.
            use std::io::Write;
            stream.write_all(b"CLOSE\n").unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "");
            stream.close().unwrap();

            let stream = connect(address, &config, "localhost").unwrap();
            assert_eq!(ask(&stream, "shot\n").unwrap(), "tohs\n");
            stream.close().unwrap();
        });
        server.says("CONNECTION CLOSED");
    }
}

#[test]
fn rfc_7301_3_the_server_takes_one_of_the_protocols_offered() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let server = Server::start(&openssl, &signed, &["-alpn", "http/1.1,h2"]);
    let (address, config) = (server.address, client_of(&signed).alpn(["h2", "http/1.1"]).build().unwrap());
    run(move || {
        let stream = connect(address, &config, "localhost").unwrap();
        assert_eq!(facts(&stream).alpn.as_deref(), Some("http/1.1"));
        stream.close().unwrap();
    });
}

/// RFC 6066 section 3: by the name that we ask for, the server shows its second certificate.
#[test]
fn rfc_6066_3_the_server_hears_the_name() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let second = signed.issue(["second.test"]).unwrap();
    let files = Files::of(&second);
    let names = ["-servername", "second.test", "-cert2", &files.arg("chain.pem"), "-key2", &files.arg("key.pem")];
    let server = Server::start(&openssl, &signed, &names);
    let (address, config) = (server.address, client_of(&signed).build().unwrap());
    run(move || {
        for (name, shown) in [("localhost", &signed), ("second.test", &second)] {
            let stream = connect(address, &config, name).unwrap();
            assert_eq!(facts(&stream).shown.as_ref(), shown.identity().unwrap().chain().first());
            stream.close().unwrap();
        }
    });
}

/// RFC 8446 section 4.4.2, RFC 5246 section 7.4.6: the server wants a certificate and gets it.
#[test]
fn rfc_8446_4_4_2_a_client_shows_its_certificate() {
    let Some(openssl) = require("openssl") else { return };
    for (version, _) in VERSIONS {
        let signed = localhost();
        let server = Server::start(&openssl, &signed, &["-Verify", "1", "-verify_return_error", flag(version)]);
        let me = signed.issue(["just me"]).unwrap().identity().unwrap();
        let address = server.address;
        let (with, without) = (client_of(&signed).identity(me).build().unwrap(), client_of(&signed).build().unwrap());
        run(move || {
            let stream = connect(address, &with, "localhost").unwrap();
            assert_eq!(ask(&stream, "grape\n").unwrap(), "eparg\n");
            stream.close().unwrap();
            // With TLS 1.3 the server's answer to no certificate comes after the client's handshake.
            let refused = connect(address, &without, "localhost").and_then(|stream| ask(&stream, "grape\n"));
            let error = refused.unwrap_err();
            assert!(matches!(TlsError::of(&error), Some(TlsError::AlertReceived { .. })), "{error}");
        });
        server.says("just me");
    }
}

/// RFC 8446 section 2.2 and RFC 5077 section 3.1.
#[test]
fn rfc_8446_2_2_and_5077_3_1_the_second_connection_is_resumed() {
    let Some(openssl) = require("openssl") else { return };
    for (version, _) in VERSIONS {
        let signed = localhost();
        let server = Server::start(&openssl, &signed, &[flag(version)]);
        let (address, config) = (server.address, client_of(&signed).build().unwrap());
        let resumed = run(move || {
            [(); 3].map(|()| {
                let stream = connect(address, &config, "localhost").unwrap();
                assert_eq!(ask(&stream, "grape\n").unwrap(), "eparg\n");
                stream.close().unwrap();
                stream.is_resumed()
            })
        });
        assert_eq!(resumed, [false, true, true]);
    }
}

/// RFC 8446 section 4.1.4: the server wants another group than the one we guessed.
#[test]
fn rfc_8446_4_1_4_a_hello_is_said_again_when_the_server_asks_for_it() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let server = Server::start(&openssl, &signed, &["-groups", "P-384"]);
    let (address, config) = (server.address, client_of(&signed).build().unwrap());
    run(move || {
        let stream = connect(address, &config, "localhost").unwrap();
        assert_eq!(stream.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
        assert_eq!(ask(&stream, "grape\n").unwrap(), "eparg\n");
        stream.close().unwrap();
    });
}

/// RFC 8446 section 6.2: we refuse it, and it hears unknown_ca.
#[test]
fn rfc_8446_6_2_a_stranger_is_refused_and_told() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let server = Server::start(&openssl, &signed, &[]);
    let (address, config) = (server.address, client_of(&localhost()).build().unwrap());
    run(move || {
        let error = connect(address, &config, "localhost").unwrap_err();
        let Some(TlsError::CertificateRefused { reason, .. }) = TlsError::of(&error) else { panic!("{error}") };
        assert_eq!(reason, &CertificateError::UnknownIssuer);
    });
    server.says("alert unknown ca");
}

/// RFC 7858 section 4.2: the pin is what OpenSSL computes of the public key.
#[test]
fn rfc_7858_4_2_a_pin_is_what_openssl_makes_of_the_key() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let files = Files::of(&signed);
    let commands = "\"$0\" x509 -in \"$1\" -noout -pubkey | \"$0\" pkey -pubin -outform der | \"$0\" dgst -sha256 -binary | \"$0\" base64";
    let made = Program::new("sh").args(["-c", commands]).arg(&openssl).arg(files.path("chain.pem"));
    let made = made.output(PATIENCE).unwrap();
    let pin: Pin = format!("sha256//{}", made.stdout.text().trim()).parse().unwrap();
    assert_eq!(pin, Pin::of(&signed.identity().unwrap().chain()[0]).unwrap());
    let server = Server::start(&openssl, &signed, &[]);
    let config = client_of(&localhost()).pins_instead_of_roots([pin]).build().unwrap();
    let address = server.address;
    run(move || connect(address, &config, "a.name.of.ours").unwrap().close().unwrap());
}
