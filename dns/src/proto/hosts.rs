//! The hosts file: names and addresses that are known without asking anybody.
//!
//! ```text
//!   192.0.2.1   www.example www    # a comment
//!   └ address   └ canonical └ aliases
//! ```
//!
//! Read as glibc reads it: several lines for one name add up, in the order of the file; a name is compared letter by letter,
//! without regard to case and with its last dot, if it has one; a line without a name, or whose address is none, is passed over.
//! The differences: an address that stands there twice is given once, and a link-local address may carry its zone.
//!
//! # Invariants
//!
//! - No more than [`MAX_NAMES`] names are kept, of the first lines; [`Hosts::is_cut`] tells that there were more.
//!
//! Sources: hosts(5); glibc's nss_files.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::host_address::{Family, HostAddress};

/// How many names and aliases are kept. The longest lists in use, of hosts to be blocked, have a quarter of it.
pub const MAX_NAMES: usize = 1_000_000;

/// The longest name that is kept; DNS knows none that is longer (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// What a hosts file says.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::{Family, Hosts};
///
/// let hosts = Hosts::parse(b"192.0.2.1 www.example www\n");
/// let found = hosts.lookup("WWW", Family::Any).unwrap();
/// assert_eq!(found.canonical_name, "www.example");
/// assert_eq!(found.addresses[0].to_string(), "192.0.2.1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    lines: Vec<Line>,
    /// Numbers of lines, in the order of the file; the key is in lower case.
    by_name: HashMap<Box<str>, Vec<u32>>,
    by_address: HashMap<IpAddr, Vec<u32>>,
    is_cut: bool,
}

#[derive(Clone, Debug)]
struct Line {
    address: HostAddress,
    /// The canonical name and the aliases, at least one in all.
    names: Box<[Box<str>]>,
}

/// What the hosts file says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsEntry<'a> {
    /// The first name on the first line that has the name asked for.
    pub canonical_name: &'a str,
    /// The other names on that line.
    pub aliases: &'a [Box<str>],
    /// The addresses of all lines that have the name, without repetitions, in the order of the file; at least one.
    pub addresses: Vec<HostAddress>,
}

impl Hosts {
    /// Reads a hosts file. What it does not understand it passes over.
    pub fn parse(text: &[u8]) -> Hosts {
        let mut hosts = Hosts::default();
        let mut names_left = MAX_NAMES;
        for line in text.split(|&byte| byte == b'\n') {
            let Some(line) = Line::parse(line) else {
                continue;
            };
            match names_left.checked_sub(line.names.len()) {
                Some(left) => names_left = left,
                None => {
                    hosts.is_cut = true;
                    break;
                }
            }
            hosts.add(line);
        }
        hosts
    }

    fn add(&mut self, line: Line) {
        let Ok(number) = u32::try_from(self.lines.len()) else {
            return;
        };
        for name in &line.names {
            let numbers = self.by_name.entry(lower(name)).or_default();
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
        self.by_address.entry(line.address.ip).or_default().push(number);
        self.lines.push(line);
    }

    /// What is known of a name; `None` if no line has it with an address that is wanted.
    ///
    /// When IPv4 is wanted, `::1` and IPv4 addresses mapped into IPv6 count as theirs, as in glibc.
    pub fn lookup(&self, name: &str, wanted: Family) -> Option<HostsEntry<'_>> {
        let mut first = None;
        let mut addresses = Vec::new();
        for line in self.lines_of(name) {
            let Some(address) = line.address_in(wanted) else {
                continue;
            };
            first.get_or_insert(line);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let (canonical_name, aliases) = first?.names.split_first()?;
        Some(HostsEntry { canonical_name, aliases, addresses })
    }

    fn lines_of(&self, name: &str) -> impl Iterator<Item = &Line> {
        // Most files have a few names in lower case, and most names are asked for in it.
        let numbers = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.by_name.get(&lower(name)),
            false => self.by_name.get(name),
        };
        numbers.into_iter().flatten().filter_map(|&number| self.lines.get(number as usize))
    }

    /// The names of an address, each once: for each line that has it, the canonical name first and then the aliases.
    ///
    /// glibc gives those of the first line alone.
    pub fn names_of(&self, address: IpAddr) -> Vec<&str> {
        let numbers = self.by_address.get(&address).into_iter().flatten();
        let lines = numbers.filter_map(|&number| self.lines.get(number as usize));
        let mut seen = HashSet::new();
        let names = lines.flat_map(|line| line.names.iter());
        names.map(|name| &**name).filter(|name| seen.insert(name.to_ascii_lowercase())).collect()
    }

    /// Whether the file has more names than are kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl Line {
    fn parse(line: &[u8]) -> Option<Line> {
        let end = line.iter().position(|&byte| byte == b'#').unwrap_or(line.len());
        let mut words = std::str::from_utf8(line.get(..end)?).ok()?.split_ascii_whitespace();
        let address = HostAddress::parse(words.next()?)?;
        let names: Box<[Box<str>]> = words.filter(|name| name.len() <= MAX_NAME).map(Box::from).collect();
        (!names.is_empty()).then_some(Line { address, names })
    }

    fn address_in(&self, wanted: Family) -> Option<HostAddress> {
        let address = match (wanted, self.address.ip) {
            (Family::V4, IpAddr::V6(Ipv6Addr::LOCALHOST)) => HostAddress::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            (Family::V4, IpAddr::V6(ip)) => HostAddress::from(IpAddr::V4(ip.to_ipv4_mapped()?)),
            _ => self.address.clone(),
        };
        wanted.includes(address.ip).then_some(address)
    }
}

