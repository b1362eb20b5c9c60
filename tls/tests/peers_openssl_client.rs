//! OpenSSL's client at our server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peers;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grapeshot_harness::{Output, Program, require};
use grapeshot_tls::rustls::AlertDescription;
use grapeshot_tls::{ClientCertificates, ConfigError, Identity, SelfSigned, ServerConfig, TlsError, Version};

use peers::{Files, PATIENCE, VERSIONS, localhost, serve, server_of};

/// `openssl s_client` that believes our authority and nobody else, and says so if it does not.
fn s_client(openssl: &Path, files: &Files, address: SocketAddr) -> Program {
    let program =
        Program::new(openssl).args(["s_client", "-connect", &address.to_string(), "-servername", "localhost"]);
    program.args(["-verify_return_error", "-verify_hostname", "localhost", "-CAfile", &files.arg("ca.pem")])
}

fn flag(version: Version) -> &'static str {
    match version {
        Version::Tls12 => "-tls1_2",
        Version::Tls13 => "-tls1_3",
    }
}

fn alert(error: std::io::Error) -> AlertDescription {
    match TlsError::of(&error) {
        Some(TlsError::AlertReceived { alert, .. }) => *alert,
        _ => panic!("{error}"),
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", output.stdout.text(), output.stderr.text())
}

/// RFC 8446 section 6.1, RFC 5246 section 7.2.1: our close_notify ends its reading, and it answers with its own,
/// without which the connection would count as cut off.
#[test]
fn rfc_8446_6_1_and_5246_7_2_1_both_ends_say_close_notify() {
    let Some(openssl) = require("openssl") else { return };
    for (version, spoken) in VERSIONS {
        let signed = localhost();
        let files = Files::of(&signed);
        let openssl = openssl.clone();
        let (output, served) = serve(server_of(&signed).build().unwrap(), move |address| {
            s_client(&openssl, &files, address)
                .args(["-ign_eof", flag(version)])
                .input("hello\nbye\n")
                .output(PATIENCE)
                .unwrap()
        });
        output.assert_success();
        let text = text(&output);
        assert!(text.contains("HELLO\nBYE\n"), "{text}");
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        assert!(text.contains("closed") && !text.contains("unexpected eof"), "{text}");
        assert_eq!(served[0].as_ref().unwrap().version, Some(spoken));
        assert_eq!(served.len(), 1);
    }
}

/// RFC 6066 section 3 and RFC 7301 section 3: the name and the protocol that the client asks for.
#[test]
fn rfc_6066_3_and_7301_3_the_name_and_the_protocol_are_as_asked_for() {
    let Some(openssl) = require("openssl") else { return };
    for (version, _) in VERSIONS {
        let signed = localhost();
        let files = Files::of(&signed);
        let other = SelfSigned::new(["other.test"]).unwrap().identity().unwrap();
        let server = server_of(&signed).identity_for(["localhost"], signed.identity().unwrap()).identity(other);
        let openssl = openssl.clone();
        let (output, served) = serve(server.alpn(["h2", "http/1.1"]).build().unwrap(), move |address| {
            let client = s_client(&openssl, &files, address).args(["-ign_eof", flag(version)]);
            client.args(["-alpn", "http/1.1,h2"]).input("bye\n").output(PATIENCE).unwrap()
        });
        output.assert_success();
        assert!(output.stdout.text().contains("ALPN protocol: h2\n"), "{output}");
        assert!(output.stdout.text().contains("subject=CN = localhost\n"), "{output}");
        let facts = served[0].as_ref().unwrap();
        assert_eq!((facts.name.as_deref(), facts.alpn.as_deref()), (Some("localhost"), Some("h2")));
    }
}

#[test]
fn rfc_7301_3_2_no_protocol_in_common_is_told_to_the_client() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let files = Files::of(&signed);
    let (output, served) = serve(server_of(&signed).alpn(["h2"]).build().unwrap(), move |address| {
        s_client(&openssl, &files, address).args(["-alpn", "spdy/3"]).input("").output(PATIENCE).unwrap()
    });
    assert!(!output.end.success());
    assert!(output.stderr.text().contains("no application protocol"), "{output}");
    served.into_iter().next().unwrap().unwrap_err();
}

/// RFC 8446 section 6.2: a client that does not believe us says unknown_ca, and our error says that it did.
#[test]
fn rfc_8446_6_2_a_client_that_refuses_us_says_why() {
    let Some(openssl) = require("openssl") else { return };
    for (version, _) in VERSIONS {
        let signed = localhost();
        let files = Files::of(&localhost());
        let openssl = openssl.clone();
        let (output, mut served) = serve(server_of(&signed).build().unwrap(), move |address| {
            s_client(&openssl, &files, address)
                .args(["-ign_eof", flag(version)])
                .input("bye\n")
                .output(PATIENCE)
                .unwrap()
        });
        assert!(!output.end.success());
        assert!(output.stderr.text().contains("unable to get local issuer certificate"), "{output}");
        assert_eq!(alert(served.remove(0).unwrap_err()), AlertDescription::UnknownCA);
    }
}

