//! The four forms of a request target (RFC 9112 section 3.2), and hosts.
//!
//! ```text
//! origin-form    = absolute-path [ "?" query ]      any method but CONNECT
//! absolute-form  = absolute-URI                     the same; the Host header is then ignored
//! authority-form = uri-host ":" port                CONNECT only
//! asterisk-form  = "*"                              OPTIONS only
//! uri-host       = IP-literal / IPv4address / reg-name     RFC 3986 section 3.2.2
//! ```
//!
//! Which bytes a path or query may have, the table in `classes` says.
//! Of hosts we refuse percent-encoded ones and IPvFuture, which resolve to nothing.
//! Whatever passes here is taken by [`http::Uri`].

use std::net::Ipv6Addr;

use super::classes::{HOST, PATH, QUERY, all, is};
use super::error::TargetFault;
use super::{MethodKind, decimal};

/// Which of the four forms a request target has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// A path with an optional query, as in `GET /where?q=now`.
    #[default]
    Origin,
    /// A whole URI, as in `GET http://host/where?q=now`: what a proxy is sent.
    Absolute,
    /// Host and port, as in `CONNECT host:443`.
    Authority,
    /// `*`, as in `OPTIONS *`: the server itself.
    Asterisk,
}

/// A target's form and where its parts are: offsets within the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    /// Where the path starts.
    pub(super) path: usize,
    /// Where the path ends: the offset of `?`, or the target's length.
    pub(super) path_end: usize,
}

impl Target {
    /// Checks a target that is not empty. The error has the offset of the offending byte in it.
    #[inline]
    pub(super) fn parse(method: MethodKind, target: &[u8]) -> Result<Self, (usize, TargetFault)> {
        if method == MethodKind::Connect {
            return Self::authority(target);
        }
        if target.first() == Some(&b'/') {
            let path_end = path_end(target, 0)?;
            return Ok(Self { form: TargetForm::Origin, path: 0, path_end });
        }
        Self::rare(method, target)
    }

    #[cold]
    fn authority(target: &[u8]) -> Result<Self, (usize, TargetFault)> {
        let port = match host_len(target) {
            Some(len @ 1..) => decimal::parse(target.get(len + 1..).unwrap_or_default()),
            _ => None,
        };
        // RFC 9110 section 9.3.6: a server MUST reject an empty or invalid port.
        if !port.is_some_and(|port| (1..=u64::from(u16::MAX)).contains(&port)) {
            return Err((0, TargetFault::ConnectWithoutAuthority));
        }
        Ok(Self { form: TargetForm::Authority, path: target.len(), path_end: target.len() })
    }

    #[cold]
    fn rare(method: MethodKind, target: &[u8]) -> Result<Self, (usize, TargetFault)> {
        if target == b"*" {
            return match method {
                MethodKind::Options => Ok(Self { form: TargetForm::Asterisk, path: 0, path_end: 1 }),
                _ => Err((0, TargetFault::AsteriskWithoutOptions)),
            };
        }
        let authority = authority_start(target).ok_or((0, TargetFault::UnknownForm))?;
        let path = target[authority..]
            .iter()
            .position(|&byte| matches!(byte, b'/' | b'?' | b'#'))
            .map_or(target.len(), |len| authority + len);
        // RFC 9110 section 4.2.1: a recipient MUST reject an empty host.
        if matches!(host_len(&target[authority..path]), None | Some(0)) {
            return Err((authority, TargetFault::InvalidAuthority));
        }
        let path_end = path_end(target, path)?;
        Ok(Self { form: TargetForm::Absolute, path, path_end })
    }
}

/// Where the authority of an absolute http or https URI starts.
///
/// RFC 9110 section 4.2.3: the scheme is compared without regard to case.
pub(super) fn authority_start(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })
}

/// Where the path that starts at `from` ends, having checked it and the query after it.
#[inline]
fn path_end(target: &[u8], from: usize) -> Result<usize, (usize, TargetFault)> {
    if all(PATH, &target[from..]) {
        return Ok(target.len());
    }
    let outside =
        |class: u8, from: usize| target[from..].iter().position(|&byte| !is(class, byte)).map(|len| from + len);
    let Some(end) = outside(PATH, from) else { return Ok(target.len()) };
    let bad = match target[end] {
        b'?' => outside(QUERY, end),
        _ => Some(end),
    };
    match bad {
        None => Ok(end),
        Some(at) if target[at] == b'#' => Err((at, TargetFault::Fragment)),
        Some(at) => Err((at, TargetFault::InvalidByte(target[at]))),
    }
}

/// The length of the host in a `uri-host [ ":" port ]`, or `None` if it is not one.
///
/// The host may be empty, and so may the port, by the grammar of RFC 3986 section 3.2.
#[inline]
pub(super) fn host_len(authority: &[u8]) -> Option<usize> {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let host = match &authority[..authority.len() - digits] {
        [host @ .., b':'] if digits <= 5 => host,
        _ => authority,
    };
    (all(HOST, host) || is_ip_literal(host)).then_some(host.len())
}

/// ```text
/// IP-literal = "[" ( IPv6address / IPvFuture ) "]"      RFC 3986 section 3.2.2
/// ```
#[cold]
fn is_ip_literal(host: &[u8]) -> bool {
    let address = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    let address = address.and_then(|address| str::from_utf8(address).ok());
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}