fn lower(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &[u8] = b"127.0.0.1 localhost lo4\n\
        10.0.0.1  multi alias1   # comment\n\
        10.0.0.2  multi alias2\n\
        ::1 six\n\
        ::1 multi\n\
        300.1.1.1 bad\n\
        10.0.0.3\n\
        10.0.0.4 UPPER Case.Example.\n\
        1.2 short\n\
        \t10.0.0.5 indented#hash\r\n\
        10.0.0.6 dup dup\n\
        10.0.0.1 alias3 multi\n\
        ::ffff:10.0.0.7 mapped\n\
        # 10.0.0.9 commented\n\
        10.0.0.10 a.b.c a \xff\n\
        10.0.0.11 last # \xff";

    fn addresses(name: &str, wanted: Family) -> Vec<String> {
        let hosts = Hosts::parse(FILE);
        let found = hosts.lookup(name, wanted);
        found.map_or(Vec::new(), |found| found.addresses.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_for_one_name_add_up_in_the_order_of_the_file() {
        assert_eq!(addresses("multi", Family::Any), ["10.0.0.1", "10.0.0.2", "::1"]);
    }

    #[test]
    fn the_canonical_name_is_that_of_the_first_line_with_a_wanted_address() {
        let hosts = Hosts::parse(FILE);
        assert_eq!(hosts.lookup("alias3", Family::Any).unwrap().canonical_name, "alias3");
        let found = hosts.lookup("lo4", Family::Any).unwrap();
        assert_eq!((found.canonical_name, found.aliases), ("localhost", &["lo4".into()][..]));
    }

    #[test]
    fn case_makes_no_difference_and_the_last_dot_does() {
        assert_eq!(addresses("MULTI", Family::V4), addresses("multi", Family::V4));
        assert_eq!(addresses("upper", Family::Any), ["10.0.0.4"]);
        assert_eq!(addresses("case.example.", Family::Any), ["10.0.0.4"]);
        assert!(addresses("case.example", Family::Any).is_empty());
        assert!(addresses("multi.", Family::Any).is_empty());
    }

    #[test]
    fn the_families_are_kept_apart() {
        assert_eq!(addresses("multi", Family::V6), ["::1"]);
        assert!(addresses("localhost", Family::V6).is_empty());
    }

    #[test]
    fn loopback_and_mapped_addresses_of_ipv6_count_for_ipv4() {
        assert_eq!(addresses("six", Family::V4), ["127.0.0.1"]);
        assert_eq!(addresses("mapped", Family::V4), ["10.0.0.7"]);
        assert_eq!(addresses("mapped", Family::Any), ["::ffff:10.0.0.7"]);
        assert_eq!(addresses("multi", Family::V4), ["10.0.0.1", "10.0.0.2", "127.0.0.1"]);
    }

    #[test]
    fn comments_and_lines_that_make_no_sense_are_passed_over() {
        for name in ["bad", "short", "commented", "hash", "indented#hash", "comment", "a.b.c", "10.0.0.3", ""] {
            assert!(addresses(name, Family::Any).is_empty(), "{name}");
        }
        assert_eq!(addresses("indented", Family::Any), ["10.0.0.5"]);
        assert_eq!(addresses("last", Family::Any), ["10.0.0.11"]);
    }

    #[test]
    fn an_address_has_the_names_of_all_its_lines() {
        let hosts = Hosts::parse(FILE);
        let names = |ip: &str| hosts.names_of(ip.parse().unwrap());
        assert_eq!(names("10.0.0.1"), ["multi", "alias1", "alias3"]);
        assert!(names("10.0.0.99").is_empty());
    }

    #[test]
    fn a_link_local_address_may_carry_its_zone() {
        let hosts = Hosts::parse(b"fe80::1%eth0 router\n");
        assert_eq!(hosts.lookup("router", Family::V6).unwrap().addresses[0].zone.as_deref(), Some("eth0"));
    }

    #[test]
    fn more_names_than_the_limit_are_cut_and_told() {
        let mut text = b"192.0.2.1".to_vec();
        text.extend(b" n".repeat(MAX_NAMES - 1));
        text.extend(b"\n192.0.2.2 last\n192.0.2.3 beyond\n");
        let hosts = Hosts::parse(&text);
        assert!(hosts.is_cut());
        assert!(hosts.lookup("last", Family::Any).is_some());
        assert!(hosts.lookup("beyond", Family::Any).is_none());
        assert!(!Hosts::parse(FILE).is_cut());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..500)) {
            let hosts = Hosts::parse(&text);
            prop_assert!(hosts.lookup("n", Family::Any).is_none_or(|found| !found.addresses.is_empty()));
        }

        #[test]
        fn what_is_written_is_found(lines in proptest::collection::vec((any::<IpAddr>(), "[a-z]{1,2}"), 0..40)) {
            let text: String = lines.iter().map(|(address, name)| format!("{address}\t{name}\n")).collect();
            let hosts = Hosts::parse(text.as_bytes());
            for (address, name) in &lines {
                let found = hosts.lookup(name, Family::Any).unwrap();
                prop_assert!(found.addresses.iter().any(|known| known.ip == *address));
                prop_assert!(hosts.names_of(*address).contains(&name.as_str()));
            }
        }
    }
}
