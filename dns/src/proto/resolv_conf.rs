//! The file resolv.conf: which servers are asked, what is appended to names, and how patiently.
//!
//! ```text
//!   nameserver 192.0.2.53            # three at most; fe80::1%eth0, and [2001:db8::53]:5353 which is ours
//!   search example.com example.org   # or `domain example.com`; the last of these lines counts
//!   options ndots:2 timeout:3        # lines of options add up
//! ```
//!
//! Read as glibc reads it, which never refuses a file: a line or an option that is unknown or makes no sense is passed over,
//! and numbers beyond their limit are cut to it.
//! Written here rather than taken from a crate, because a port behind a server must not cost the server its place.
//!
//! # What is absent
//!
//! `sortlist`, which glibc itself minds in old calls alone: addresses are sorted by RFC 6724.
//! The options `debug`, `no-check-names`, `inet6`, `no-reload` and `no-tld-query` do nothing.
//!
//! Sources: resolv.conf(5); the limits are those of glibc's resolv.h.

use std::time::Duration;

use hickory_proto::rr::Name;

use super::host_address::HostAddress;

/// How many servers are used, as in glibc (`MAXNS`); lines after them are passed over.
pub const MAX_SERVERS: usize = 3;

/// How many domains of a search list are used. In glibc since 2.26 there is no limit, and each costs two queries.
pub const MAX_SEARCH: usize = 32;

/// The largest number of dots (`RES_MAXNDOTS`).
pub const MAX_NDOTS: usize = 15;

/// The longest time limit of one query (`RES_MAXRETRANS`).
pub const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// The shortest time limit, which glibc puts in the place of zero.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest number of attempts (`RES_MAXRETRY`).
pub const MAX_ATTEMPTS: u32 = 5;

/// A line `nameserver`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLine {
    /// Its address.
    pub address: HostAddress,
    /// Its port, if one is given, which no other resolver understands.
    pub port: Option<u16>,
}

/// What resolv.conf says.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::proto::ResolvConf;
///
/// let file = ResolvConf::parse(b"nameserver 192.0.2.53\noptions ndots:2 rotate\n");
/// assert_eq!(file.servers[0].address.to_string(), "192.0.2.53");
/// assert_eq!((file.ndots, file.rotate), (2, true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The servers, in order; if there are none, the one on this machine is meant.
    pub servers: Vec<ServerLine>,
    /// The search list; `None` if no line gives one, when the domain of the host's own name is meant.
    pub search: Option<Vec<Name>>,
    /// `ndots`.
    pub ndots: usize,
    /// `timeout`.
    pub timeout: Duration,
    /// `attempts`.
    pub attempts: u32,
    /// `rotate`.
    pub rotate: bool,
    /// `use-vc`.
    pub use_tcp: bool,
    /// `edns0`.
    pub edns0: bool,
    /// `single-request` or `single-request-reopen`.
    pub single_request: bool,
    /// `trust-ad`.
    pub trust_ad: bool,
    /// `no-aaaa`.
    pub no_aaaa: bool,
}

impl Default for ResolvConf {
    fn default() -> ResolvConf {
        ResolvConf {
            servers: Vec::new(),
            search: None,
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_tcp: false,
            edns0: false,
            single_request: false,
            trust_ad: false,
            no_aaaa: false,
        }
    }
}

impl ResolvConf {
    /// Reads a file. What it does not understand it passes over.
    pub fn parse(text: &[u8]) -> ResolvConf {
        let mut file = ResolvConf::default();
        for line in String::from_utf8_lossy(text).lines() {
            file.read_line(line);
        }
        file
    }

