//! Whom a client believes: roots, pins, and everybody.

use std::env;
use std::time::{Duration, SystemTime};

use grapeshot_core::test;
use grapeshot_harness::Program;
use grapeshot_tls::rustls::CertificateError;
use grapeshot_tls::{ClientConfig, ConfigError, Identity, Pin, Roots, SelfSigned, ServerConfig, TlsError};

use crate::ends::{Authority, localhost, meet, numbered};

const DAY: Duration = Duration::from_secs(86_400);

fn serving(identity: Identity) -> ServerConfig {
    ServerConfig::builder().identity(identity).build().unwrap()
}

fn trusting(roots: Roots) -> ClientConfig {
    ClientConfig::builder().roots(roots).build().unwrap()
}

fn reason(error: &TlsError) -> &CertificateError {
    match error {
        TlsError::CertificateRefused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn rfc_5280_6_1_a_stranger_is_refused_and_one_of_the_authority_is_not() {
    test::run(|| {
        let (server, client) = localhost();
        meet(&client, "localhost", &server).well();
        let (_, stranger) = localhost();
        let error = meet(&stranger, "localhost", &server).refused_by_client();
        assert!(error.to_string().contains("no trusted authority issued it"), "{error}");
        assert_eq!(reason(&error), &CertificateError::UnknownIssuer);
    });
}

#[test]
fn a_private_authority_is_believed_beside_others() {
    test::run(|| {
        let (one, other) = (Authority::new(), SelfSigned::new(["localhost"]).unwrap());
        let both = trusting(other.roots().unwrap().and(one.roots()));
        meet(&both, "localhost", &serving(one.issue("localhost", |_| ()))).well();
        meet(&both, "localhost", &other.server_config().unwrap()).well();
        let error = meet(&trusting(one.roots()), "localhost", &other.server_config().unwrap()).refused_by_client();
        assert_eq!(reason(&error), &CertificateError::UnknownIssuer);
    });
}

#[test]
fn rfc_9525_6_the_certificate_must_be_for_the_name() {
    test::run(|| {
        let signed = SelfSigned::new(["*.example.org", "::1"]).unwrap();
        let (server, client) = (signed.server_config().unwrap(), signed.client_config().unwrap());
        for name in ["www.example.org", "::1"] {
            meet(&client, name, &server).well();
        }
        for name in ["example.org", "a.b.example.org", "example.net", "::2", "127.0.0.1"] {
            let error = meet(&client, name, &server).refused_by_client();
            assert!(matches!(reason(&error), CertificateError::NotValidForNameContext { .. }), "{name}: {error}");
            let text = format!("is refused: it does not hold for {name}, only for *.example.org, ::1");
            assert!(error.to_string().ends_with(&text), "{error}");
        }
    });
}

#[test]
fn rfc_5280_4_1_2_5_a_certificate_holds_from_its_first_day_to_its_last() {
    test::run(|| {
        let (authority, now) = (Authority::new(), SystemTime::now());
        let client = trusting(authority.roots());
        let expired = authority.issue("localhost", |params| params.not_after = (now - DAY).into());
        let error = meet(&client, "localhost", &serving(expired)).refused_by_client();
        assert!(error.to_string().ends_with(" UTC, 24 hours ago"), "{error}");
        assert!(matches!(reason(&error), CertificateError::ExpiredContext { .. }), "{error}");
        let early = authority.issue("localhost", |params| params.not_before = (now + DAY).into());
        let error = meet(&client, "localhost", &serving(early)).refused_by_client();
        assert!(matches!(reason(&error), CertificateError::NotValidYetContext { .. }), "{error}");
    });
}

#[test]
fn rfc_5280_5_what_was_taken_back_is_refused() {
    test::run(|| {
        let authority = Authority::new();
        let builder = ClientConfig::builder().roots(authority.roots());
        let client = builder.revocation_lists(authority.revocation_list(&[7])).build().unwrap();
        meet(&client, "localhost", &serving(authority.issue("localhost", numbered(8)))).well();
        let error = meet(&client, "localhost", &serving(authority.issue("localhost", numbered(7)))).refused_by_client();
        assert_eq!(reason(&error), &CertificateError::Revoked);
    });
}

fn pin_of(server: &SelfSigned) -> Pin {
    Pin::of(&server.identity().unwrap().chain()[0]).unwrap()
}

/// RFC 7858 section 4.2: the key is what is known, so the authority, name and dates do not matter.
#[test]
fn rfc_7858_4_2_a_pinned_key_is_believed_without_roots() {
    test::run(|| {
        let (known, other) = (SelfSigned::new(["localhost"]).unwrap(), SelfSigned::new(["localhost"]).unwrap());
        let client = ClientConfig::builder().pins_instead_of_roots([pin_of(&known)]).build().unwrap();
        meet(&client, "any.name", &known.server_config().unwrap()).well();
        let error = meet(&client, "localhost", &other.server_config().unwrap()).refused_by_client();
        assert!(error.to_string().contains(&format!("the server's key is {}", pin_of(&other))), "{error}");
    });
}

#[test]
fn a_pin_beside_roots_needs_both() {
    test::run(|| {
        let known = SelfSigned::new(["localhost"]).unwrap();
        let builder = ClientConfig::builder().roots(known.roots().unwrap());
        let client = builder.clone().pins([pin_of(&known)]).build().unwrap();
        meet(&client, "localhost", &known.server_config().unwrap()).well();
        let error = meet(&client, "any.name", &known.server_config().unwrap()).refused_by_client();
        assert!(matches!(reason(&error), CertificateError::NotValidForNameContext { .. }), "{error}");
        // Another key by the same authority, for the same name.
        let renewed = known.issue(["localhost"]).unwrap();
        let error = meet(&client, "localhost", &renewed.server_config().unwrap()).refused_by_client();
        assert!(matches!(reason(&error), CertificateError::Other(_)), "{error}");
        // No pin at all is no leave for everybody.
        let nobody = builder.pins([]).build().unwrap();
        meet(&nobody, "localhost", &known.server_config().unwrap()).refused_by_client();
    });
}

/// A server that shows a certificate without having its key, here by a chain that holds the pinned one further up.
#[test]
fn a_pinned_certificate_further_up_in_the_chain_does_not_count() {
    test::run(|| {
        let (known, liar) = (SelfSigned::new(["localhost"]).unwrap(), SelfSigned::new(["localhost"]).unwrap());
        let chain = format!("{}{}", liar.chain_pem(), known.chain_pem());
        let server = serving(Identity::from_pem(chain, liar.key_pem()).unwrap());
        let client = ClientConfig::builder().pins_instead_of_roots([pin_of(&known)]).build().unwrap();
        meet(&client, "localhost", &server).refused_by_client();
    });
}

#[test]
fn everybody_is_believed_only_when_that_was_asked_for_by_its_name() {
    test::run(|| {
        let expired = Authority::new().issue("somebody", |params| params.not_after = (SystemTime::now() - DAY).into());
        let client = ClientConfig::builder().danger_accept_any_certificate().build().unwrap();
        meet(&client, "localhost", &serving(expired)).well();
    });
}

#[test]
fn a_malformed_root_is_found_by_its_line() {
    let good = SelfSigned::new(["localhost"]).unwrap().authority_pem();
    assert_eq!(Roots::from_pem(&good).unwrap().len(), 1);
    let bad = format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let error = Roots::from_pem(bad).unwrap_err();
    let line = good.lines().count() + 1;
    assert!(error.to_string().starts_with(&format!("the certificate at line {line} is malformed: ")), "{error}");
    assert!(matches!(Roots::from_pem("nothing"), Err(ConfigError::Missing { what: "certificate", .. })));
}

/// The crate's promise that the default refuses: a self-signed certificate is nobody's that the system knows.
#[test]
fn the_default_believes_the_system_and_no_one_else() {
    test::run(|| match ClientConfig::new() {
        Ok(client) => {
            let (server, _) = localhost();
            let error = meet(&client, "localhost", &server).refused_by_client();
            assert_eq!(reason(&error), &CertificateError::UnknownIssuer);
        }
        // A machine without roots.
        Err(ConfigError::NoRoots { looked_at, .. }) => assert!(!looked_at.is_empty()),
        Err(error) => panic!("{error}"),
    });
}

/// What the system says is asked for in a process of its own, where the system is told to have nothing.
#[test]
fn a_system_without_roots_is_told_with_the_places_that_were_looked_at() {
    const NOWHERE: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("SSL_CERT_DIR", "/nowhere/certs")];
    if NOWHERE.iter().all(|(name, value)| env::var_os(name).is_some_and(|set| set == *value)) {
        let error = ClientConfig::new().unwrap_err().to_string();
        assert!(
            error.starts_with("there are no root certificates in /nowhere/ca.pem, /nowhere/certs (")
                && error.contains("No such file"),
            "{error}"
        );
        return;
    }
    let test = "trust::a_system_without_roots_is_told_with_the_places_that_were_looked_at";
    let again = Program::new(env::current_exe().unwrap()).args(["--exact", test]);
    let again = NOWHERE.iter().fold(again, |again, (name, value)| again.env(name, value));
    let output = again.output(Duration::from_secs(60)).unwrap();
    assert!(output.assert_success().stdout.text().contains("1 passed"), "{output}");
}

#[test]
fn mozillas_roots_are_many() {
    assert!(Roots::bundled().len() > 50);
}
