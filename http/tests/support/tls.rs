//! A server with a certificate of its own, and clients who trust it.

use std::io;

use grapeshot_core::JoinHandle;
use grapeshot_http::{IntoResponse, Limits, Request, Server, ServerHandle};
use grapeshot_net::TcpStream;
use grapeshot_tls::{ClientConfig, SelfSigned, TlsStream};

use super::{Client, Notes, Site};

/// The name in the certificate.
pub(crate) const NAME: &str = "test.example";

pub(crate) type TlsClient = Client<TlsStream<TcpStream>>;

/// A server at work that speaks TLS.
pub(crate) struct SecureSite {
    pub(crate) site: Site,
    pub(crate) own: SelfSigned,
    /// The handshakes that failed.
    pub(crate) failures: Notes,
}

impl SecureSite {
    pub(crate) fn new<R: IntoResponse>(handler: impl Fn(&mut Request<'_>) -> R + 'static) -> SecureSite {
        SecureSite::with(|_| {}, handler)
    }

    /// With limits of its own.
    pub(crate) fn with<R: IntoResponse>(
        change: impl FnOnce(&mut Limits),
        handler: impl Fn(&mut Request<'_>) -> R + 'static,
    ) -> SecureSite {
        let mut limits = Limits::default();
        change(&mut limits);
        SecureSite::of(|server, own| server.limits(limits).tls(own.server_config().unwrap()), handler)
    }

    /// With whatever `configure` makes of the server.
    pub(crate) fn of<R: IntoResponse>(
        configure: impl FnOnce(Server, &SelfSigned) -> Server,
        handler: impl Fn(&mut Request<'_>) -> R + 'static,
    ) -> SecureSite {
        let own = SelfSigned::new([NAME]).unwrap();
        let failures = Notes::default();
        let log = failures.clone();
        let server = configure(Server::bind("127.0.0.1:0").unwrap(), &own);
        let server = server.log_handshakes(move |_, error| log.add(error.to_string()));
        SecureSite { site: Site::of(server, handler), own, failures }
    }

    /// A client who trusts the server, before its handshake.
    pub(crate) fn fresh(&self) -> TlsClient {
        self.fresh_with(&self.own.client_config().unwrap())
    }

    pub(crate) fn fresh_with(&self, config: &ClientConfig) -> TlsClient {
        let stream = TcpStream::connect(self.site.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(TlsStream::client(stream, config, NAME).unwrap())
    }

    /// A client whose handshake is done.
    pub(crate) fn connect(&self) -> TlsClient {
        let client = self.fresh();
        client.stream.handshake().unwrap();
        client
    }

    pub(crate) fn connect_with(&self, config: &ClientConfig) -> TlsClient {
        let client = self.fresh_with(config);
        client.stream.handshake().unwrap();
        client
    }

    pub(crate) fn handle(&self) -> &ServerHandle {
        &self.site.handle
    }

    pub(crate) fn serving(self) -> JoinHandle<io::Result<()>> {
        self.site.serving
    }
}
