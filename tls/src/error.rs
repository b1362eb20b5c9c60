//! Why a TLS connection came to no good: found inside an [`io::Error`].

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::proto::Protocol;
use crate::refusal::Refusal;

/// Who is at the other end, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// The server of this name, which a client asked for.
    Server(ServerName<'static>),
    /// A client; its address where the stream has one.
    Client(Option<String>),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Server(name) => write!(f, "server {}", name.to_str()),
            Peer::Client(Some(address)) => write!(f, "client {address}"),
            Peer::Client(None) => f.write_str("the client"),
        }
    }
}

/// What two ends would need to have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lacking {
    /// A version of the protocol.
    Version,
    /// A cipher suite.
    CipherSuite,
    /// A group to exchange keys in.
    KeyExchangeGroup,
    /// A scheme of signatures.
    SignatureScheme,
    /// An application protocol (ALPN, RFC 7301).
    ApplicationProtocol,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lacking::Version => "version of TLS",
            Lacking::CipherSuite => "cipher suite",
            Lacking::KeyExchangeGroup => "key exchange group",
            Lacking::SignatureScheme => "signature scheme",
            Lacking::ApplicationProtocol => "application protocol (ALPN)",
        })
    }
}

/// Why a TLS connection cannot be used, or not any more.
///
/// Streams give it inside an [`io::Error`]; [`TlsError::of`] finds it there. The stream gives the same error again
/// whenever it is used afterwards.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::memory;
/// use grapeshot_tls::{ClientConfig, TlsError, TlsStream};
///
/// test::run(|| {
///     let (near, mut far) = memory::pair();
///     let server = spawn(move || {
///         far.read(&mut [0; 1024]).unwrap();
///         far.write_all(b"220 mail.example.org ready\r\n").unwrap();
///     });
///     let config = ClientConfig::builder().danger_accept_any_certificate().build().unwrap();
///     let error = TlsStream::client(near, &config, "mail.example.org").unwrap().handshake().unwrap_err();
///     assert!(matches!(TlsError::of(&error), Some(TlsError::NotTls { .. })));
///     server.join().unwrap();
/// });
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's certificate is not to be trusted. The peer has been told which kind of fault it has.
    CertificateRefused {
        /// Whose it is.
        peer: Peer,
        /// What is wrong with it.
        reason: CertificateError,
    },
    /// The peer has shown no certificate, and one is required. The peer has been told.
    CertificateMissing {
        /// Who has shown none.
        peer: Peer,
    },
    /// The two ends have nothing of some kind in common. The peer has been told, or has told us.
    NothingInCommon {
        /// With whom.
        peer: Peer,
        /// What it would take.
        lacking: Lacking,
    },
    /// The peer has ended the connection with an alert (RFC 8446, 6.2).
    AlertReceived {
        /// Whose alert it is.
        peer: Peer,
        /// What it says.
        alert: AlertDescription,
    },
    /// The peer speaks something else.
    NotTls {
        /// Who does.
        peer: Peer,
        /// What it seems to be.
        protocol: Protocol,
    },
    /// The stream ended without the peer having said that it would (RFC 8446, 6.1): what came may be a part only.
    Truncated {
        /// Whose stream it is.
        peer: Peer,
        /// Whether the handshake was done by then.
        after_handshake: bool,
    },
    /// The handshake took longer than the stream allows.
    HandshakeTimedOut {
        /// With whom.
        peer: Peer,
        /// What it was given.
        limit: Duration,
    },
    /// The coroutine that did the handshake was cut off while another thread made a signature for it (see
    /// [`Signing`](crate::Signing)), or the making of it panicked. What had been worked out by then is lost.
    HandshakeAbandoned {
        /// With whom.
        peer: Peer,
    },
    /// The peer broke the protocol, or this end is not fit for it; the peer has been told with an alert.
    Protocol {
        /// With whom.
        peer: Peer,
        /// What rustls says.
        error: rustls::Error,
    },
}

impl TlsError {
    /// The reason inside the error of a stream, if it has to do with TLS.
    pub fn of(error: &io::Error) -> Option<&TlsError> {
        error.get_ref()?.downcast_ref()
    }

    /// Sorts what rustls says.
    pub(crate) fn of_rustls(peer: Peer, error: rustls::Error) -> TlsError {
        match error {
            rustls::Error::InvalidCertificate(reason) => TlsError::CertificateRefused { peer, reason },
            rustls::Error::NoCertificatesPresented => TlsError::CertificateMissing { peer },
            rustls::Error::NoApplicationProtocol => {
                TlsError::NothingInCommon { peer, lacking: Lacking::ApplicationProtocol }
            }
            rustls::Error::PeerIncompatible(ref why) => match lacking(why) {
                Some(lacking) => TlsError::NothingInCommon { peer, lacking },
                None => TlsError::Protocol { peer, error },
            },
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                TlsError::NothingInCommon { peer, lacking: Lacking::Version }
            }
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                TlsError::NothingInCommon { peer, lacking: Lacking::ApplicationProtocol }
            }
            rustls::Error::AlertReceived(alert) => TlsError::AlertReceived { peer, alert },
            error => TlsError::Protocol { peer, error },
        }
    }

    /// With whom it happened.
    pub fn peer(&self) -> &Peer {
        match self {
            TlsError::CertificateRefused { peer, .. }
            | TlsError::CertificateMissing { peer }
            | TlsError::NothingInCommon { peer, .. }
            | TlsError::AlertReceived { peer, .. }
            | TlsError::NotTls { peer, .. }
            | TlsError::Truncated { peer, .. }
            | TlsError::HandshakeTimedOut { peer, .. }
            | TlsError::HandshakeAbandoned { peer }
            | TlsError::Protocol { peer, .. } => peer,
        }
    }

    /// The same with a peer of which more is known.
    pub(crate) fn with_peer(mut self, known: Peer) -> TlsError {
        match &mut self {
            TlsError::CertificateRefused { peer, .. }
            | TlsError::CertificateMissing { peer }
            | TlsError::NothingInCommon { peer, .. }
            | TlsError::AlertReceived { peer, .. }
            | TlsError::NotTls { peer, .. }
            | TlsError::Truncated { peer, .. }
            | TlsError::HandshakeTimedOut { peer, .. }
            | TlsError::HandshakeAbandoned { peer }
            | TlsError::Protocol { peer, .. } => *peer = known,
        }
        self
    }

    fn kind(&self) -> ErrorKind {
        match self {
            TlsError::Truncated { .. } => ErrorKind::UnexpectedEof,
            TlsError::HandshakeTimedOut { .. } => ErrorKind::TimedOut,
            TlsError::AlertReceived { .. } | TlsError::HandshakeAbandoned { .. } => ErrorKind::ConnectionAborted,
            _ => ErrorKind::InvalidData,
        }
    }
}

