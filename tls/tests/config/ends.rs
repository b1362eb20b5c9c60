//! Two ends in memory, and certificates that nobody should issue.

use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use grapeshot_core::spawn;
use grapeshot_net::memory::{self, MemoryStream};
use grapeshot_tls::rustls::pki_types::CertificateDer;
use grapeshot_tls::{ClientConfig, Identity, RevocationLists, Roots, SelfSigned, ServerConfig, TlsError, TlsStream};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

pub(crate) type Stream = TlsStream<MemoryStream>;

/// What the two ends say of a connection on which the server sends one byte.
pub(crate) struct Met {
    pub(crate) client: io::Result<Stream>,
    pub(crate) server: io::Result<Stream>,
}

impl Met {
    /// Both ends' streams, once the byte has come and with it the server's tickets.
    pub(crate) fn well(self) -> (Stream, Stream) {
        (self.client.unwrap(), self.server.unwrap())
    }

    /// What the client has against the server.
    pub(crate) fn refused_by_client(self) -> TlsError {
        TlsError::of(&self.client.unwrap_err()).unwrap().clone()
    }

    /// What the server has against the client.
    pub(crate) fn refused_by_server(self) -> TlsError {
        TlsError::of(&self.server.unwrap_err()).unwrap().clone()
    }
}

/// Lets a client that wants `name` meet a server.
pub(crate) fn meet(client: &ClientConfig, name: &str, server: &ServerConfig) -> Met {
    let (near, far) = memory::pair();
    let server = server.clone();
    let serving = spawn(move || {
        let mut stream = TlsStream::server(far, &server)?;
        stream.handshake()?;
        stream.write_all(b"!")?;
        stream.flush()?;
        Ok(stream)
    });
    let client = (|| {
        let mut stream = TlsStream::client(near, client, name)?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    })();
    Met { client, server: serving.join().unwrap() }
}

/// The end's certificate that a stream was shown.
pub(crate) fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.peer_certificates().unwrap()[0].clone()
}

/// A certificate for `localhost`, and who believes it.
pub(crate) fn localhost() -> (ServerConfig, ClientConfig) {
    let signed = SelfSigned::new(["localhost"]).unwrap();
    (signed.server_config().unwrap(), signed.client_config().unwrap())
}

/// An authority that does whatever it is asked for.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority that asks no questions");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_der([self.issuer.der().clone()]).unwrap()
    }

    /// For one name, changed as wanted.
    pub(crate) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::from_pem(certificate.pem(), key.serialize_pem()).unwrap()
    }

    /// A list that takes back the certificates of these numbers.
    pub(crate) fn revocation_list(&self, numbers: &[u8]) -> RevocationLists {
        let now = SystemTime::now();
        let revoked = |number: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*number]),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(86_400)).into(),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        RevocationLists::from_pem(list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap()
    }
}

/// Sets the number by which a certificate is taken back.
pub(crate) fn numbered(number: u8) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from_slice(&[number]))
}
