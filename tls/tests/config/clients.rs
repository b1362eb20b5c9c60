//! Clients with certificates: RFC 8446 sections 4.3.2 and 4.4.2, RFC 5246 sections 7.4.4 and 7.4.6.

use grapeshot_core::test;
use grapeshot_tls::rustls::CertificateError;
use grapeshot_tls::{ClientCertificates, ClientConfig, SelfSigned, ServerConfig, TlsError, Version};

use crate::ends::{Authority, meet, numbered, shown};

const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

/// A server of one authority and its clients' other one.
struct World {
    server: SelfSigned,
    staff: Authority,
}

impl World {
    fn new() -> World {
        World { server: SelfSigned::new(["localhost"]).unwrap(), staff: Authority::new() }
    }

    fn serving(&self, clients: ClientCertificates, version: Version) -> ServerConfig {
        let builder = ServerConfig::builder().identity(self.server.identity().unwrap()).client_certificates(clients);
        builder.oldest_version(version).newest_version(version).build().unwrap()
    }

    fn client(&self) -> grapeshot_tls::ClientBuilder {
        ClientConfig::builder().roots(self.server.roots().unwrap())
    }
}

#[test]
fn a_client_of_the_authority_is_let_in_and_known() {
    test::run(|| {
        for version in VERSIONS {
            let world = World::new();
            let me = world.staff.issue("me", |_| ());
            let server = world.serving(ClientCertificates::required(world.staff.roots()), version);
            let client = world.client().identity(me.clone()).build().unwrap();
            let (_, served) = meet(&client, "localhost", &server).well();
            assert_eq!([shown(&served)], me.chain());
        }
    });
}

#[test]
fn rfc_8446_4_4_2_4_a_client_without_certificate_is_refused_where_one_is_required() {
    test::run(|| {
        for version in VERSIONS {
            let world = World::new();
            let server = world.serving(ClientCertificates::required(world.staff.roots()), version);
            let error = meet(&world.client().build().unwrap(), "localhost", &server).refused_by_server();
            assert!(matches!(error, TlsError::CertificateMissing { .. }), "{error}");
        }
    });
}

#[test]
fn a_client_without_certificate_is_let_in_where_one_is_optional() {
    test::run(|| {
        for version in VERSIONS {
            let world = World::new();
            let server = world.serving(ClientCertificates::optional(world.staff.roots()), version);
            let (_, served) = meet(&world.client().build().unwrap(), "localhost", &server).well();
            assert_eq!(served.peer_certificates(), None);
        }
    });
}

/// Optional or not, what is shown must be good.
#[test]
fn a_client_of_another_authority_is_refused() {
    test::run(|| {
        let world = World::new();
        let stranger = world.client().identity(Authority::new().issue("me", |_| ())).build().unwrap();
        for clients in [ClientCertificates::required, ClientCertificates::optional] {
            let server = world.serving(clients(world.staff.roots()), Version::Tls13);
            let error = meet(&stranger, "localhost", &server).refused_by_server();
            assert!(matches!(error, TlsError::CertificateRefused { .. }), "{error}");
        }
    });
}

#[test]
fn rfc_5280_5_a_client_whose_certificate_was_taken_back_is_refused() {
    test::run(|| {
        let world = World::new();
        let clients = ClientCertificates::required(world.staff.roots());
        let clients = clients.revocation_lists(world.staff.revocation_list(&[3]));
        let server = world.serving(clients, Version::Tls13);
        let with = |number| world.client().identity(world.staff.issue("me", numbered(number))).build().unwrap();
        meet(&with(4), "localhost", &server).well();
        let error = meet(&with(3), "localhost", &server).refused_by_server();
        let TlsError::CertificateRefused { reason, .. } = &error else { panic!("{error}") };
        assert_eq!(reason, &CertificateError::Revoked);
    });
}
