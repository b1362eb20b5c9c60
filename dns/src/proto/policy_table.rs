//! The policy table of RFC 6724, section 2.1, and the file gai.conf that replaces it.
//!
//! A label says which sources suit a destination, a precedence which destinations are preferred.
//! The longest prefix that contains an address decides; IPv4 addresses are looked up as mapped ones (`::ffff:0:0/96`).
//!
//! Differs from glibc 2.36 in the defaults: that one has those of RFC 3484, which prefer unique local addresses and 6to4
//! to IPv4. A line in gai.conf makes both the same.
//!
//! Sources: RFC 6724, sections 2.1 and 3.2; gai.conf(5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many lines of each kind are kept of gai.conf.
pub const MAX_POLICIES: usize = 128;

/// The scope of a link-local address, as in multicast addresses (RFC 4291, section 2.7).
pub(super) const LINK_LOCAL: u8 = 2;

/// The scope of a site-local address.
const SITE_LOCAL: u8 = 5;

/// The scope of an address that is reachable from everywhere.
pub(super) const GLOBAL: u8 = 14;

/// A value for the addresses under a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    prefix: u128,
    length: u32,
    value: u32,
}

/// Labels, precedences, and the scopes of IPv4 addresses.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::PolicyTable;
///
/// let table = PolicyTable::default();
/// assert!(table.precedence("2001:db8::1".parse().unwrap()) > table.precedence("192.0.2.1".parse().unwrap()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    labels: Vec<Policy>,
    precedences: Vec<Policy>,
    /// Of IPv4 addresses.
    scopes: Vec<Policy>,
}

const fn policy(prefix: [u16; 8], length: u32, value: u32) -> Policy {
    let [a, b, c, d, e, f, g, h] = prefix;
    Policy { prefix: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), length, value }
}

