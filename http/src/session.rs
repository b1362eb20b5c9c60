//! What a handler may know of the TLS below its connection.

use std::fmt;

use grapeshot_tls::TlsStream;
use grapeshot_tls::rustls::pki_types::CertificateDer;
use grapeshot_tls::rustls::{ProtocolVersion, SupportedCipherSuite};

use crate::secured::PacedTcp;

/// The TLS of a connection: what was agreed on, and who the client is.
///
/// # Examples
///
/// ```
/// use grapeshot_http::{Request, Response, StatusCode};
///
/// /// Lets in who has shown a certificate; which ones count is the business of the server's configuration.
/// fn members_only(request: &mut Request<'_>) -> Response {
///     match request.tls().and_then(|tls| tls.peer_certificates()) {
///         Some(chain) => Response::text(format!("welcome, holder of a certificate of {} bytes\n", chain[0].len())),
///         None => Response::text("members only\n").status(StatusCode::FORBIDDEN),
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct TlsSession<'c> {
    pub(crate) stream: &'c TlsStream<PacedTcp>,
}

impl TlsSession<'_> {
    /// The name the client asked for (SNI, RFC 6066 section 3), in lower case; `None` if it named none.
    pub fn server_name(&self) -> Option<String> {
        self.stream.server_name()
    }

    /// The application protocol agreed on (ALPN, RFC 7301); `None` if the client offered none.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.stream.alpn_protocol()
    }

    /// The client's certificate, and behind it those of the authorities it has sent; `None` if it has shown none.
    ///
    /// Whether one is asked for, and who vouches for it, is the configuration's business: what is here was verified by it.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.stream.peer_certificates()
    }

    /// The version of TLS.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.stream.protocol_version()
    }

    /// The cipher suite.
    pub fn cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.stream.cipher_suite()
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }
}

impl fmt::Debug for TlsSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("server_name", &self.server_name())
            .field("version", &self.protocol_version())
            .field("resumed", &self.is_resumed())
            .finish()
    }
}
