//! Which of its connections a server speaks TLS on, and with which configuration.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use grapeshot_tls::ServerConfig;

use super::Server;
use crate::Limits;

/// The application protocol of this crate's server (RFC 7301 section 6).
const HTTP_1_1: &str = "http/1.1";

/// What a server speaks below HTTP.
#[derive(Default)]
pub(crate) struct Security {
    pub(crate) mode: Mode,
    handshake_log: Option<HandshakeLog>,
}

#[derive(Default)]
pub(crate) enum Mode {
    #[default]
    Plain,
    Tls(ServerConfig),
    /// As the first byte of the connection says (SYL-11).
    Either(ServerConfig),
}

type HandshakeLog = Box<dyn Fn(SocketAddr, &io::Error)>;

impl Server {
    /// Serves HTTPS: every connection begins with a handshake of TLS.
    ///
    /// Who speaks plain HTTP to it is told so, by a 400. Unless the configuration names application protocols,
    /// `http/1.1` is offered (RFC 7301). A handshake runs in its connection's own coroutine, counts against
    /// [`Limits::connections`], and has [`Limits::handshake_timeout`], or what the configuration says if that is less.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use grapeshot_http::{Request, Response, Server};
    /// use grapeshot_tls::ServerConfig;
    ///
    /// fn serve() -> std::io::Result<()> {
    ///     let config = ServerConfig::from_pem_files("example.org.pem", "example.org.key").map_err(std::io::Error::other)?;
    ///     let server = Server::bind("0.0.0.0:8443")?.tls(config);
    ///     server.serve(|request: &mut Request<'_>| Response::text(request.path().to_owned()))
    /// }
    /// ```
    pub fn tls(mut self, config: ServerConfig) -> Server {
        self.security.mode = Mode::Tls(config);
        self
    }

    /// Serves HTTP and HTTPS on the same port, by the first byte of each connection (SYL-11).
    ///
    /// As [`tls`](Self::tls); a connection without a handshake is plain HTTP. [`Request::is_tls`](crate::Request::is_tls)
    /// tells them apart.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use grapeshot_core::{spawn, test};
    /// use grapeshot_http::{Request, Server};
    /// use grapeshot_net::TcpStream;
    /// use grapeshot_tls::{SelfSigned, TlsStream};
    ///
    /// test::run(|| {
    ///     let own = SelfSigned::new(["localhost"]).unwrap();
    ///     let server = Server::bind("127.0.0.1:0").unwrap().tls_and_plain(own.server_config().unwrap());
    ///     let address = server.local_addr().unwrap();
    ///     spawn(move || server.serve(|request: &mut Request<'_>| if request.is_tls() { "sealed" } else { "open" }));
    ///
    ///     let stream = TcpStream::connect(address).unwrap();
    ///     let mut stream = TlsStream::client(stream, &own.client_config().unwrap(), "localhost").unwrap();
    ///     stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    ///     let mut answer = String::new();
    ///     stream.read_to_string(&mut answer).unwrap();
    ///     assert!(answer.ends_with("\r\n\r\nsealed"));
    /// });
    /// ```
    pub fn tls_and_plain(mut self, config: ServerConfig) -> Server {
        self.security.mode = Mode::Either(config);
        self
    }

    /// Calls `log` with the peer and the reason when a handshake fails. It must not wait.
    ///
    /// The reason holds a [`TlsError`](grapeshot_tls::TlsError), if it has to do with TLS at all.
    ///
    /// The open internet brings many: port scans, peers who give up, and those who do not trust the certificate.
    pub fn log_handshakes(mut self, log: impl Fn(SocketAddr, &io::Error) + 'static) -> Server {
        self.security.handshake_log = Some(Box::new(log));
        self
    }
}

impl Security {
    /// What connections use, with the limits of the server they belong to.
    pub(super) fn within(mut self, limits: &Limits) -> Security {
        self.mode = match self.mode {
            Mode::Plain => Mode::Plain,
            Mode::Tls(config) => Mode::Tls(within(config, limits)),
            Mode::Either(config) => Mode::Either(within(config, limits)),
        };
        self
    }

    pub(crate) fn log_failure(&self, peer: SocketAddr, error: &io::Error) {
        if let Some(log) = &self.handshake_log {
            log(peer, error);
        }
    }
}

fn within(config: ServerConfig, limits: &Limits) -> ServerConfig {
    let mut times = config.limits();
    times.handshake = times.handshake.min(limits.handshake_timeout);
    let config = config.with_limits(times);
    if !config.rustls().alpn_protocols.is_empty() {
        return config;
    }
    // The name is as it has to be, so nothing is refused.
    config.with_alpn([HTTP_1_1]).unwrap_or(config)
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Plain => "Plain",
            Mode::Tls(_) => "Tls",
            Mode::Either(_) => "Either",
        })
    }
}