/// RFC 8446 section 4.3.2, RFC 5246 section 7.4.4: the client's certificate, required.
#[test]
fn rfc_8446_4_3_2_a_client_with_a_certificate_is_let_in_and_one_without_is_not() {
    let Some(openssl) = require("openssl") else { return };
    for (version, _) in VERSIONS {
        let signed = localhost();
        let me = signed.issue(["me"]).unwrap();
        let (files, mine) = (Files::of(&signed), Arc::new(Files::of(&me)));
        let clients = ClientCertificates::required(signed.roots().unwrap());
        let server = server_of(&signed).client_certificates(clients).build().unwrap();
        let files = Arc::new(files);
        let (shell, believed) = (openssl.clone(), files.clone());
        let (output, served) = serve(server.clone(), {
            let mine = mine.clone();
            move |address| {
                let client = s_client(&shell, &files, address).args(["-ign_eof", flag(version)]);
                client
                    .args(["-cert", &mine.arg("chain.pem"), "-key", &mine.arg("key.pem")])
                    .input("bye\n")
                    .output(PATIENCE)
                    .unwrap()
            }
        });
        output.assert_success();
        let shown = served[0].as_ref().unwrap().shown.clone().unwrap();
        assert_eq!([shown], me.identity().unwrap().chain());

        let shell = openssl.clone();
        let (output, mut served) = serve(server, move |address| {
            let client = Program::new(&shell).args(["s_client", "-connect", &address.to_string()]);
            let client = client.args(["-CAfile", &believed.arg("ca.pem")]);
            client.args(["-ign_eof", flag(version)]).input("bye\n").output(PATIENCE).unwrap()
        });
        assert!(!text(&output).contains("BYE"), "{output}");
        // The name that RFC 8446 section 4.4.2.4 gives it; rustls has it for TLS 1.2 too, where RFC 5246 section 7.4.6
        // says handshake_failure.
        assert!(output.stderr.text().contains("certificate required"), "{output}");
        let error = served.remove(0).unwrap_err();
        assert!(matches!(TlsError::of(&error), Some(TlsError::CertificateMissing { .. })), "{error}");
    }
}

/// RFC 5077 section 3.1 and RFC 5246 section 7.3: by a ticket and by a session that was kept, five times each.
#[test]
fn rfc_5077_3_1_and_5246_7_3_five_reconnections_are_resumed() {
    let Some(openssl) = require("openssl") else { return };
    for tickets in [0, 1] {
        let signed = localhost();
        let files = Files::of(&signed);
        let server = server_of(&signed).tickets(tickets).sessions_kept(8 * (1 - tickets)).build().unwrap();
        let openssl = openssl.clone();
        let (output, served) = serve(server, move |address| {
            s_client(&openssl, &files, address)
                .args(["-reconnect", "-ign_eof", "-tls1_2"])
                .input("bye\n")
                .output(PATIENCE)
                .unwrap()
        });
        output.assert_success();
        assert_eq!(output.stdout.text().matches("Reused, TLSv1.2").count(), 5, "{output}");
        assert_eq!(served.len(), 6);
        assert_eq!(served.iter().filter(|served| served.as_ref().is_ok_and(|facts| facts.is_resumed)).count(), 5);
    }
}

/// RFC 8446 section 2.2: a ticket that was stored in a file by one process and used by another.
#[test]
fn rfc_8446_2_2_a_ticket_from_a_file_is_taken_up() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let files = Arc::new(Files::of(&signed));
    let server = server_of(&signed).build().unwrap();
    for (option, resumed) in [("-sess_out", false), ("-sess_in", true)] {
        let (openssl, files) = (openssl.clone(), files.clone());
        let (output, served) = serve(server.clone(), move |address| {
            let client = s_client(&openssl, &files, address).args(["-ign_eof", "-tls1_3"]);
            client.args([option, &files.arg("session")]).input("hello\nbye\n").output(PATIENCE).unwrap()
        });
        output.assert_success();
        assert_eq!(output.stdout.text().contains("Reused, TLSv1.3"), resumed, "{output}");
        assert_eq!(served[0].as_ref().unwrap().is_resumed, resumed);
    }
}

/// RFC 8446 section 4.6.3: the client changes its keys and asks for ours to be changed.
#[test]
fn rfc_8446_4_6_3_keys_are_changed_when_the_client_asks_for_it() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let files = Files::of(&signed);
    let (client, served) = serve(server_of(&signed).build().unwrap(), move |address| {
        let mut client = s_client(&openssl, &files, address).open_input().start().unwrap();
        let mut say = |text: &[u8], answer| {
            client.send(text).unwrap();
            client.wait_line(answer, PATIENCE).unwrap();
        };
        say(b"first line\n", "FIRST LINE");
        say(b"K\n", "KEYUPDATE");
        say(b"second line\n", "SECOND LINE");
        client.end_input();
        client.wait_exit(PATIENCE).unwrap()
    });
    assert!(client.success(), "{client}");
    served.into_iter().next().unwrap().unwrap();
}

