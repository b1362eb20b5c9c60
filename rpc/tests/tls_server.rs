//! Servers over TLS: who begins no handshake holds up nobody, and certificates of clients decide what they may call.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::Read;
use std::time::Duration;

use grapeshot_core::test::{Log, Test};
use grapeshot_core::{now, spawn, with_timeout};
use grapeshot_net::TcpStream;
use grapeshot_rpc::{CallError, CallerExt, Client, Context, Failure, Router, Server, ServerHandle};
use grapeshot_tls::{ClientCertificates, ClientConfig, Limits, SelfSigned, ServerConfig};

/// In which each test is long over.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves, and says at which port.
fn serve(server: Server) -> (u16, ServerHandle) {
    let (port, handle) = (server.local_addr().unwrap().port(), server.handle());
    spawn(move || server.serve().unwrap());
    (port, handle)
}

fn connect(port: u16, config: &ClientConfig) -> std::io::Result<Client> {
    Client::connect_tls(&format!("localhost:{port}"), config)
}

/// Says who calls, as its certificate does, in bytes.
fn who() -> Router {
    Router::new().method_with_context("who", |context: &Context, ()| Ok(context.peer().certificate.clone()))
}

#[test]
fn who_never_begins_the_handshake_holds_up_nobody_and_is_left() {
    Test::new().real_time().run(|| {
        let own = SelfSigned::new(["localhost"]).unwrap();
        let limit = Duration::from_millis(500);
        let limits = Limits { handshake: limit, ..Limits::default() };
        let config = own.server_config().unwrap().with_limits(limits);
        let log = Log::new();
        let seen = log.clone();
        let server = Server::bind_tls("127.0.0.1:0", &config).unwrap().service(who());
        let (port, handle) = serve(server.log_ends(move |_, reason| seen.add(reason.to_string())));

        let began = now();
        let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        let client = connect(port, &own.client_config().unwrap()).unwrap();
        assert_eq!(client.call::<Option<Vec<u8>>>("who", &()).unwrap(), None);
        let served_after = now() - began;
        for mut stream in silent {
            let read = with_timeout(PATIENCE, || stream.read(&mut [0; 100]).unwrap_or(0));
            assert!(read.is_ok(), "it was kept");
        }
        let left_after = now() - began;
        assert!(left_after >= limit && served_after < left_after, "{served_after:?}, {left_after:?}");
        assert_eq!(client.call::<Option<Vec<u8>>>("who", &()).unwrap(), None);
        drop(client);
        handle.drain();
        handle.wait();
        let late = log.take().into_iter().filter(|reason| reason.contains("handshake")).count();
        assert_eq!(late, 20);
    });
}

#[test]
fn a_certificate_says_who_calls_and_authorisation_goes_by_it() {
    Test::new().real_time().run(|| {
        let own = SelfSigned::new(["localhost"]).unwrap();
        let (known, unknown) = (own.issue(["known"]).unwrap(), own.issue(["unknown"]).unwrap());
        let known_certificate = known.identity().unwrap().chain()[0].to_vec();
        let config = ServerConfig::builder()
            .identity(own.identity().unwrap())
            .client_certificates(ClientCertificates::required(own.roots().unwrap()))
            .build()
            .unwrap();
        let expected = known_certificate.clone();
        let authorize = move |context: &Context, method: &str| match context.peer().certificate.as_ref() {
            Some(certificate) if *certificate == expected => Ok(()),
            _ => Err(Failure::new(Failure::FORBIDDEN, format!("{method} is not for everybody"))),
        };
        let server = Server::bind_tls("127.0.0.1:0", &config).unwrap().service(who()).authorize(authorize);
        let (port, handle) = serve(server);

        let with = |identity: &SelfSigned| {
            let config = ClientConfig::builder().roots(own.roots().unwrap());
            config.identity(identity.identity().unwrap()).build().unwrap()
        };
        let client = connect(port, &with(&known)).unwrap();
        assert_eq!(client.call::<Option<Vec<u8>>>("who", &()).unwrap(), Some(known_certificate));
        let other = connect(port, &with(&unknown)).unwrap();
        let error = other.call::<Option<Vec<u8>>>("who", &()).unwrap_err();
        assert!(matches!(&error, CallError::Failed(failure) if failure.code == Failure::FORBIDDEN), "{error}");
        drop((client, other));

        // Of another authority, and without any certificate: neither gets as far as a call.
        let stranger = SelfSigned::new(["known"]).unwrap();
        for config in [with(&stranger), own.client_config().unwrap()] {
            assert!(connect(port, &config).is_err());
        }
        handle.drain();
        handle.wait();
    });
}
