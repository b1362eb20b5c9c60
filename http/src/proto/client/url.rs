//! `http` and `https` URLs, as far as a client needs them (RFC 9110 section 4.2, RFC 3986).
//!
//! ```text
//! url       = scheme "://" host [ ":" port ] path [ "?" query ] [ "#" fragment ]
//! host      = "[" IPv6address "]" / IPv4address / name
//! ```
//!
//! Neither type at hand would do. [`http::Uri`] takes a user's name and password without a word, drops fragments,
//! and has no answer to a name beyond ASCII; the crate `url` follows browsers, which repair: it takes backslashes for
//! slashes, `0x7f.1` for `127.0.0.1`, and leaves out tabs and line ends. Where two readers of one URL see two hosts,
//! a check by the one does not hold for the other. So what could be read in two ways is refused here, and named.
//!
//! Names beyond ASCII become those of the DNS (IDNA, UTS 46), and such bytes in a path or query are percent-encoded.
//! Dot segments are sent as they are typed, and the fragment is not sent (RFC 9110 section 4.2.5).

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::super::classes::{PATH, QUERY, is};
use super::super::decimal;
use super::url_error::UrlError;

/// Which of the two schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where a URL names none: 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a server is: by a name to be looked up, or by its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name in lower-case ASCII, as the DNS has it. A dot at its end stays: it is not completed by a search list.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    /// As in a URL: IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// What a connection leads to: scheme, host and port (RFC 9110 section 4.3.1).
///
/// Prints as the beginning of a URL, without the port where it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port; that of the scheme where the URL names none.
    pub port: u16,
}

impl Origin {
    /// Host and port as `Host` has them: without the port where it is the scheme's own (RFC 9112 section 3.2).
    pub fn authority(&self) -> String {
        match self.port == self.scheme.default_port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

/// An `http` or `https` URL that can be asked for.
///
/// # Examples
///
/// ```
/// use grapeshot_http::client::{Host, Url};
///
/// let url: Url = "http://Bücher.example:8080/page?é#top".parse()?;
/// assert_eq!(url.to_string(), "http://xn--bcher-kva.example:8080/page?%C3%A9");
/// assert_eq!(url.origin().host, Host::Name("xn--bcher-kva.example".to_owned()));
/// assert_eq!(url.target(), "/page?%C3%A9");
/// # Ok::<(), grapeshot_http::client::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    origin: Origin,
    /// Path and query. Invariant: begins with a slash and holds what a request line may.
    target: String,
}

impl Url {
    /// The longest URL taken, in bytes.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Where it leads.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path and query, as the request line has them (origin-form, RFC 9112 section 3.2.1).
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path, not decoded.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }

    /// What stands after the `?`, not decoded.
    pub fn query(&self) -> Option<&str> {
        Some(self.target.split_once('?')?.1)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        if text.len() > Self::MAX_BYTES {
            return Err(UrlError::TooLong { limit: Self::MAX_BYTES });
        }
        let (scheme, start) = scheme(text)?;
        let len = text[start..].find(['/', '?', '#']).unwrap_or(text.len() - start);
        let (host, port) = authority(&text[start..start + len], start)?;
        let target = target(text, start + len)?;
        let origin = Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) };
        Ok(Url { origin, target })
    }
}

impl TryFrom<&str> for Url {
    type Error = UrlError;

    fn try_from(text: &str) -> Result<Url, UrlError> {
        text.parse()
    }
}

impl TryFrom<&String> for Url {
    type Error = UrlError;

    fn try_from(text: &String) -> Result<Url, UrlError> {
        text.parse()
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Url, UrlError> {
        text.parse()
    }
}

impl TryFrom<&http::Uri> for Url {
    type Error = UrlError;

