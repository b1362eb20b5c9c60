//! GnuTLS's client at our server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peers;

use std::net::SocketAddr;
use std::path::Path;

use grapeshot_harness::{Captured, Program, require_from};
use grapeshot_tls::rustls::AlertDescription;
use grapeshot_tls::{ClientCertificates, TlsError, Version};

use peers::{Files, PATIENCE, VERSIONS, localhost, serve, server_of};

/// `gnutls-cli` that believes our authority and nobody else.
fn gnutls_cli(program: &Path, files: &Files, address: SocketAddr, version: Version) -> Program {
    let version = match version {
        Version::Tls12 => "NORMAL:-VERS-ALL:+VERS-TLS1.2",
        Version::Tls13 => "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    };
    let client = Program::new(program).args(["--port", &address.port().to_string(), "--priority", version]);
    let client = client.args(["--sni-hostname=localhost", "--verify-hostname=localhost"]);
    client.args(["--x509cafile", &files.arg("ca.pem")])
}

/// Says two lines, waits for each to come back in capitals, and ends with close_notify.
fn converse(program: Program) -> Captured {
    let mut client = program.arg("127.0.0.1").open_input().start().unwrap();
    for (said, heard) in [("round shot\n", "ROUND SHOT"), ("grape shot\n", "GRAPE SHOT")] {
        client.send(said.as_bytes()).unwrap();
        client.wait_line(heard, PATIENCE).unwrap();
    }
    client.end_input();
    let status = client.wait_exit(PATIENCE).unwrap();
    assert!(status.success(), "{status}: {}", client.stderr().text());
    client.stdout()
}

/// RFC 8446 section 6.1, RFC 5246 section 7.2.1, RFC 6066 section 3, RFC 7301 section 3: a whole connection.
#[test]
fn rfc_8446_6_1_and_5246_7_2_1_and_7301_3_a_connection_from_hello_to_close_notify() {
    let Some(program) = require_from("gnutls-cli", "gnutls-bin") else { return };
    for (version, spoken) in VERSIONS {
        let (signed, program) = (localhost(), program.clone());
        let files = Files::of(&signed);
        let (output, served) = serve(server_of(&signed).alpn(["h2", "http/1.1"]).build().unwrap(), move |address| {
            converse(gnutls_cli(&program, &files, address, version).args(["--alpn", "http/1.1", "--alpn", "h2"]))
        });
        let text = output.text();
        assert!(text.contains("The certificate is trusted."), "{text}");
        assert!(text.contains("Application protocol: h2"), "{text}");
        let facts = served[0].as_ref().unwrap();
        assert_eq!((facts.version, facts.name.as_deref()), (Some(spoken), Some("localhost")));
    }
}

/// RFC 8446 section 2.2, RFC 5077 section 3.1: its second connection takes up the first.
#[test]
fn rfc_8446_2_2_and_5077_3_1_its_second_connection_is_resumed() {
    let Some(program) = require_from("gnutls-cli", "gnutls-bin") else { return };
    for (version, _) in VERSIONS {
        let (signed, program) = (localhost(), program.clone());
        let files = Files::of(&signed);
        let (output, served) = serve(server_of(&signed).build().unwrap(), move |address| {
            converse(gnutls_cli(&program, &files, address, version).args(["--resume", "--waitresumption"]))
        });
        assert!(output.text().contains("This is a resumed session"), "{}", output.text());
        let resumed: Vec<bool> = served.iter().flatten().map(|facts| facts.is_resumed).collect();
        assert!(resumed.contains(&true), "{served:?}");
    }
}

/// RFC 8446 section 4.4.2, RFC 5246 section 7.4.6.
#[test]
fn rfc_8446_4_4_2_its_certificate_is_seen() {
    let Some(program) = require_from("gnutls-cli", "gnutls-bin") else { return };
    for (version, _) in VERSIONS {
        let (signed, program) = (localhost(), program.clone());
        let me = signed.issue(["me"]).unwrap();
        let (files, mine) = (Files::of(&signed), Files::of(&me));
        let clients = ClientCertificates::required(signed.roots().unwrap());
        let (_, served) = serve(server_of(&signed).client_certificates(clients).build().unwrap(), move |address| {
            let client = gnutls_cli(&program, &files, address, version);
            let client = client.args(["--x509certfile", &mine.arg("chain.pem")]);
            converse(client.args(["--x509keyfile", &mine.arg("key.pem")]))
        });
        assert_eq!([served[0].as_ref().unwrap().shown.clone().unwrap()], me.identity().unwrap().chain());
    }
}

/// RFC 8446 section 6.2: it does not believe us, and says so.
#[test]
fn rfc_8446_6_2_a_client_that_refuses_us_says_why() {
    let Some(program) = require_from("gnutls-cli", "gnutls-bin") else { return };
    let (signed, stranger) = (localhost(), localhost());
    let files = Files::of(&stranger);
    let (output, mut served) = serve(server_of(&signed).build().unwrap(), move |address| {
        let client = gnutls_cli(&program, &files, address, Version::Tls12).arg("127.0.0.1").input("");
        client.output(PATIENCE).unwrap()
    });
    assert!(!output.end.success());
    let error = served.remove(0).unwrap_err();
    let said = TlsError::of(&error);
    assert!(
        matches!(
            said,
            Some(TlsError::AlertReceived { alert: AlertDescription::BadCertificate | AlertDescription::UnknownCA, .. })
        ),
        "{error}"
    );
}