    fn read_line(&mut self, line: &str) {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => self.add_server(words.next()),
            Some("domain") => self.set_search(words.next()),
            Some("search") => self.set_search(words),
            Some("options") => words.for_each(|option| self.set_option(option)),
            _ => {}
        }
    }

    fn add_server(&mut self, word: Option<&str>) {
        if self.servers.len() < MAX_SERVERS {
            self.servers.extend(word.and_then(parse_server));
        }
    }

    /// Replaces the search list, unless there is nothing to replace it with.
    fn set_search<'a>(&mut self, domains: impl IntoIterator<Item = &'a str>) {
        let names: Vec<Name> = domains.into_iter().filter_map(parse_domain).take(MAX_SEARCH).collect();
        if !names.is_empty() {
            self.search = Some(names);
        }
    }

    fn set_option(&mut self, option: &str) {
        let (key, value) = option.split_once(':').unwrap_or((option, ""));
        let number = value.parse::<u32>().ok();
        match (key, number) {
            ("ndots", Some(dots)) => self.ndots = usize::try_from(dots).unwrap_or(MAX_NDOTS).min(MAX_NDOTS),
            ("timeout", Some(seconds)) => {
                self.timeout = Duration::from_secs(seconds.into()).clamp(MIN_TIMEOUT, MAX_TIMEOUT);
            }
            ("attempts", Some(attempts)) => self.attempts = attempts.clamp(1, MAX_ATTEMPTS),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_tcp = true,
            ("edns0", _) => self.edns0 = true,
            ("single-request" | "single-request-reopen", _) => self.single_request = true,
            ("trust-ad", _) => self.trust_ad = true,
            ("no-aaaa", _) => self.no_aaaa = true,
            _ => {}
        }
    }

    /// Lets the environment's variable `LOCALDOMAIN` replace the search list.
    pub fn apply_local_domain(&mut self, value: &str) {
        self.set_search(value.split_ascii_whitespace());
    }

    /// Lets the environment's variable `RES_OPTIONS` add options.
    pub fn apply_options(&mut self, value: &str) {
        value.split_ascii_whitespace().for_each(|option| self.set_option(option));
    }
}

fn parse_server(word: &str) -> Option<ServerLine> {
    if let Some(address) = HostAddress::parse_typed(word) {
        return Some(ServerLine { address, port: None });
    }
    let (address, port) = word.rsplit_once(':')?;
    let address = match address.strip_prefix('[') {
        Some(inside) => HostAddress::parse(inside.strip_suffix(']')?)?,
        None => HostAddress::parse(address).filter(|address| address.ip.is_ipv4())?,
    };
    let port = port.parse().ok().filter(|&port| port != 0)?;
    Some(ServerLine { address, port: Some(port) })
}

