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
//! Of the bytes in a path or query we refuse what neither RFC 3986 nor browsers send as it is:
//! controls, space, `"`, `<`, `>`, bytes from 0x80 and, in a path, the backtick.
//! RFC 3986 would have us refuse `|`, `^`, `[`, `]`, `{`, `}` and `\` too, but browsers leave some
//! of these as they are, in paths or in queries.
//! Whatever passes here is taken by [`http::Uri`].
//!
//! Of hosts we refuse percent-encoded ones and IPvFuture, which resolve to nothing.

use std::net::Ipv6Addr;

use super::MethodKind;
use super::error::TargetFault;

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
        match Host::parse(target) {
            Some(Host { empty: false, port: Some(1..) }) => {}
            _ => return Err((0, TargetFault::ConnectWithoutAuthority)),
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
        match Host::parse(&target[authority..path]) {
            Some(Host { empty: false, .. }) => {}
            _ => return Err((authority, TargetFault::InvalidAuthority)),
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

const IN_PATH: u8 = 1;
const IN_QUERY: u8 = 2;
const IN_HOST: u8 = 4;

/// Where a byte may stand: see the module's text for the choice.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'?' | b'`' => IN_QUERY,
            // RFC 3986 section 2: unreserved and sub-delims, of which reg-name and IPv4address are.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$'
            | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {
                IN_PATH | IN_QUERY | IN_HOST
            }
            b'"' | b'#' | b'<' | b'>' => 0,
            0x21..=0x7e => IN_PATH | IN_QUERY,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

#[inline]
fn is(class: u8, byte: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Where the path that starts at `from` ends, having checked it and the query after it.
#[inline]
fn path_end(target: &[u8], from: usize) -> Result<usize, (usize, TargetFault)> {
    let outside = |class: u8, from: usize| {
        target[from..].iter().position(|&byte| !is(class, byte)).map(|len| from + len)
    };
    let Some(end) = outside(IN_PATH, from) else { return Ok(target.len()) };
    let bad = match target[end] {
        b'?' => outside(IN_QUERY, end),
        _ => Some(end),
    };
    match bad {
        None => Ok(end),
        Some(at) if target[at] == b'#' => Err((at, TargetFault::Fragment)),
        Some(at) => Err((at, TargetFault::InvalidByte(target[at]))),
    }
}

/// What a `uri-host [ ":" port ]` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// The host has no bytes.
    pub(super) empty: bool,
    /// The port, if there are digits for one.
    pub(super) port: Option<u16>,
}

impl Host {
    /// `None` for what is not a host with an optional port.
    #[inline]
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let host_len = match value.first() {
            Some(b'[') => ip_literal_len(value)?,
            _ => value.iter().position(|&byte| !is(IN_HOST, byte)).unwrap_or(value.len()),
        };
        let port = match &value[host_len..] {
            // port = *DIGIT, so a lone colon is one.
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { empty: host_len == 0, port })
    }
}

/// The length of `"[" IPv6address "]"` at the start of `value`.
#[cold]
fn ip_literal_len(value: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b']', value)?;
    let address = str::from_utf8(&value[1..end]).ok()?;
    address.parse::<Ipv6Addr>().ok()?;
    Some(end + 1)
}

fn port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |port, &digit| match digit {
        b'0'..=b'9' => port.checked_mul(10)?.checked_add(u16::from(digit - b'0')),
        _ => None,
    })
}
