//! A resolver whose servers prove who they are (RFC 7858, RFC 8310).
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use grapeshot_core::test;
use grapeshot_dns::proto::RecordType;
use grapeshot_dns::transport::{StreamOptions, Tls};
use grapeshot_dns::{Config, LookupErrorKind, NameServer, Resolver, ResolverBuilder};
use grapeshot_tls::SelfSigned;

use self::support::{Act, PrivateServer, Via};

const NAME: &str = "dns.example.org";

/// A server that shows a certificate for `NAME`, and a resolver that trusts it and expects `name` of it.
fn pair(name: &str) -> (Resolver, PrivateServer) {
    let own = SelfSigned::new([NAME]).unwrap();
    let server =
        PrivateServer::start_tls(own.server_config().unwrap(), |asked| vec![Act::Send(asked.address([192, 0, 2, 1]))]);
    let config = Config { servers: vec![NameServer::over_tls(server.address, name)], ..Config::default() };
    let tls = Tls::new(own.client_config().unwrap(), StreamOptions::default());
    (ResolverBuilder::with_config(config).tls(tls).build(), server)
}

#[test]
fn rfc_7858_section_3_1_a_server_with_a_name_is_asked_over_tls_alone() {
    test::run(|| {
        let (resolver, server) = pair(NAME);
        for name in ["a.example", "b.example"] {
            let found = resolver.lookup(name, RecordType::A).unwrap();
            assert_eq!(found.addresses().next().unwrap().to_string(), "192.0.2.1");
        }
        assert!(server.asked().iter().all(|asked| asked.via == Via::Tls));
        assert_eq!(server.accepted(), 1, "RFC 7858, section 3.4: the connection is used again");
        let stats = resolver.stats();
        assert_eq!((stats.tls.replies, stats.udp.queries, stats.tcp.queries), (2, 0, 0));
    });
}

#[test]
fn rfc_8310_section_8_1_a_server_that_cannot_prove_its_name_is_told_no_question_and_not_asked_again() {
    test::run(|| {
        let (resolver, server) = pair("other.example.org");
        let error = resolver.lookup("a.example", RecordType::A).unwrap_err();
        assert!(matches!(error.kind(), LookupErrorKind::Unreachable), "{error}");
        assert_eq!(error.asked().len(), 1, "{error}");
        assert!(error.to_string().contains("other.example.org"), "{error}");
        assert!(server.asked().is_empty());
    });
}
