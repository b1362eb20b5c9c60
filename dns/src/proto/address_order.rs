//! The order in which the addresses of a host are tried: destination address selection of RFC 6724, section 6.
//!
//! ```text
//!   1 usable    2 scope matches its source's    3 source not deprecated    4 source is home    5 label matches
//!   6 higher precedence    7 native transport    8 smaller scope    9 longest common prefix    10 as it was
//! ```
//!
//! All rules but the ninth look at one destination and its source, so they make a key to sort by.
//! The ninth holds between addresses of one family only, which is no order over both: it is applied afterwards,
//! among destinations that the other rules leave equal.
//!
//! The source that the system would take is found by the caller, who connects a datagram socket, which sends nothing.
//!
//! # What is absent
//!
//! The choice of a source (section 5), which is the kernel's. For IPv4 the ninth rule is applied if the length of the
//! source's prefix is known, which [`sort_addresses`]'s callers here leave out: it would send all clients of a network
//! to the same one of several servers that share a name.
//!
//! Source: RFC 6724.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::policy_table::PolicyTable;

/// The address from which the system would reach a destination, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits name its network; an IPv6 address has 64 if this is not known, an IPv4 address is not compared.
    pub prefix_length: Option<u8>,
    /// Whether new connections should not use it (RFC 4862, section 5.5.4).
    pub is_deprecated: bool,
    /// Whether it is a mobile node's address at home (RFC 6275).
    pub is_home: bool,
    /// Whether what it sends travels inside another protocol.
    pub is_tunnelled: bool,
}

impl From<IpAddr> for SourceAddress {
    /// An address of which nothing special is known.
    fn from(ip: IpAddr) -> SourceAddress {
        SourceAddress { ip, prefix_length: None, is_deprecated: false, is_home: false, is_tunnelled: false }
    }
}

/// Sorts destinations so that the one to be tried first comes first.
///
/// `address` tells the address of a destination, and `source` the source that the system would take to reach it: `None` if it
/// cannot be reached. Destinations that no rule tells apart keep their order.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use grapeshot_dns::proto::{PolicyTable, SourceAddress, sort_addresses};
///
/// let mut addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
/// // Both can be reached, each from an address of its kind.
/// let source = |to: &IpAddr| {
///     let from = if to.is_ipv4() { "192.0.2.9" } else { "2001:db8::9" };
///     Some(SourceAddress::from(from.parse::<IpAddr>().unwrap()))
/// };
/// sort_addresses(&mut addresses, &PolicyTable::default(), |address| *address, source);
/// assert!(addresses[0].is_ipv6());
/// ```
pub fn sort_addresses<T: Clone>(
    destinations: &mut [T],
    table: &PolicyTable,
    address: impl Fn(&T) -> IpAddr,
    mut source: impl FnMut(&T) -> Option<SourceAddress>,
) {
    let mut ranked: Vec<Ranked<T>> = destinations
        .iter()
        .map(|destination| {
            let (to, from) = (address(destination), source(destination));
            let common = from.map_or(0, |from| common_prefix(from, to));
            Ranked { rank: Rank::of(to, from, table), is_v4: to.is_ipv4(), common, destination: destination.clone() }
        })
        .collect();
    // Keeps the order of what is equal: rule 10.
    ranked.sort_by_key(|ranked| ranked.rank);
    for equal in ranked.chunk_by_mut(|one, other| one.rank == other.rank) {
        prefer_common_prefixes(equal);
    }
    for (place, ranked) in destinations.iter_mut().zip(ranked) {
        *place = ranked.destination;
    }
}

struct Ranked<T> {
    rank: Rank,
    is_v4: bool,
    common: u32,
    destination: T,
}

/// The rules that look at one destination, in their order; less is better, and so `true` says what is worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_unusable: bool,
    differs_in_scope: bool,
    has_deprecated_source: bool,
    /// As no destination has a source that is both, the rule's two sides are one.
    has_foreign_source: bool,
    differs_in_label: bool,
    precedence: Reverse<u32>,
    is_tunnelled: bool,
    scope: u8,
}

impl Rank {
    fn of(to: IpAddr, from: Option<SourceAddress>, table: &PolicyTable) -> Rank {
        let scope = table.scope(to);
        Rank {
            is_unusable: from.is_none(),
            differs_in_scope: from.is_none_or(|from| table.scope(from.ip) != scope),
            has_deprecated_source: from.is_some_and(|from| from.is_deprecated),
            has_foreign_source: from.is_none_or(|from| !from.is_home),
            differs_in_label: from.is_none_or(|from| table.label(from.ip) != table.label(to)),
            precedence: Reverse(table.precedence(to)),
            is_tunnelled: from.is_some_and(|from| from.is_tunnelled),
            scope,
        }
    }
}

