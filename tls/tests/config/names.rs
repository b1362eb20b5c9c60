//! RFC 6066 section 3: which certificate is shown for which name.

use std::io::ErrorKind;

use grapeshot_core::test;
use grapeshot_net::memory;
use grapeshot_tls::rustls::AlertDescription;
use grapeshot_tls::rustls::pki_types::CertificateDer;
use grapeshot_tls::{ClientConfig, ConfigError, Identity, SelfSigned, ServerConfig, TlsError, TlsStream};

use crate::ends::{meet, shown};

/// A few identities by one authority, and a client that asks for all names.
struct World {
    exact: Identity,
    wildcard: Identity,
    fallback: Identity,
    client: ClientConfig,
}

impl World {
    fn new() -> World {
        let fallback = SelfSigned::new(["example.org", "192.0.2.1"]).unwrap();
        let of = |name: &str| fallback.issue([name]).unwrap().identity().unwrap();
        World {
            exact: of("www.example.org"),
            wildcard: of("*.example.org"),
            client: ClientConfig::builder().danger_accept_any_certificate().build().unwrap(),
            fallback: fallback.identity().unwrap(),
        }
    }

    fn end(identity: &Identity) -> CertificateDer<'static> {
        identity.chain()[0].clone()
    }

    fn asked(&self, server: &ServerConfig, name: &str) -> CertificateDer<'static> {
        shown(&meet(&self.client, name, server).well().0)
    }
}

#[test]
fn rfc_6066_3_the_name_goes_before_the_wildcard_and_that_before_the_default() {
    test::run(|| {
        let world = World::new();
        let server = ServerConfig::builder()
            .identity(world.fallback.clone())
            .identity_for(["*.example.org"], world.wildcard.clone())
            .identity_for(["www.example.org"], world.exact.clone())
            .build()
            .unwrap();
        assert_eq!(world.asked(&server, "www.example.org"), World::end(&world.exact));
        // RFC 6066 section 3: names are compared without regard to case.
        assert_eq!(world.asked(&server, "WWW.Example.ORG"), World::end(&world.exact));
        assert_eq!(world.asked(&server, "ftp.example.org"), World::end(&world.wildcard));
        assert_eq!(world.asked(&server, "example.net"), World::end(&world.fallback));
    });
}

/// RFC 9525 section 6.3: the wildcard is the whole leftmost label, and matches one label.
#[test]
fn rfc_9525_6_3_a_wildcard_stands_for_one_label() {
    test::run(|| {
        let world = World::new();
        let server = ServerConfig::builder()
            .identity(world.fallback.clone())
            .identity_for(["*.example.org"], world.wildcard.clone())
            .build()
            .unwrap();
        assert_eq!(world.asked(&server, "a.example.org"), World::end(&world.wildcard));
        assert_eq!(world.asked(&server, "example.org"), World::end(&world.fallback));
        assert_eq!(world.asked(&server, "a.b.example.org"), World::end(&world.fallback));
    });
}

/// RFC 6066 section 3: literal addresses are not permitted in a server name.
#[test]
fn rfc_6066_3_an_address_is_not_asked_for_and_gets_the_default() {
    test::run(|| {
        let world = World::new();
        let server = ServerConfig::builder()
            .identity_for(["*.example.org"], world.wildcard.clone())
            .identity(world.fallback.clone())
            .build()
            .unwrap();
        let (client, served) = meet(&world.client, "192.0.2.1", &server).well();
        assert_eq!(shown(&client), World::end(&world.fallback));
        assert_eq!(served.server_name(), None);
    });
}

/// RFC 6066 section 3: a server that knows no such name may end the handshake with a fatal alert.
/// It should be unrecognized_name; rustls has access_denied for it.
#[test]
fn rfc_6066_3_without_a_default_an_unknown_name_is_refused() {
    test::run(|| {
        let world = World::new();
        let server = ServerConfig::builder().identity_for(["www.example.org"], world.exact.clone()).build().unwrap();
        assert_eq!(world.asked(&server, "www.example.org"), World::end(&world.exact));
        for name in ["example.net", "192.0.2.1"] {
            let error = meet(&world.client, name, &server).refused_by_client();
            assert!(
                matches!(error, TlsError::AlertReceived { alert: AlertDescription::AccessDenied, .. }),
                "{name}: {error}"
            );
        }
    });
}

#[test]
fn a_certificate_must_hold_for_the_names_it_is_to_be_shown_for() {
    let world = World::new();
    for name in ["example.net", "*.example.net", "a.b.example.org", "example.org"] {
        let error = ServerConfig::builder().identity_for([name], world.wildcard.clone()).build().unwrap_err();
        assert!(matches!(&error, ConfigError::NotForName { name: refused, .. } if refused == name), "{error}");
    }
    // One that holds for a single name is no wildcard's.
    let error = ServerConfig::builder().identity_for(["*.example.org"], world.exact.clone()).build().unwrap_err();
    assert_eq!(error.to_string(), "the certificate at line 1 does not hold for the name *.example.org");
}

#[test]
fn what_is_no_name_is_refused() {
    let world = World::new();
    for name in ["", "*", "*.", "a b.example.org", "www.*.org", "bücher.example"] {
        let error = ServerConfig::builder().identity_for([name], world.exact.clone()).build().unwrap_err();
        assert!(matches!(&error, ConfigError::ServerName { .. }), "{name}: {error}");
    }
}

#[test]
fn an_identity_for_no_name_does_not_become_the_default() {
    let world = World::new();
    let error = ServerConfig::builder().identity_for([""; 0], world.exact).build().unwrap_err();
    assert!(matches!(error, ConfigError::NoIdentity), "{error}");
}

#[test]
fn a_client_may_write_a_name_as_a_person_does() {
    test::run(|| {
        let signed = SelfSigned::new(["::1"]).unwrap();
        let (server, client) = (signed.server_config().unwrap(), signed.client_config().unwrap());
        meet(&client, "[::1]", &server).well();
        for (name, hint) in
            [("ünï.de", true), ("[localhost]", false), ("[127.0.0.1]", false), ("", false), ("[", false)]
        {
            let error = TlsStream::client(memory::pair().0, &client, name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
            assert_eq!(error.to_string().contains("xn--"), hint, "{error}");
        }
    });
}