    fn try_from(uri: &http::Uri) -> Result<Url, UrlError> {
        uri.to_string().parse()
    }
}

impl From<&Url> for Url {
    fn from(url: &Url) -> Url {
        url.clone()
    }
}

/// The scheme, and where what follows it begins.
fn scheme(text: &str) -> Result<(Scheme, usize), UrlError> {
    let Some((name, _)) = text.split_once("://") else { return Err(UrlError::NoScheme) };
    // RFC 3986 section 3.1: schemes are compared without regard to case.
    let known = [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(name));
    match known {
        Some(scheme) => Ok((scheme, name.len() + "://".len())),
        None if is_scheme(name) => Err(UrlError::UnknownScheme),
        None => Err(UrlError::NoScheme),
    }
}

/// ```text
/// scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )      RFC 3986 section 3.1
/// ```
fn is_scheme(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Host and port; `start` is where they begin in the URL, for errors.
fn authority(text: &str, start: usize) -> Result<(Host, Option<u16>), UrlError> {
    if let Some(at) = text.find('@') {
        return Err(UrlError::UserInfo { at: start + at });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return Err(UrlError::InvalidAddress { at: start }) };
        if address.contains('%') {
            return Err(UrlError::ZoneId { at: start });
        }
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::InvalidAddress { at: start })?;
        let port_at = start + text.len() - port.len();
        return Ok((Host::Address(address.into()), self::port(port, port_at)?));
    }
    let (host, port_text) = match text.find(':') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let port = port(port_text, start + host.len())?;
    Ok((name_or_ipv4(host, start)?, port))
}

/// ```text
/// [ ":" *DIGIT ]      RFC 3986 section 3.2.3
/// ```
fn port(text: &str, at: usize) -> Result<Option<u16>, UrlError> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(None),
        // The grammar lets it be empty, and RFC 3986 section 6.2.3 has that mean the scheme's own.
        Some("") => Ok(None),
        Some(digits) => match decimal::parse(digits.as_bytes()).map(u16::try_from) {
            Some(Ok(port @ 1..)) => Ok(Some(port)),
            _ => Err(UrlError::InvalidPort { at: at + 1 }),
        },
        None => Err(UrlError::InvalidAddress { at }),
    }
}

fn name_or_ipv4(text: &str, start: usize) -> Result<Host, UrlError> {
    if text.is_empty() {
        return Err(UrlError::NoHost { at: start });
    }
    let is_bad = |&(_, byte): &(usize, u8)| byte.is_ascii() && !is_name_byte(byte);
    if let Some((at, byte)) = text.bytes().enumerate().find(is_bad) {
        return Err(UrlError::InvalidHostByte { at: start + at, byte });
    }
    let name = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::URL);
    let name = name.map_err(|_| UrlError::InvalidName { at: start })?.into_owned();
    let labels = || name.strip_suffix('.').unwrap_or(&name).split('.');
    // Only the last label matters: a name that ends in a number is an address, well written or not (WHATWG URL).
    if labels().next_back().is_some_and(ends_an_address) {
        let address: Result<Ipv4Addr, _> = name.parse();
        return address
            .map(|address| Host::Address(address.into()))
            .map_err(|_| UrlError::InvalidAddress { at: start });
    }
    // RFC 1035 section 2.3.4.
    match labels().all(|label| (1..=63).contains(&label.len())) && name.len() <= 253 + usize::from(name.ends_with('.'))
    {
        true => Ok(Host::Name(name)),
        false => Err(UrlError::InvalidName { at: start }),
    }
}

/// What names of hosts have, and the underscore, which some have all the same.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn ends_an_address(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    hex || (!label.is_empty() && label.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Path and query from `start` on, percent-encoded where they are not ASCII; the path is never empty.
fn target(text: &str, start: usize) -> Result<String, UrlError> {
    let mut target = String::with_capacity(text.len() - start + 1);
    let mut class = PATH;
    if !text[start..].starts_with('/') {
        target.push('/');
    }
    for (index, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'#' => break,
            b'?' => class = QUERY,
            byte if byte.is_ascii() && !is(class, byte) => {
                return Err(UrlError::InvalidByte { at: index, byte });
            }
            _ => {}
        }
        match byte.is_ascii() {
            true => target.push(char::from(byte)),
            // A String takes whatever is written to it.
            false => drop(write!(target, "%{byte:02X}")),
        }
    }
    Ok(target)
}
