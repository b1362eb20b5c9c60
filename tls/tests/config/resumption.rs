//! Sessions that are taken up again: RFC 8446 section 2.2, RFC 5077, RFC 5246 section 7.3.

use grapeshot_core::test;
use grapeshot_tls::{ClientConfig, SelfSigned, ServerBuilder, ServerConfig, Version};

use crate::ends::meet;

fn configs(version: Version, change: fn(ServerBuilder) -> ServerBuilder) -> (ServerConfig, ClientConfig) {
    let signed = SelfSigned::new(["localhost", "other.host"]).unwrap();
    let builder = ServerConfig::builder().identity(signed.identity().unwrap());
    let server = change(builder.oldest_version(version).newest_version(version)).build().unwrap();
    (server, signed.client_config().unwrap())
}

/// Whether each of three connections is a resumed one, as both ends say.
fn resumed(server: &ServerConfig, client: &ClientConfig) -> [bool; 3] {
    [(); 3].map(|()| {
        let (near, far) = meet(client, "localhost", server).well();
        assert_eq!(near.is_resumed(), far.is_resumed());
        near.is_resumed()
    })
}

#[test]
fn rfc_8446_2_2_a_ticket_is_taken_up_again() {
    test::run(|| {
        // Without a session kept, it is the ticket that does it.
        let (server, client) = configs(Version::Tls13, |builder| builder.sessions_kept(0));
        assert_eq!(resumed(&server, &client), [false, true, true]);
    });
}

#[test]
fn rfc_5077_3_1_a_ticket_is_taken_up_again_in_tls_1_2() {
    test::run(|| {
        let (server, client) = configs(Version::Tls12, |builder| builder.sessions_kept(0));
        assert_eq!(resumed(&server, &client), [false, true, true]);
    });
}

#[test]
fn rfc_5246_7_3_a_session_that_was_kept_is_taken_up_again_without_tickets() {
    test::run(|| {
        let (server, client) = configs(Version::Tls12, |builder| builder.tickets(0));
        assert_eq!(resumed(&server, &client), [false, true, true]);
    });
}

#[test]
fn without_tickets_and_sessions_nothing_is_taken_up_again() {
    test::run(|| {
        for version in [Version::Tls12, Version::Tls13] {
            let (server, client) = configs(version, |builder| builder.tickets(0).sessions_kept(0));
            assert_eq!(resumed(&server, &client), [false; 3]);
        }
    });
}

#[test]
fn a_client_that_remembers_nobody_resumes_nothing() {
    test::run(|| {
        let signed = SelfSigned::new(["localhost"]).unwrap();
        let client = ClientConfig::builder().roots(signed.roots().unwrap()).servers_remembered(0).build().unwrap();
        assert_eq!(resumed(&signed.server_config().unwrap(), &client), [false; 3]);
    });
}

/// RFC 8446 section 4.6.1: a ticket is for the name it was given under.
#[test]
fn rfc_8446_4_6_1_another_name_is_another_session() {
    test::run(|| {
        let (server, client) = configs(Version::Tls13, |builder| builder);
        assert_eq!(resumed(&server, &client), [false, true, true]);
        assert!(!meet(&client, "other.host", &server).well().0.is_resumed());
    });
}

/// The number of sessions that are kept is a bound: the oldest goes.
#[test]
fn the_oldest_session_goes_when_there_is_no_room() {
    test::run(|| {
        let (server, first) = configs(Version::Tls12, |builder| builder.tickets(0).sessions_kept(4));
        let others = ClientConfig::builder().danger_accept_any_certificate().servers_remembered(0).build().unwrap();
        assert!(!meet(&first, "localhost", &server).well().0.is_resumed());
        for _ in 0..8 {
            meet(&others, "localhost", &server).well();
        }
        assert!(!meet(&first, "localhost", &server).well().0.is_resumed());
    });
}
