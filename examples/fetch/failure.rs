//! What went wrong: a line to read, and the code to leave with.

use std::{error, fmt, io};

use grapeshot::http::client::{ClientError, MalformedResponse, UrlError};
use grapeshot::http::proto::BodyError;
use grapeshot::tls::TlsError;

pub(crate) const STATUS: u8 = 22;
pub(crate) const WRITE: u8 = 23;
pub(crate) const RECEIVE: u8 = 56;
pub(crate) const IDENTITY: u8 = 58;
pub(crate) const ROOTS: u8 = 77;

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) url: Option<String>,
    pub(crate) what: String,
    pub(crate) code: u8,
}

impl Failure {
    pub(crate) fn new(code: u8, what: impl fmt::Display) -> Failure {
        Failure { url: None, what: what.to_string(), code }
    }

    /// Of a body that cannot be read.
    pub(crate) fn of_body(error: &io::Error) -> Failure {
        Failure::new(ClientError::within(error).map_or(RECEIVE, code), error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::new(code(&error), &error)
    }
}

/// One line, whatever a server or a URL has in it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match &self.url {
            Some(url) => format!("{url}: {}", self.what),
            None => self.what.clone(),
        };
        line.chars().try_for_each(|char| match char.is_control() {
            true => write!(f, "{}", char.escape_default()),
            false => write!(f, "{char}"),
        })
    }
}

impl error::Error for Failure {}

/// The code that curl has for it.
fn code(error: &ClientError) -> u8 {
    match error {
        ClientError::Url(UrlError::UnknownScheme) | ClientError::NoTls => 1,
        ClientError::Malformed(MalformedResponse::NotHttp | MalformedResponse::UnsupportedVersion) => 1,
        ClientError::Url(_) | ClientError::Request(_) => 3,
        ClientError::Name { .. } => 6,
        ClientError::Connect { cause, .. } | ClientError::Tls { cause, .. }
            if cause.kind() == io::ErrorKind::TimedOut =>
        {
            28
        }
        ClientError::Connect { .. } => 7,
        ClientError::Tls { cause, .. } => match TlsError::of(cause) {
            Some(TlsError::CertificateRefused { .. }) => 60,
            _ => 35,
        },
        ClientError::Malformed(_) | ClientError::TooManyInterimAnswers { .. } => 8,
        ClientError::Truncated { .. } => 18,
        ClientError::TimedOut { .. } | ClientError::TooSlow { .. } => 28,
        ClientError::NoAnswer => 52,
        ClientError::Send(_) | ClientError::RequestBody(_) => 55,
        ClientError::Body(BodyError::BodyTooLarge { .. }) => 63,
        _ => RECEIVE,
    }
}
