//! Numeric addresses as files hold them and as people type them, with their zones.
//!
//! # Invariants
//!
//! - What stands in a file is strict: four decimal numbers, or the text form of IPv6 (RFC 4291, section 2.2).
//! - What a person types may be shorter, octal or hexadecimal, as inet_aton(3) and so getaddrinfo(3) take it.
//!
//! # What is absent
//!
//! The number of an interface: only the system knows it, so a zone stays text here.
//!
//! Sources: RFC 4007, section 11; inet_aton(3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether this address is one of those wanted.
    pub fn includes(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// An address, with the zone that a link-local one needs (RFC 4007).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface, by name or by number, as it stood behind the percent sign.
    pub zone: Option<Box<str>>,
}

impl HostAddress {
    /// Reads an address as files hold it: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`.
    ///
    /// A zone is taken with link-local addresses only, where it means something.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_dns::proto::HostAddress;
    ///
    /// assert_eq!(HostAddress::parse("fe80::1%eth0").unwrap().zone.as_deref(), Some("eth0"));
    /// assert_eq!(HostAddress::parse("127.1"), None);
    /// ```
    pub fn parse(text: &str) -> Option<HostAddress> {
        let Some((ip, zone)) = text.split_once('%') else {
            return Some(HostAddress::from(text.parse::<IpAddr>().ok()?));
        };
        let ip: Ipv6Addr = ip.parse().ok()?;
        (is_link_local(ip) && is_zone(zone)).then(|| HostAddress { ip: ip.into(), zone: Some(zone.into()) })
    }

    /// Reads an address as people type it: as [`parse`](Self::parse), and what inet_aton(3) takes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use grapeshot_dns::proto::HostAddress;
    ///
    /// assert_eq!(HostAddress::parse_typed("127.1").unwrap().ip, Ipv4Addr::LOCALHOST);
    /// assert_eq!(HostAddress::parse_typed("127.example"), None);
    /// ```
    pub fn parse_typed(text: &str) -> Option<HostAddress> {
        HostAddress::parse(text).or_else(|| Some(HostAddress::from(IpAddr::V4(parse_loose(text)?))))
    }
}

impl From<IpAddr> for HostAddress {
    fn from(ip: IpAddr) -> HostAddress {
        HostAddress { ip, zone: None }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_unicast_link_local() || (first == 0xff && matches!(second & 0xf, 1 | 2))
}

/// The longest name of an interface (`IFNAMSIZ`, less its final zero).
const MAX_ZONE: usize = 15;

fn is_zone(zone: &str) -> bool {
    (1..=MAX_ZONE).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// One to four numbers: each but the last is a byte, and the last fills the bytes that are left.
fn parse_loose(text: &str) -> Option<Ipv4Addr> {
    let mut numbers = text.split('.').map(parse_number).collect::<Option<Vec<u32>>>()?;
    let last = numbers.pop()?;
    let bits_left = 32_u32.checked_sub(8 * u32::try_from(numbers.len()).ok()?).filter(|&bits| bits > 0)?;
    if u64::from(last) >> bits_left != 0 {
        return None;
    }
    let leading = numbers.iter().enumerate().try_fold(0, |value, (place, &number)| {
        let byte = u8::try_from(number).ok()?;
        Some(value | u32::from(byte) << (24 - 8 * place))
    });
    Some(Ipv4Addr::from(leading? | last))
}

/// A number with the prefixes of C.
fn parse_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // What from_str_radix would take besides digits is a sign.
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_typed(text: &str, address: Option<&str>) {
        let parsed = HostAddress::parse_typed(text).map(|address| address.to_string());
        assert_eq!(parsed.as_deref(), address, "{text}");
    }

    #[test]
    fn what_is_typed_is_read_as_inet_aton_does() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("127.1", "127.0.0.1"),
            ("10.1.258", "10.1.1.2"),
            ("1", "0.0.0.1"),
            ("4294967295", "255.255.255.255"),
            ("0x7f.1", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ] {
            assert_typed(text, Some(address));
        }
    }

    #[test]
    fn what_only_begins_like_an_address_is_a_name() {
        for text in [
            "",
            ".",
            "1.",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.256",
            "1.16777216",
            "09",
            "0x",
            "+1",
            "1 ",
            "a.1",
            "4294967296",
        ] {
            assert_typed(text, None);
        }
    }

    #[test]
    fn a_file_holds_four_decimal_numbers() {
        assert_eq!(HostAddress::parse("127.1"), None);
        assert_eq!(HostAddress::parse("010.0.0.9"), None);
        assert!(HostAddress::parse("10.0.0.9").is_some());
    }

    #[test]
    fn rfc_4007_section_11_a_zone_follows_a_percent_sign() {
        assert_typed("fe80::1%eth0", Some("fe80::1%eth0"));
        assert_typed("ff02::1%2", Some("ff02::1%2"));
        assert_typed("fe80::1%", None);
        assert_typed("fe80::1%a/b", None);
        assert_typed("fe80::1%a-name-that-is-too-long", None);
        // Of an address that is unique everywhere a zone says nothing.
        assert_typed("2001:db8::1%eth0", None);
        assert_typed("192.0.2.1%eth0", None);
    }
}