/// Rule 9, among destinations that rank the same: those of each family are sorted into the places that they have.
fn prefer_common_prefixes<T>(equal: &mut [Ranked<T>]) {
    // Where the families do not mix, which is wherever the table tells them apart, this is all.
    if equal.iter().all(|ranked| ranked.is_v4 == equal[0].is_v4) {
        equal.sort_by_key(|ranked| Reverse(ranked.common));
        return;
    }
    for is_v4 in [true, false] {
        let places: Vec<usize> = (0..equal.len()).filter(|&place| equal[place].is_v4 == is_v4).collect();
        // Insertion keeps it stable and in place; a mixed group needs a table that ranks both families the same.
        for sorted in 1..places.len() {
            for at in (1..=sorted).rev() {
                let (before, after) = (places[at - 1], places[at]);
                if equal[before].common >= equal[after].common {
                    break;
                }
                equal.swap(before, after);
            }
        }
    }
}

/// How many leading bits a source shares with a destination, within the source's prefix (section 2.2).
fn common_prefix(source: SourceAddress, to: IpAddr) -> u32 {
    match (source.ip, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let limit = source.prefix_length.unwrap_or(64);
            (from.to_bits() ^ to.to_bits()).leading_zeros().min(limit.into())
        }
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let limit = source.prefix_length.unwrap_or(0);
            (from.to_bits() ^ to.to_bits()).leading_zeros().min(limit.into())
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A destination, and the source that the RFC says is chosen for it.
    type Pair<'a> = (&'a str, Option<SourceAddress>);

    fn from(text: &str) -> Option<SourceAddress> {
        Some(SourceAddress::from(ip(text)))
    }

    /// Sorts the pairs in both orders: what a rule decides does not depend on where it started.
    #[track_caller]
    fn assert_order_in(table: &PolicyTable, first: Pair<'_>, second: Pair<'_>) {
        for mut pairs in [[first, second], [second, first]] {
            sort_addresses(&mut pairs, table, |(to, _)| ip(to), |(_, from)| *from);
            assert_eq!(pairs.map(|(to, _)| to), [first.0, second.0]);
        }
    }

    #[track_caller]
    fn assert_order(first: Pair<'_>, second: Pair<'_>) {
        assert_order_in(&PolicyTable::default(), first, second);
    }

    #[test]
    fn rfc_6724_section_10_2_prefer_matching_scope() {
        assert_order(("2001:db8:1::1", from("2001:db8:1::2")), ("198.51.100.121", from("169.254.13.78")));
        assert_order(("198.51.100.121", from("198.51.100.117")), ("2001:db8:1::1", from("fe80::1")));
    }

    #[test]
    fn rfc_6724_section_10_2_prefer_higher_precedence() {
        assert_order(("2001:db8:1::1", from("2001:db8:1::2")), ("10.1.2.3", from("10.1.2.4")));
        assert_order(("2001:db8:1::1", from("2001:db8:1::2")), ("2002:c633:6401::1", from("2002:c633:6401::2")));
    }

    #[test]
    fn rfc_6724_section_10_2_prefer_smaller_scope() {
        assert_order(("fe80::1", from("fe80::2")), ("2001:db8:1::1", from("2001:db8:1::2")));
    }

    #[test]
    fn rfc_6724_section_10_2_prefer_home_address() {
        let home = Some(SourceAddress { is_home: true, ..SourceAddress::from(ip("2001:db8:3::1")) });
        assert_order(("2001:db8:1::1", home), ("fe80::1", from("fe80::2")));
    }

    #[test]
    fn rfc_6724_section_10_2_avoid_deprecated_addresses() {
        let deprecated = Some(SourceAddress { is_deprecated: true, ..SourceAddress::from(ip("fe80::2")) });
        assert_order(("2001:db8:1::1", from("2001:db8:1::2")), ("fe80::1", deprecated));
    }

    #[test]
    fn rfc_6724_section_10_2_longest_matching_prefix() {
        assert_order(("2001:db8:1::1", from("2001:db8:1::2")), ("2001:db8:3ffe::1", from("2001:db8:3f44::2")));
    }

    #[test]
    fn rfc_6724_section_10_2_prefer_matching_label() {
        assert_order(("2002:c633:6401::1", from("2002:c633:6401::2")), ("2001:db8:1::1", from("2002:c633:6401::2")));
    }

    #[test]
    fn rfc_6724_section_10_3_a_table_may_prefer_ipv4() {
        let text = b"precedence ::1/128 50\nprecedence ::/0 40\nprecedence ::ffff:0:0/96 100\n";
        let table = PolicyTable::parse(text);
        assert_order_in(&table, ("10.1.2.3", from("10.1.2.4")), ("2001:db8:1::1", from("2001:db8:1::2")));
        // A matching scope still comes before it.
        assert_order_in(&table, ("2001:db8:1::1", from("2001:db8:1::2")), ("198.51.100.121", from("169.254.13.78")));
    }

    #[test]
    fn rfc_6724_section_6_rule_1_avoid_unusable_destinations() {
        assert_order(("10.1.2.3", from("10.1.2.4")), ("2001:db8:1::1", None));
    }

    #[test]
    fn rfc_6724_section_6_rule_7_prefer_native_transport() {
        let tunnelled = Some(SourceAddress { is_tunnelled: true, ..SourceAddress::from(ip("2001:db8:1::2")) });
        assert_order(("2001:db8:2::1", from("2001:db8:3::2")), ("2001:db8:1::1", tunnelled));
    }

    #[test]
    fn rfc_6724_section_2_2_a_common_prefix_ends_with_the_sources_prefix() {
        let source = |length| SourceAddress { prefix_length: length, ..SourceAddress::from(ip("2001:db8:0:1::2")) };
        assert_eq!(common_prefix(source(None), ip("2001:db8:0:1::3")), 64);
        assert_eq!(common_prefix(source(Some(48)), ip("2001:db8:0:1::3")), 48);
        assert_eq!(common_prefix(source(Some(128)), ip("2001:db8:0:1::3")), 127);
        assert_eq!(common_prefix(source(None), ip("2001:db9::")), 31);
    }

    #[test]
    fn rfc_6724_section_6_rule_9_for_ipv4_needs_a_prefix_length() {
        let near = |length| Some(SourceAddress { prefix_length: length, ..SourceAddress::from(ip("10.0.0.1")) });
        assert_order(("10.0.0.2", near(Some(24))), ("192.0.2.1", near(Some(24))));
        let mut unknown = [("192.0.2.1", near(None)), ("10.0.0.2", near(None))];
        sort_addresses(&mut unknown, &PolicyTable::default(), |(to, _)| ip(to), |(_, from)| *from);
        assert_eq!(unknown[0].0, "192.0.2.1");
    }

    #[test]
    fn rfc_6724_section_6_rule_9_keeps_to_one_family() {
        // A table that ranks all addresses the same.
        let table = PolicyTable::parse(b"precedence ::/0 1\nlabel ::/0 1\n");
        let mut pairs = [
            ("2001:db8:ffff::1", from("2001:db8:1::9")),
            ("192.0.2.1", from("192.0.2.9")),
            ("2001:db8:1::1", from("2001:db8:1::9")),
        ];
        sort_addresses(&mut pairs, &table, |(to, _)| ip(to), |(_, from)| *from);
        assert_eq!(pairs.map(|(to, _)| to), ["2001:db8:1::1", "192.0.2.1", "2001:db8:ffff::1"]);
    }

    #[test]
    fn rfc_6724_section_6_rule_10_otherwise_the_order_stays() {
        let mut pairs = ["192.0.2.3", "192.0.2.1", "192.0.2.2"].map(|to| (to, from("192.0.2.9")));
        sort_addresses(&mut pairs, &PolicyTable::default(), |(to, _)| ip(to), |(_, from)| *from);
        assert_eq!(pairs.map(|(to, _)| to), ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
    }

    fn source_address() -> impl Strategy<Value = Option<SourceAddress>> {
        proptest::option::of((any::<IpAddr>(), proptest::option::of(0_u8..=128), any::<[bool; 3]>()).prop_map(
            |(ip, prefix_length, [is_deprecated, is_home, is_tunnelled])| SourceAddress {
                ip,
                prefix_length,
                is_deprecated,
                is_home,
                is_tunnelled,
            },
        ))
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_sorting_again_changes_nothing(
            mut pairs in proptest::collection::vec((any::<IpAddr>(), source_address()), 0..30),
            equal_families in any::<bool>(),
        ) {
            let table = match equal_families {
                true => PolicyTable::parse(b"precedence ::/0 1\nlabel ::/0 1\n"),
                false => PolicyTable::default(),
            };
            let mut before = pairs.clone();
            sort_addresses(&mut pairs, &table, |(to, _)| *to, |(_, from)| *from);
            let once = pairs.clone();
            sort_addresses(&mut pairs, &table, |(to, _)| *to, |(_, from)| *from);
            prop_assert_eq!(&once, &pairs);
            before.sort_by_key(|(to, from)| (*to, format!("{from:?}")));
            pairs.sort_by_key(|(to, from)| (*to, format!("{from:?}")));
            prop_assert_eq!(before, pairs);
        }

        #[test]
        fn what_cannot_be_reached_comes_last(
            mut pairs in proptest::collection::vec((any::<IpAddr>(), source_address()), 0..30),
        ) {
            sort_addresses(&mut pairs, &PolicyTable::default(), |(to, _)| *to, |(_, from)| *from);
            let reached = pairs.iter().take_while(|(_, from)| from.is_some()).count();
            prop_assert!(pairs[reached..].iter().all(|(_, from)| from.is_none()));
        }
    }
}