/// What would have to be had in common, where that is what is wrong.
fn lacking(why: &PeerIncompatible) -> Option<Lacking> {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => Some(Lacking::Version),
        PeerIncompatible::NoCipherSuitesInCommon => Some(Lacking::CipherSuite),
        PeerIncompatible::NoKxGroupsInCommon => Some(Lacking::KeyExchangeGroup),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => Some(Lacking::SignatureScheme),
        _ => None,
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::CertificateRefused { peer, reason } => {
                write!(f, "the certificate of {peer} is refused: {}", Refusal(reason))
            }
            TlsError::CertificateMissing { peer } => write!(f, "{peer} has shown no certificate, and one is required"),
            TlsError::NothingInCommon { peer, lacking } => write!(f, "no {lacking} in common with {peer}"),
            TlsError::AlertReceived { peer, alert } => {
                write!(f, "{peer} ended the TLS connection with the alert {alert:?}")?;
                explanation(*alert).map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            TlsError::NotTls { peer, protocol } => write!(f, "{peer} does not speak TLS: {protocol}"),
            TlsError::Truncated { peer, after_handshake: false } => {
                write!(f, "{peer} ended the stream in the middle of the TLS handshake")
            }
            TlsError::Truncated { peer, after_handshake: true } => {
                write!(f, "{peer} ended the stream without close_notify, so a part may be missing")
            }
            TlsError::HandshakeTimedOut { peer, limit } => {
                write!(f, "the TLS handshake with {peer} was not done within {limit:?}")
            }
            TlsError::HandshakeAbandoned { peer } => {
                write!(f, "the TLS handshake with {peer} was cut off while a signature was made, and cannot go on")
            }
            TlsError::Protocol { peer, error } => write!(f, "TLS with {peer}: {error}"),
        }
    }
}

/// As for people: a program that ends with an error shows it in this form.
impl fmt::Debug for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsError({self})")
    }
}

/// What an alert commonly means, where its name does not say.
fn explanation(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::HandshakeFailure => "it accepts nothing of what was offered",
        AlertDescription::BadCertificate => "it finds our certificate faulty",
        AlertDescription::UnsupportedCertificate => "it does not take certificates of this kind",
        AlertDescription::CertificateRevoked => "our certificate has been revoked",
        AlertDescription::CertificateExpired => "our certificate is not valid now",
        AlertDescription::CertificateUnknown => "it does not accept our certificate",
        AlertDescription::UnknownCA => "it does not trust the authority that issued our certificate",
        AlertDescription::AccessDenied => "it does not let us in",
        AlertDescription::UnrecognisedName => "it has no certificate for the name it was asked for",
        AlertDescription::CertificateRequired => "it wants a certificate from us, and none was shown",
        AlertDescription::UserCanceled => "it gave up",
        AlertDescription::InternalError => "something failed on its side",
        _ => return None,
    })
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TlsError::Protocol { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Peer {
        Peer::Server(ServerName::try_from("example.org").unwrap())
    }

    #[test]
    fn an_error_names_what_whom_and_why() {
        let error = TlsError::of_rustls(server(), rustls::Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(error.to_string(), "the certificate of server example.org is refused: it has expired");
        assert_eq!(format!("{error:?}"), format!("TlsError({error})"));
        let cause = rustls::OtherError(std::sync::Arc::new(io::Error::other("the key is another")));
        let error = TlsError::CertificateRefused { peer: server(), reason: CertificateError::Other(cause) };
        assert_eq!(error.to_string(), "the certificate of server example.org is refused: the key is another");
        let error = TlsError::AlertReceived { peer: server(), alert: AlertDescription::UnknownCA };
        assert_eq!(
            error.to_string(),
            "server example.org ended the TLS connection with the alert UnknownCA: \
             it does not trust the authority that issued our certificate"
        );
    }

    #[test]
    fn what_the_peer_lacks_is_the_same_whoever_noticed() {
        let ours = rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled);
        let theirs = rustls::Error::AlertReceived(AlertDescription::ProtocolVersion);
        for error in [ours, theirs] {
            let error = TlsError::of_rustls(server(), error);
            assert!(matches!(error, TlsError::NothingInCommon { lacking: Lacking::Version, .. }), "{error}");
        }
    }

    #[test]
    fn the_reason_is_found_inside_the_error_of_a_stream() {
        let truncated = TlsError::Truncated { peer: Peer::Client(None), after_handshake: true };
        let error = io::Error::from(truncated);
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(TlsError::of(&error), Some(TlsError::Truncated { .. })));
        assert!(TlsError::of(&io::Error::from(ErrorKind::UnexpectedEof)).is_none());
    }
}
