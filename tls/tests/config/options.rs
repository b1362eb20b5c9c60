//! Versions, application protocols, and configurations of rustls's own.

use std::sync::Arc;

use grapeshot_core::test;
use grapeshot_tls::rustls::ProtocolVersion;
use grapeshot_tls::{ClientConfig, ConfigError, Lacking, SelfSigned, ServerConfig, TlsError, Version, rustls};

use crate::ends::{localhost, meet};

fn with_alpn(server: &[&str], client: &[&str]) -> (ServerConfig, ClientConfig) {
    let (served, believing) = localhost();
    (served.with_alpn(server).unwrap(), believing.with_alpn(client).unwrap())
}

/// RFC 7301 section 3.2: the server takes what it prefers among what the client offers.
#[test]
fn rfc_7301_3_2_the_servers_preference_decides() {
    test::run(|| {
        let (server, client) = with_alpn(&["h2", "http/1.1"], &["http/1.1", "h2", "spdy/3"]);
        let (near, far) = meet(&client, "localhost", &server).well();
        assert_eq!(near.alpn_protocol().as_deref(), Some(&b"h2"[..]));
        assert_eq!(far.alpn_protocol().as_deref(), Some(&b"h2"[..]));
    });
}

/// RFC 7301 section 3.2: with no protocol in common the server ends it with no_application_protocol.
#[test]
fn rfc_7301_3_2_nothing_in_common_is_an_error() {
    test::run(|| {
        let (server, client) = with_alpn(&["h2"], &["http/1.1"]);
        let error = meet(&client, "localhost", &server).refused_by_server();
        assert!(matches!(error, TlsError::NothingInCommon { lacking: Lacking::ApplicationProtocol, .. }), "{error}");
    });
}

/// RFC 7301 section 3.1: who says nothing of protocols gets none.
#[test]
fn rfc_7301_3_1_a_client_that_offers_nothing_gets_nothing() {
    test::run(|| {
        let (server, client) = with_alpn(&["h2"], &[]);
        assert_eq!(meet(&client, "localhost", &server).well().0.alpn_protocol(), None);
    });
}

#[test]
fn rfc_8446_4_2_1_the_newest_version_of_both_is_spoken() {
    test::run(|| {
        let signed = SelfSigned::new(["localhost"]).unwrap();
        let versions = [Version::Tls12, Version::Tls13];
        for (newest, spoken) in versions.into_iter().zip([ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3]) {
            let client = ClientConfig::builder().roots(signed.roots().unwrap()).newest_version(newest).build().unwrap();
            let (near, _) = meet(&client, "localhost", &signed.server_config().unwrap()).well();
            assert_eq!(near.protocol_version(), Some(spoken));
        }
    });
}

#[test]
fn rfc_8446_4_2_1_without_a_common_version_the_handshake_fails() {
    test::run(|| {
        let signed = SelfSigned::new(["localhost"]).unwrap();
        let server = ServerConfig::builder().identity(signed.identity().unwrap());
        let server = server.oldest_version(Version::Tls13).build().unwrap();
        let client = ClientConfig::builder().roots(signed.roots().unwrap()).newest_version(Version::Tls12);
        let error = meet(&client.build().unwrap(), "localhost", &server).refused_by_server();
        assert!(matches!(error, TlsError::NothingInCommon { lacking: Lacking::Version, .. }), "{error}");
    });
}

#[test]
fn an_empty_range_of_versions_is_refused() {
    let signed = SelfSigned::new(["localhost"]).unwrap();
    let client = ClientConfig::builder().roots(signed.roots().unwrap());
    let error = client.oldest_version(Version::Tls13).newest_version(Version::Tls12).build().unwrap_err();
    assert!(matches!(error, ConfigError::NoVersion));
}

/// One configuration serves all threads of a program.
#[test]
fn configurations_go_from_thread_to_thread() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<ServerConfig>();
    shared::<ClientConfig>();
    let (server, client) = localhost();
    let elsewhere = std::thread::spawn(move || {
        test::run(move || meet(&client, "localhost", &server).well().1.server_name());
    });
    elsewhere.join().unwrap();
}

#[test]
fn configurations_of_rustls_can_be_handed_in_and_had() {
    test::run(|| {
        let (server, client) = localhost();
        let mut inner = rustls::ServerConfig::clone(server.rustls());
        inner.alpn_protocols = vec![b"mine".to_vec()];
        let server = ServerConfig::from(Arc::new(inner));
        let mut inner = rustls::ClientConfig::clone(client.rustls());
        inner.alpn_protocols = vec![b"mine".to_vec()];
        let client = ClientConfig::from(inner);
        let (near, _) = meet(&client, "localhost", &server).well();
        assert_eq!(near.alpn_protocol().as_deref(), Some(&b"mine"[..]));
    });
}
