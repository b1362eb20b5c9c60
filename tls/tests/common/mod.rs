//! Both ends of a connection, with a certificate made on the spot.

// Each test program uses what it needs.
#![allow(dead_code)]

use std::sync::LazyLock;

use grapeshot_tls::{Carrier, ClientConfig, SelfSigned, ServerConfig, TlsStream};

/// The name that the server's certificate is for.
pub(crate) const NAME: &str = "example.org";

struct Configs {
    client: ClientConfig,
    server: ServerConfig,
}

/// One certificate for all tests of a program: it takes a while to make one in a debug build.
static CONFIGS: LazyLock<Configs> = LazyLock::new(|| {
    let own = SelfSigned::new([NAME]).unwrap();
    Configs { client: own.client_config().unwrap(), server: own.server_config().unwrap() }
});

pub(crate) fn client_config() -> ClientConfig {
    CONFIGS.client.clone()
}

pub(crate) fn server_config() -> ServerConfig {
    CONFIGS.server.clone()
}

pub(crate) fn client<S: Carrier>(stream: S) -> TlsStream<S> {
    TlsStream::client(stream, &CONFIGS.client, NAME).unwrap()
}

pub(crate) fn server<S: Carrier>(stream: S) -> TlsStream<S> {
    TlsStream::server(stream, &CONFIGS.server).unwrap()
}

/// A client and a server over the two ends of a stream.
pub(crate) fn pair<S: Carrier>((near, far): (S, S)) -> (TlsStream<S>, TlsStream<S>) {
    (client(near), server(far))
}