/// RFC 6724, section 2.1.
const DEFAULT_LABELS: [Policy; 9] = [
    policy([0, 0, 0, 0, 0, 0, 0, 1], 128, 0),
    policy([0; 8], 0, 1),
    policy([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 4),
    policy([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 2),
    policy([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5),
    policy([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 13),
    policy([0; 8], 96, 3),
    policy([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 11),
    policy([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 12),
];

/// RFC 6724, section 2.1.
const DEFAULT_PRECEDENCES: [Policy; 9] = [
    policy([0, 0, 0, 0, 0, 0, 0, 1], 128, 50),
    policy([0; 8], 0, 40),
    policy([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 35),
    policy([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30),
    policy([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5),
    policy([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 3),
    policy([0; 8], 96, 1),
    policy([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 1),
    policy([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 1),
];

/// RFC 6724, section 3.2: loopback and autoconfigured addresses are link-local, all others global.
const DEFAULT_SCOPES: [Policy; 3] = [
    policy([0, 0, 0, 0, 0, 0xffff, 0xa9fe, 0], 112, LINK_LOCAL as u32),
    policy([0, 0, 0, 0, 0, 0xffff, 0x7f00, 0], 104, LINK_LOCAL as u32),
    policy([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, GLOBAL as u32),
];

impl Default for PolicyTable {
    fn default() -> PolicyTable {
        PolicyTable {
            labels: DEFAULT_LABELS.to_vec(),
            precedences: DEFAULT_PRECEDENCES.to_vec(),
            scopes: DEFAULT_SCOPES.to_vec(),
        }
    }
}

impl PolicyTable {
    /// Reads gai.conf: one line `label`, `precedence` or `scopev4` replaces the defaults of its kind, as in glibc.
    ///
    /// What it does not understand it passes over. `reload` does nothing, as files are always read anew when they change.
    pub fn parse(text: &[u8]) -> PolicyTable {
        let mut table = PolicyTable { labels: Vec::new(), precedences: Vec::new(), scopes: Vec::new() };
        for line in String::from_utf8_lossy(text).lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let policies = match words.next() {
                Some("label") => &mut table.labels,
                Some("precedence") => &mut table.precedences,
                Some("scopev4") => &mut table.scopes,
                _ => continue,
            };
            if policies.len() < MAX_POLICIES {
                policies.extend(words.next().zip(words.next()).and_then(|(prefix, value)| parse_policy(prefix, value)));
            }
        }
        table.fill_up()
    }

    fn fill_up(mut self) -> PolicyTable {
        let default = PolicyTable::default();
        for (policies, default) in [
            (&mut self.labels, default.labels),
            (&mut self.precedences, default.precedences),
            (&mut self.scopes, default.scopes),
        ] {
            if policies.is_empty() {
                *policies = default;
            }
        }
        self
    }

    /// The label of an address: a source suits a destination of the same label.
    pub fn label(&self, address: IpAddr) -> u32 {
        // A table without an entry for all addresses is one from gai.conf, where glibc adds `::/0 1`.
        lookup(&self.labels, mapped(address)).unwrap_or(1)
    }

    /// The precedence of a destination: more is better.
    pub fn precedence(&self, address: IpAddr) -> u32 {
        lookup(&self.precedences, mapped(address)).unwrap_or(40)
    }

    /// How far an address reaches (RFC 6724, section 3.1), as in multicast addresses: 2 a link, 5 a site, 14 everywhere.
    pub fn scope(&self, address: IpAddr) -> u8 {
        let v6 = match address {
            IpAddr::V4(v4) => return self.scope_of_v4(v4),
            IpAddr::V6(v6) => v6,
        };
        if v6.is_multicast() {
            return v6.octets()[1] & 0xf;
        }
        if v6.is_unicast_link_local() || v6.is_loopback() {
            return LINK_LOCAL;
        }
        match v6.to_ipv4_mapped() {
            Some(v4) => self.scope_of_v4(v4),
            None if v6.segments()[0] & 0xffc0 == 0xfec0 => SITE_LOCAL,
            None => GLOBAL,
        }
    }

    fn scope_of_v4(&self, address: Ipv4Addr) -> u8 {
        let scope = lookup(&self.scopes, mapped(IpAddr::V4(address)));
        scope.and_then(|scope| u8::try_from(scope).ok()).unwrap_or(GLOBAL)
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The value of the longest prefix that contains the address.
fn lookup(policies: &[Policy], address: u128) -> Option<u32> {
    let contains = |policy: &&Policy| (address ^ policy.prefix).leading_zeros() >= policy.length;
    policies.iter().filter(contains).max_by_key(|policy| policy.length).map(|policy| policy.value)
}

fn parse_policy(prefix: &str, value: &str) -> Option<Policy> {
    let (address, length) = prefix.split_once('/').unwrap_or((prefix, ""));
    let (prefix, bits_above) = match address.parse().ok()? {
        IpAddr::V6(v6) => (v6.to_bits(), 0),
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), 96),
    };
    let length = if length.is_empty() { 128 } else { length.parse::<u32>().ok()?.checked_add(bits_above)? };
    (length <= 128).then_some(Policy { prefix, length, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rfc_6724_section_2_1_the_default_table() {
        let table = PolicyTable::default();
        for (address, precedence, label) in [
            ("::1", 50, 0),
            ("2a00:1450::1", 40, 1),
            ("192.0.2.1", 35, 4),
            ("::ffff:192.0.2.1", 35, 4),
            ("2002:c000:201::1", 30, 2),
            ("2001:0:1::1", 5, 5),
            ("2001:db8::1", 40, 1),
            ("fd00::1", 3, 13),
            ("::192.0.2.1", 1, 3),
            ("fec0::1", 1, 11),
            ("3ffe::1", 1, 12),
        ] {
            assert_eq!((table.precedence(ip(address)), table.label(ip(address))), (precedence, label), "{address}");
        }
    }

    #[test]
    fn rfc_6724_section_3_1_scopes() {
        let table = PolicyTable::default();
        for (address, scope) in [
            ("fe80::1", 2),
            ("::1", 2),
            ("fec0::1", 5),
            ("fd00::1", 14),
            ("2001:db8::1", 14),
            ("ff02::1", 2),
            ("ff05::2", 5),
            ("ff0e::1", 14),
        ] {
            assert_eq!(table.scope(ip(address)), scope, "{address}");
        }
    }

    #[test]
    fn rfc_6724_section_3_2_scopes_of_ipv4_addresses() {
        let table = PolicyTable::default();
        for (address, scope) in [
            ("127.0.0.1", 2),
            ("169.254.1.1", 2),
            ("10.0.0.1", 14),
            ("192.168.1.1", 14),
            ("192.0.2.1", 14),
            ("::ffff:127.0.0.1", 2),
        ] {
            assert_eq!(table.scope(ip(address)), scope, "{address}");
        }
    }

    #[test]
    fn a_line_of_gai_conf_replaces_all_defaults_of_its_kind() {
        let table = PolicyTable::parse(b"# label ::/0 9\nprecedence ::ffff:0:0/96  100 # IPv4 first\nreload yes\n");
        assert_eq!(table.precedence(ip("192.0.2.1")), 100);
        assert_eq!(table.precedence(ip("::1")), 40);
        assert_eq!(table.label(ip("::1")), 0);
        assert_eq!(PolicyTable::parse(b""), PolicyTable::default());
    }

    #[test]
    fn scopes_of_ipv4_are_given_as_mapped_addresses() {
        let table = PolicyTable::parse(b"scopev4 ::ffff:10.0.0.0/104 5\nscopev4 ::ffff:0.0.0.0/96 14\n");
        assert_eq!((table.scope(ip("10.1.1.1")), table.scope(ip("127.0.0.1"))), (5, 14));
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let text = b"label\nlabel ::/0\nlabel ::/129 1\nlabel x 1\nlabel ::/0 x\nlabel 10.0.0.0/33 1\nlabel 0.0.0.0/4294967295 1\n\xff";
        assert_eq!(PolicyTable::parse(text), PolicyTable::default());
    }

    proptest! {
        #[test]
        fn any_lines_can_be_read_and_used(
            lines in proptest::collection::vec("(label|precedence|scopev4) [0-9a-f:.]{0,12}/?[0-9]{0,3} [0-9]{1,4}", 0..20),
            address in any::<IpAddr>(),
        ) {
            let table = PolicyTable::parse(lines.join("\n").as_bytes());
            table.label(address);
            table.precedence(address);
            table.scope(address);
        }
    }
}
