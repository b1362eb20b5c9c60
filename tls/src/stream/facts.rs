//! What is known of a connection.

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, SupportedCipherSuite};

use super::TlsStream;
use crate::carrier::Carrier;

/// How many bytes a stream holds, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffered {
    /// Decrypted, and not read yet: the next read gets them without waiting.
    pub decrypted: usize,
    /// Encrypted, and not whole: the rest of their record has to come.
    pub encrypted: usize,
    /// Records that wait to be sent.
    pub unsent: usize,
}

impl<S: Carrier> TlsStream<S> {
    /// Whether the stream holds any bytes, of whatever kind: one that does not can be waited for by its stream alone.
    pub fn has_buffered(&self) -> bool {
        self.buffered() != Buffered::default()
    }

    /// How many bytes the stream holds.
    pub fn buffered(&self) -> Buffered {
        let session = self.session.borrow();
        let (decrypted, encrypted) = session.buffered();
        Buffered { decrypted, encrypted, unsent: session.outgoing.len() }
    }

    /// The version agreed on; `None` before it is.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.borrow().state()?.protocol_version()
    }

    /// The cipher suite agreed on; `None` before it is.
    pub fn cipher_suite(&self) -> Option<SupportedCipherSuite> {
        self.session.borrow().state()?.negotiated_cipher_suite()
    }

    /// The application protocol agreed on (ALPN, RFC 7301); `None` if none is, or not yet.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.session.borrow().state()?.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// The peer's certificate, and behind it those of the authorities it has sent; `None` if it has shown none, or not yet.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.session.borrow().state()?.peer_certificates().map(<[_]>::to_vec)
    }

    /// On a server the name that the client asked for (SNI, RFC 6066, 3), in lower case; `None` if it named none, or not yet.
    pub fn server_name(&self) -> Option<String> {
        self.session.borrow().server_name().map(str::to_owned)
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// How the handshake went; `None` before that is known.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.session.borrow().state()?.handshake_kind()
    }
}