fn parse_domain(word: &str) -> Option<Name> {
    let mut name = Name::from_ascii(word).or_else(|_| Name::from_utf8(word)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn servers(text: &str) -> Vec<String> {
        let file = ResolvConf::parse(text.as_bytes());
        file.servers.iter().map(|server| format!("{} {:?}", server.address, server.port)).collect()
    }

    fn search(text: &str) -> Option<Vec<String>> {
        let names = ResolvConf::parse(text.as_bytes()).search?;
        Some(names.iter().map(Name::to_ascii).collect())
    }

    fn options(line: &str) -> ResolvConf {
        ResolvConf::parse(format!("options {line}\n").as_bytes())
    }

    #[test]
    fn servers_come_in_the_order_of_the_file() {
        let text = "nameserver 192.0.2.1\nnameserver\t2001:db8::53 # comment\nnameserver fe80::1%eth0;\n";
        assert_eq!(servers(text), ["192.0.2.1 None", "2001:db8::53 None", "fe80::1%eth0 None"]);
    }

    #[test]
    fn the_fourth_server_is_passed_over() {
        let text: String = (1..=5).map(|last| format!("nameserver 192.0.2.{last}\n")).collect();
        assert_eq!(servers(&text).last().unwrap(), "192.0.2.3 None");
    }

    #[test]
    fn a_server_that_is_no_address_takes_no_place() {
        let text = "nameserver dns.example\nnameserver\nnameserver 1.2.3.400\nnameserver 192.0.2.1\n";
        assert_eq!(servers(text), ["192.0.2.1 None"]);
    }

    #[test]
    fn a_port_may_follow_a_server() {
        let text = "nameserver 192.0.2.1:5353\nnameserver [2001:db8::53]:54\nnameserver [fe80::1%2]:55\n";
        assert_eq!(servers(text), ["192.0.2.1 Some(5353)", "2001:db8::53 Some(54)", "fe80::1%2 Some(55)"]);
        assert!(servers("nameserver 192.0.2.1:0\nnameserver [::1]\nnameserver [::1]:70000").is_empty());
    }

    #[test]
    fn the_last_of_domain_and_search_counts() {
        assert_eq!(search("domain a.example\nsearch b.example c.example\n").unwrap(), ["b.example.", "c.example."]);
        assert_eq!(search("search b.example c.example\ndomain A.example. d\n").unwrap(), ["A.example."]);
        assert_eq!(search("search .\n").unwrap(), ["."]);
        assert_eq!(search("search\nnameserver 192.0.2.1\n"), None);
    }

    #[test]
    fn a_domain_that_is_no_name_is_passed_over() {
        let long = "l".repeat(64);
        assert_eq!(search(&format!("search a..b {long}.example _x.example\n")).unwrap(), ["_x.example."]);
    }

    #[test]
    fn a_search_list_has_a_limit() {
        let text = format!("search {}\n", "a.example ".repeat(100));
        assert_eq!(search(&text).unwrap().len(), MAX_SEARCH);
    }

    #[test]
    fn lines_of_options_add_up() {
        let file = ResolvConf::parse(b"options rotate use-vc\noptions ndots:3 trust-ad edns0\n");
        assert!(file.rotate && file.use_tcp && file.trust_ad && file.edns0);
        assert_eq!(file.ndots, 3);
        assert!(!file.single_request && !file.no_aaaa);
    }

    #[test]
    fn numbers_are_cut_to_their_limits() {
        let file = options("ndots:99 timeout:99 attempts:99");
        assert_eq!((file.ndots, file.timeout, file.attempts), (15, Duration::from_secs(30), 5));
        let file = options("ndots:0 timeout:0 attempts:0");
        assert_eq!((file.ndots, file.timeout, file.attempts), (0, Duration::from_secs(1), 1));
    }

    #[test]
    fn options_that_make_no_sense_change_nothing() {
        assert_eq!(options("ndots:many ndots timeout:-1 attempts: unknown unknown:1 debug"), ResolvConf::default());
    }

    #[test]
    fn both_ways_to_ask_for_single_requests_are_understood() {
        assert!(options("single-request").single_request);
        assert!(options("single-request-reopen").single_request);
        assert!(options("no-aaaa").no_aaaa);
    }

    #[test]
    fn comments_and_unknown_lines_are_passed_over() {
        let text = "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsortlist 10.0.0.0\nnonsense\n\nnameserver 192.0.2.3";
        assert_eq!(servers(text), ["192.0.2.3 None"]);
    }

    #[test]
    fn the_environment_replaces_the_search_list_and_adds_options() {
        let mut file = ResolvConf::parse(b"search a.example\noptions rotate ndots:2\n");
        file.apply_local_domain("b.example c.example");
        file.apply_options("ndots:4");
        assert_eq!(file.search.as_ref().unwrap().len(), 2);
        assert_eq!((file.ndots, file.rotate), (4, true));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            ResolvConf::parse(&text);
        }

        #[test]
        fn any_words_stay_within_the_limits(
            lines in proptest::collection::vec("(nameserver|search|domain|options) [0-9a-z.:% ]{0,30}", 0..20)
        ) {
            let file = ResolvConf::parse(lines.join("\n").as_bytes());
            prop_assert!(file.servers.len() <= MAX_SERVERS && file.ndots <= MAX_NDOTS);
            prop_assert!((MIN_TIMEOUT..=MAX_TIMEOUT).contains(&file.timeout));
            prop_assert!((1..=MAX_ATTEMPTS).contains(&file.attempts));
        }
    }
}