/// RFC 8996 sections 4 and 5: older versions must not be negotiated.
/// The alert should be protocol_version (RFC 5246 appendix E.1); rustls misses an extension first, and says handshake_failure.
#[test]
fn rfc_8996_4_and_5_older_versions_are_refused() {
    let Some(openssl) = require("openssl") else { return };
    for old in ["-tls1", "-tls1_1"] {
        let signed = localhost();
        let files = Files::of(&signed);
        let openssl = openssl.clone();
        let (output, served) = serve(server_of(&signed).build().unwrap(), move |address| {
            s_client(&openssl, &files, address)
                .args([old, "-cipher", "ALL:@SECLEVEL=0"])
                .input("")
                .output(PATIENCE)
                .unwrap()
        });
        assert!(!output.end.success());
        assert!(output.stderr.text().contains("alert handshake failure"), "{output}");
        served.into_iter().next().unwrap().unwrap_err();
    }
}

/// RFC 8446 section 4.4.2.2: the certificate must be one whose signatures the client can check, so of two the one is shown.
#[test]
fn rfc_8446_4_4_2_2_a_client_gets_the_certificate_that_it_can_check() {
    let Some(openssl) = require("openssl") else { return };
    let signed = localhost();
    let files = Arc::new(Files::of(&signed));
    let rsa = Program::new(&openssl).args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]);
    let rsa = rsa.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", &files.arg("rsa.key")]);
    rsa.args(["-out", &files.arg("rsa.pem")]).output(PATIENCE).unwrap().assert_success();
    let second = Identity::from_pem_files(files.path("rsa.pem"), files.path("rsa.key")).unwrap();
    let server = server_of(&signed).identity(second).build().unwrap();
    for (algorithms, key) in [("ECDSA+SHA256", "256 bit"), ("RSA-PSS+SHA256", "2048 bit")] {
        let (openssl, files) = (openssl.clone(), files.clone());
        let (output, served) = serve(server.clone(), move |address| {
            let client = Program::new(&openssl).args(["s_client", "-connect", &address.to_string(), "-ign_eof"]);
            let client = client.args(["-sigalgs", algorithms, "-CAfile", &files.arg("ca.pem")]);
            client.input("bye\n").output(PATIENCE).unwrap()
        });
        assert!(output.stdout.text().contains(&format!("Server public key is {key}")), "{output}");
        served.into_iter().next().unwrap().unwrap();
    }
}

/// What OpenSSL writes, we read: each kind of key in each form, PKCS#8, PKCS#1 and SEC1.
#[test]
fn keys_that_openssl_made_are_served_and_encrypted_ones_told_apart() {
    let Some(openssl) = require("openssl") else { return };
    let dir = Arc::new(Files::of(&localhost()));
    let run = |args: &[&str]| {
        let output = Program::new(&openssl).args(args).output(PATIENCE).unwrap();
        output.assert_success();
    };
    let path = |name: &str| dir.arg(name);
    run(&["ecparam", "-genkey", "-name", "prime256v1", "-out", &path("sec1")]);
    run(&["genrsa", "-traditional", "-out", &path("pkcs1"), "2048"]);
    run(&["genpkey", "-algorithm", "ed25519", "-out", &path("ed25519")]);
    run(&["pkcs8", "-topk8", "-nocrypt", "-in", &path("pkcs1"), "-out", &path("pkcs8")]);
    for (key, label) in [
        ("sec1", "BEGIN EC PRIVATE KEY"),
        ("pkcs1", "BEGIN RSA PRIVATE KEY"),
        ("pkcs8", "BEGIN PRIVATE KEY"),
        ("ed25519", "BEGIN PRIVATE KEY"),
    ] {
        assert!(fs::read_to_string(path(key)).unwrap().contains(label));
        let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", &path("ca.pem")];
        run(&[&["req", "-x509", "-key", &path(key)][..], &subject].concat());
        let server = ServerConfig::from_pem_files(path("ca.pem"), path(key)).unwrap();
        let (openssl, files) = (openssl.clone(), dir.clone());
        let (output, served) = serve(server, move |address| {
            s_client(&openssl, &files, address).arg("-ign_eof").input("bye\n").output(PATIENCE).unwrap()
        });
        output.assert_success();
        served.into_iter().next().unwrap().unwrap();
    }
    run(&["pkcs8", "-topk8", "-in", &path("sec1"), "-passout", "pass:secret", "-out", &path("encrypted")]);
    run(&["rsa", "-in", &path("pkcs1"), "-traditional", "-aes128", "-passout", "pass:secret", "-out", &path("old")]);
    for encrypted in ["encrypted", "old"] {
        let error = Identity::from_pem_files(path("ca.pem"), path(encrypted)).unwrap_err();
        assert!(matches!(error, ConfigError::EncryptedKey { .. }), "{error}");
    }
    drop::<PathBuf>(openssl);
}
