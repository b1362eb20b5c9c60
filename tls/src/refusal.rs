//! What is wrong with a peer's certificate, in words. rustls gives the names of its variants, and times as numbers.

use std::fmt;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::proto::{Date, Span};

/// How many of the names are told for which a certificate does hold.
const NAMES_SHOWN: usize = 8;

/// A reason to refuse a certificate, as the end of a sentence about it.
pub(crate) struct Refusal<'a>(pub(crate) &'a CertificateError);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError as E;
        f.write_str(match self.0 {
            E::UnknownIssuer => "no trusted authority issued it (UnknownIssuer)",
            E::Expired => "it has expired",
            E::NotValidYet => "it is not valid yet",
            E::Revoked => "it has been revoked",
            E::UnknownRevocationStatus => "no revocation list says whether it has been revoked",
            E::ExpiredRevocationList => "the revocation list for it has expired",
            E::BadEncoding => "it is malformed",
            E::BadSignature => "its signature is wrong",
            E::UnhandledCriticalExtension => {
                "it has a critical extension that is not understood (RFC 5280 section 4.2)"
            }
            E::NotValidForName => "it does not hold for this name",
            E::InvalidPurpose => "it is for another purpose",
            E::ExpiredContext { time, not_after } => return expired(f, "it", *time, *not_after),
            E::ExpiredRevocationListContext { time, next_update } => {
                return expired(f, "the revocation list for it", *time, *next_update);
            }
            E::NotValidYetContext { time, not_before } => {
                let (time, not_before) = (time.as_secs(), not_before.as_secs());
                let left = Span(not_before.saturating_sub(time));
                return write!(f, "it is not valid before {}, {left} from now", Date(not_before));
            }
            E::NotValidForNameContext { expected, presented } => return for_others(f, &expected.to_str(), presented),
            // rustls would show how it keeps the cause.
            E::Other(cause) => return cause.fmt(f),
            other => return other.fmt(f),
        })
    }
}

fn expired(f: &mut fmt::Formatter<'_>, what: &str, now: UnixTime, end: UnixTime) -> fmt::Result {
    let (now, end) = (now.as_secs(), end.as_secs());
    write!(f, "{what} expired on {}, {} ago", Date(end), Span(now.saturating_sub(end)))
}

/// The names come from the peer, which may have put anything into them, and as many as it liked.
fn for_others(f: &mut fmt::Formatter<'_>, wanted: &str, presented: &[String]) -> fmt::Result {
    write!(f, "it does not hold for {wanted}, ")?;
    if presented.is_empty() {
        return f.write_str("and for no other name either");
    }
    for (number, name) in presented.iter().take(NAMES_SHOWN).enumerate() {
        let before = if number == 0 { "only for " } else { ", " };
        write!(f, "{before}{}", bare(name))?;
    }
    match presented.len().saturating_sub(NAMES_SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// A name as rustls gives it, `DnsName("example.org")` or `IpAddress(0::1)`, in the form in which it is commonly written.
fn bare(name: &str) -> String {
    let inner = |start, end| name.strip_prefix(start)?.strip_suffix(end);
    let address = inner("IpAddress(", ")").and_then(|address| address.parse::<IpAddr>().ok());
    match address {
        Some(address) => address.to_string(),
        None => inner("DnsName(\"", "\")").unwrap_or(name).escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_refusal_is_a_sentence_with_dates() {
        let (then, now) = (at(951_868_799), at(951_868_799 + 690 * 86_400));
        for (reason, text) in [
            (CertificateError::UnknownIssuer, "no trusted authority issued it (UnknownIssuer)"),
            (
                CertificateError::ExpiredContext { time: now, not_after: then },
                "it expired on 2000-02-29 23:59:59 UTC, 690 days ago",
            ),
            (
                CertificateError::NotValidYetContext { time: at(951_868_799 - 7200), not_before: then },
                "it is not valid before 2000-02-29 23:59:59 UTC, 2 hours from now",
            ),
            (
                CertificateError::ExpiredRevocationListContext { time: now, next_update: then },
                "the revocation list for it expired on 2000-02-29 23:59:59 UTC, 690 days ago",
            ),
        ] {
            assert_eq!(Refusal(&reason).to_string(), text);
        }
    }
}
