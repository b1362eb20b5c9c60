//! What the kernel tells of this machine's IPv6 addresses: `/proc/net/if_inet6`.
//!
//! ```text
//!   20010db8000000000000000000000009 02 40 00 20     eth0
//!   └ address                        │  │  │  └ flags └ interface
//!                     its number, the prefix's length, the scope, all hexadecimal
//! ```
//!
//! Source: Linux, `net/ipv6/addrconf.c`, and the flags of `linux/if_addr.h`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::address_order::SourceAddress;

/// How many addresses are kept.
pub const MAX_LOCAL_ADDRESSES: usize = 4096;

/// `IFA_F_HOMEADDRESS`.
const HOME: u8 = 0x10;

/// `IFA_F_DEPRECATED`.
const DEPRECATED: u8 = 0x20;

/// What is known of this machine's addresses, for the rules of RFC 6724 that look at the source.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::LocalAddresses;
///
/// let known = LocalAddresses::parse(b"20010db8000000000000000000000009 02 40 00 20 eth0\n");
/// let source = known.describe("2001:db8::9".parse().unwrap());
/// assert!(source.is_deprecated);
/// assert_eq!(source.prefix_length, Some(64));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    known: HashMap<Ipv6Addr, (u8, u8)>,
}

impl LocalAddresses {
    /// Reads the kernel's list. What it does not understand it passes over.
    pub fn parse(text: &[u8]) -> LocalAddresses {
        let text = String::from_utf8_lossy(text);
        LocalAddresses { known: text.lines().filter_map(parse_line).take(MAX_LOCAL_ADDRESSES).collect() }
    }

    /// An address of this machine with all that is known of it, which of an IPv4 address is nothing.
    pub fn describe(&self, ip: IpAddr) -> SourceAddress {
        let mut source = SourceAddress::from(ip);
        if let IpAddr::V6(v6) = ip
            && let Some(&(prefix_length, flags)) = self.known.get(&v6)
        {
            source.prefix_length = Some(prefix_length);
            source.is_deprecated = flags & DEPRECATED != 0;
            source.is_home = flags & HOME != 0;
        }
        source
    }
}

fn parse_line(line: &str) -> Option<(Ipv6Addr, (u8, u8))> {
    let mut words = line.split_ascii_whitespace();
    let address = words.next().filter(|word| word.len() == 32)?;
    let address = u128::from_str_radix(address, 16).ok()?;
    let [_index, prefix_length, _scope, flags] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let prefix_length = u8::from_str_radix(prefix_length, 16).ok().filter(|&length| length <= 128)?;
    // Newer flags take more digits than two; those of interest are in the last.
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Some((Ipv6Addr::from_bits(address), (prefix_length, (flags & 0xff) as u8)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &[u8] = b"00000000000000000000000000000001 01 80 10 80       lo\n\
        20010db8000000000000000000000009 02 38 00 20     eth0\n\
        20010db800000000000000000000000a 02 40 00 110     eth0\n\
        nonsense\n\
        20010db80000000000000000000000 02 40 00 00 eth0\n";

    fn describe(ip: &str) -> SourceAddress {
        LocalAddresses::parse(LIST).describe(ip.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_prefix_and_flags() {
        let source = describe("2001:db8::9");
        assert_eq!((source.prefix_length, source.is_deprecated, source.is_home), (Some(56), true, false));
        let source = describe("2001:db8::a");
        assert_eq!((source.prefix_length, source.is_deprecated, source.is_home), (Some(64), false, true));
    }

    #[test]
    fn of_other_addresses_nothing_is_known() {
        for ip in ["192.0.2.1", "2001:db8::b"] {
            assert_eq!(describe(ip), SourceAddress::from(ip.parse::<IpAddr>().unwrap()));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            LocalAddresses::parse(&text);
        }
    }
}
