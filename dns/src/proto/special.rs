//! Names that are answered without asking a server, because the answer is known or because nobody is to hear of them.
//!
//! | name | answer | source |
//! |---|---|---|
//! | `localhost`, and names under it | 127.0.0.1 and ::1 | RFC 6761, section 6.3 |
//! | 127.0.0.0/8 and ::1, backwards | `localhost` | RFC 6761, section 6.3, read backwards |
//! | `invalid`, and names under it | no such name | RFC 6761, section 6.4 |
//! | `onion`, and names under it | no such name | RFC 7686, section 2 |
//!
//! Whether the hosts file is asked before is for the caller to say; a line for `localhost` in it should count.
//!
//! # What is absent
//!
//! `test` and `example` (RFC 6761, sections 6.2 and 6.5: resolvers should not treat them otherwise than any other name),
//! private addresses backwards (section 6.1 says the same), and `local`, which the name servers of many a network know:
//! where Multicast DNS is in use, nsswitch.conf says so ([`NameSource::MulticastDns`](super::NameSource::MulticastDns)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

/// The addresses of `localhost`, in the order of RFC 6724.
pub const LOOPBACK: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// What is known of a name without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// It is this machine: its addresses are [`LOOPBACK`], and it has no other data.
    Localhost,
    /// It is the name of a loopback address, backwards: it points to `localhost.`, and has no other data.
    LoopbackPointer,
    /// It does not exist.
    NoSuchName,
}

impl Special {
    /// What is known of a name; `None` if it has to be asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_dns::proto::{Name, Special};
    ///
    /// let special = |name: &str| Special::of(&Name::from_ascii(name).unwrap());
    /// assert_eq!(special("www.localhost."), Some(Special::Localhost));
    /// assert_eq!(special("Facebook.Onion."), Some(Special::NoSuchName));
    /// assert_eq!(special("www.example."), None);
    /// ```
    pub fn of(name: &Name) -> Option<Special> {
        let top = name.iter().next_back()?;
        if top.eq_ignore_ascii_case(b"localhost") {
            return Some(Special::Localhost);
        }
        if top.eq_ignore_ascii_case(b"invalid") || top.eq_ignore_ascii_case(b"onion") {
            return Some(Special::NoSuchName);
        }
        is_loopback_pointer(name).then_some(Special::LoopbackPointer)
    }
}

/// Whether this is the name of an address within 127.0.0.0/8, or of ::1, backwards and in full.
fn is_loopback_pointer(name: &Name) -> bool {
    let mut labels = name.iter().rev();
    if !labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"arpa")) {
        return false;
    }
    let Some(tree) = labels.next() else {
        return false;
    };
    if tree.eq_ignore_ascii_case(b"in-addr") {
        let is_byte = |label: &[u8]| std::str::from_utf8(label).is_ok_and(|text| text.parse::<u8>().is_ok());
        return labels.next() == Some(b"127") && labels.len() == 3 && labels.all(is_byte);
    }
    let loopback_digits = std::iter::repeat_n(&b"0"[..], 31).chain([&b"1"[..]]);
    tree.eq_ignore_ascii_case(b"ip6") && labels.eq(loopback_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_special(text: &str, expected: Option<Special>) {
        assert_eq!(Special::of(&Name::from_ascii(text).unwrap()), expected, "{text}");
    }

    #[test]
    fn rfc_6761_section_6_3_localhost_is_this_machine() {
        for name in ["localhost", "localhost.", "LocalHost.", "a.b.localhost."] {
            assert_special(name, Some(Special::Localhost));
        }
        for name in ["localhost.example.", "mylocalhost.", "."] {
            assert_special(name, None);
        }
    }

    #[test]
    fn rfc_6761_section_6_4_invalid_names_do_not_exist() {
        assert_special("invalid.", Some(Special::NoSuchName));
        assert_special("www.INVALID.", Some(Special::NoSuchName));
        assert_special("invalid.example.", None);
    }

    #[test]
    fn rfc_7686_section_2_onion_names_are_not_looked_up() {
        assert_special("onion.", Some(Special::NoSuchName));
        assert_special("abcdef.onion.", Some(Special::NoSuchName));
        assert_special("onion.example.", None);
    }

    #[test]
    fn rfc_6761_sections_6_1_6_2_and_6_5_other_names_are_asked_for() {
        for name in ["test.", "www.test.", "example.", "example.com.", "1.0.168.192.in-addr.arpa.", "printer.local."] {
            assert_special(name, None);
        }
    }

    #[test]
    fn loopback_addresses_point_to_localhost() {
        assert_special("1.0.0.127.in-addr.arpa.", Some(Special::LoopbackPointer));
        assert_special("255.1.2.127.IN-ADDR.ARPA.", Some(Special::LoopbackPointer));
        let ipv6 = format!("1.{}ip6.arpa.", "0.".repeat(31));
        assert_special(&ipv6, Some(Special::LoopbackPointer));
    }

    #[test]
    fn a_part_of_a_loopback_address_is_asked_for() {
        for name in
            ["127.in-addr.arpa.", "0.0.127.in-addr.arpa.", "x.0.0.127.in-addr.arpa.", "256.0.0.127.in-addr.arpa."]
        {
            assert_special(name, None);
        }
        assert_special(&format!("2.{}ip6.arpa.", "0.".repeat(31)), None);
        assert_special(&format!("1.{}ip6.arpa.", "0.".repeat(32)), None);
        assert_special("arpa.", None);
        assert_special("ip6.arpa.", None);
    }
}
