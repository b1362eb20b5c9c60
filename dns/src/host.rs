//! A host's addresses, and an address's names: from all sources, in the order that nsswitch.conf gives.
//!
//! ```text
//!   an address already ─► itself
//!   files ─► the hosts file        each source may end the lookup, or pass on to the next,
//!   dns ───► special names,        as its line in nsswitch.conf says
//!            the search list,
//!            A and AAAA at once
//!   myhostname ─► this host
//!                     └──► the order of RFC 6724
//! ```

use std::net::{IpAddr, SocketAddr};

use grapeshot_core::random_u64;

use crate::error::{LookupError, LookupErrorKind};
use crate::lookup::Lookup;
use crate::proto::{Family, HostAddress, LOOPBACK, Name, NameSource, RecordType, SourceStatus, parse_name};
use crate::question::Call;
use crate::resolver::{Resolver, ToName, both, search, without_last_dot};
use crate::system::network;
use crate::trace::{Trace, TraceEvent, Tracer, counted};

/// A host and its addresses.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::Resolver;
///
/// test::run(|| {
///     let host = Resolver::new(Default::default()).resolve("127.1").unwrap();
///     assert_eq!(host.socket_addresses(80), ["127.0.0.1:80".parse().unwrap()]);
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    canonical_name: String,
    /// With port 0: a link-local address is only whole with its zone, which socket addresses have.
    addresses: Vec<SocketAddr>,
}

impl Host {
    /// The name that has the addresses, without last dot: the end of the aliases in DNS, the first name on the line of the
    /// hosts file, or the address itself.
    pub fn canonical_name(&self) -> &str {
        &self.canonical_name
    }

    /// The addresses, never none, the one to be tried first at the beginning (RFC 6724).
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(SocketAddr::ip)
    }

    /// The addresses with a port, and with the zones of link-local ones.
    pub fn socket_addresses(&self, port: u16) -> Vec<SocketAddr> {
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(port);
            address
        };
        self.addresses.iter().map(with_port).collect()
    }
}

/// Addresses that a source has, unsorted.
struct Found {
    canonical_name: String,
    addresses: Vec<SocketAddr>,
}

impl Resolver {
    /// Looks up a host's addresses, as getaddrinfo(3) does: numbers, the hosts file, special names, and DNS with the search
    /// list, in the order of nsswitch.conf, A and AAAA at once; sorted by RFC 6724.
    ///
    /// Suspends, unless everything is known.
    ///
    /// # Errors
    ///
    /// [`LookupError`], whose record type is `None`, as both were asked for.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::Resolver;
    ///
    /// test::run(|| {
    ///     let host = Resolver::new(Default::default()).resolve("localhost").unwrap();
    ///     assert!(host.addresses().all(|address| address.is_loopback()));
    /// });
    /// ```
    pub fn resolve(&self, host: &str) -> Result<Host, LookupError> {
        self.resolve_family(host, Family::Any)
    }

    /// As [`resolve`](Self::resolve), for addresses of one family alone.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve), but the record type may be the family's.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn resolve_family(&self, host: &str, family: Family) -> Result<Host, LookupError> {
        self.call(Tracer::OFF).resolve(host, family)
    }

    /// As [`resolve`](Self::resolve), and tells step by step how it went.
    pub fn resolve_traced(&self, host: &str) -> (Result<Host, LookupError>, Trace) {
        Tracer::run(|tracer| self.call(tracer).resolve(host, Family::Any))
    }

    /// One address of a host, as gethostbyname(3) is mostly used: any of its addresses, a different one each time (DNS-15).
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn host_by_name(&self, host: &str) -> Result<IpAddr, LookupError> {
        let found = self.resolve(host)?;
        let drawn = random_u64() as usize % found.addresses.len().max(1);
        let absent = || LookupError::of_text(LookupErrorKind::NoData, host, None);
        found.addresses.get(drawn).map(SocketAddr::ip).ok_or_else(absent)
    }

    /// Looks up a name's addresses in DNS alone, A and AAAA at once, with the search list; in the servers' order, IPv4 first.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::Resolver;
    ///
    /// test::run(|| {
    ///     let addresses = Resolver::new(Default::default()).lookup_ip("localhost").unwrap();
    ///     assert_eq!(addresses, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]);
    /// });
    /// ```
    pub fn lookup_ip(&self, name: &(impl ToName + ?Sized)) -> Result<Vec<IpAddr>, LookupError> {
        let typed = self.parse(name, None)?;
        let found = self.call(Tracer::OFF).search_dns(&typed, Family::Any)?;
        Ok(found.addresses.iter().map(SocketAddr::ip).collect())
    }
}

impl Call<'_> {
    pub(crate) fn resolve(&self, host: &str, family: Family) -> Result<Host, LookupError> {
        let found = self.find(host, family);
        let described = |found: &Result<Host, LookupError>| match found {
            Ok(host) => {
                format!("{} has {}", host.canonical_name, counted(host.addresses.len(), "address", "addresses"))
            }
            Err(error) => error.to_string(),
        };
        let found = found.map(|found| self.host_of(found));
        self.tracer.note(|| TraceEvent::Result(described(&found)));
        found
    }

    fn find(&self, host: &str, family: Family) -> Result<Found, LookupError> {
        if let Some(address) = HostAddress::parse_typed(host) {
            return self.numeric(host, &address, family);
        }
        let mut verdict = LookupError::of_text(LookupErrorKind::NoSuchName, host, None);
        for step in self.system.order.steps() {
            let (status, found) = match step.source() {
                NameSource::Files => self.in_files(host, family),
                NameSource::Dns => self.in_dns(host, family, &mut verdict),
                NameSource::MyHostname => self.own_name(host, family),
                NameSource::MulticastDns if is_local(host) => (SourceStatus::NotFound, None),
                NameSource::MulticastDns | NameSource::Other(_) => (SourceStatus::Unavailable, None),
            };
            if step.ends_with(status) {
                return found.ok_or(verdict);
            }
        }
        Err(verdict)
    }

    fn numeric(&self, host: &str, address: &HostAddress, family: Family) -> Result<Found, LookupError> {
        self.tracer.note(|| TraceEvent::Numeric(address.ip));
        let addresses = network::socket_address(address, 0).filter(|address| family.includes(address.ip()));
        let found = addresses.map(|address| Found { canonical_name: host.to_owned(), addresses: vec![address] });
        let record_type = match family {
            Family::V4 => Some(RecordType::A),
            Family::V6 => Some(RecordType::AAAA),
            Family::Any => None,
        };
        found.ok_or_else(|| LookupError::of_text(LookupErrorKind::NoData, host, record_type))
    }

    fn in_files(&self, host: &str, family: Family) -> (SourceStatus, Option<Found>) {
        let entry = self.system.hosts.lookup(host, family);
        let found = entry.map(|entry| Found {
            canonical_name: entry.canonical_name.to_owned(),
            addresses: entry.addresses.iter().filter_map(|address| network::socket_address(address, 0)).collect(),
        });
        let found = found.filter(|found| !found.addresses.is_empty());
        let count = found.as_ref().map_or(0, |found| found.addresses.len());
        self.tracer.note(|| TraceEvent::Hosts(host.to_owned(), count));
        (if count > 0 { SourceStatus::Success } else { SourceStatus::NotFound }, found)
    }

    fn in_dns(&self, host: &str, family: Family, verdict: &mut LookupError) -> (SourceStatus, Option<Found>) {
        let error = match parse_name(host) {
            Ok(typed) => match self.search_dns(&typed, family) {
                Ok(found) => return (SourceStatus::Success, Some(found)),
                Err(error) => error,
            },
            Err(error) => LookupError::of_text(LookupErrorKind::BadName(error), host, None),
        };
        let status = match error.kind() {
            LookupErrorKind::NoSuchName | LookupErrorKind::NoData | LookupErrorKind::BadName(_) => {
                SourceStatus::NotFound
            }
            LookupErrorKind::NoServers | LookupErrorKind::Unreachable => SourceStatus::Unavailable,
            _ => SourceStatus::TryAgain,
        };
        *verdict = error;
        (status, None)
    }

    fn own_name(&self, host: &str, family: Family) -> (SourceStatus, Option<Found>) {
        let own = &self.system.host_name;
        if own.is_empty() || !host.eq_ignore_ascii_case(own) {
            return (SourceStatus::NotFound, None);
        }
        let addresses: Vec<SocketAddr> =
            LOOPBACK.iter().filter(|address| family.includes(**address)).map(|&address| (address, 0).into()).collect();
        (SourceStatus::Success, Some(Found { canonical_name: own.clone(), addresses }))
    }

    /// Addresses in DNS, under each domain of the search list.
    fn search_dns(&self, typed: &Name, family: Family) -> Result<Found, LookupError> {
        search(self, typed, |name| self.both_families(name, family))
            .map_err(|error| error.unwrap_or_else(|| LookupError::new(LookupErrorKind::NoSuchName, typed, None)))
    }

    /// The A and AAAA records of one name.
    fn both_families(&self, name: &Name, family: Family) -> Result<Found, LookupError> {
        let config = &self.system.config;
        let v4 = || self.ask(name, RecordType::A).inspect(|found| self.tell(found));
        let v6 = || self.ask(name, RecordType::AAAA).inspect(|found| self.tell(found));
        let found = match family {
            Family::V4 => vec![v4()],
            Family::V6 => vec![v6()],
            Family::Any if config.no_aaaa => vec![v4()],
            Family::Any => {
                let (v4, v6) = both(!config.single_request, v4, v6);
                vec![v4, v6]
            }
        };
        merge(name, found).map_err(|error| if family == Family::Any { error.of_any_family() } else { error })
    }

    /// Addresses of either family end the search, so they are worth telling before the other is known.
    fn tell(&self, found: &Lookup) {
        if let Some(heard) = self.heard {
            heard(found);
        }
    }

    pub(crate) fn sort(&self, addresses: &mut [SocketAddr]) {
        if addresses.len() > 1 {
            self.resolver.source.sort(addresses, &self.system.policies);
        }
    }

    fn host_of(&self, found: Found) -> Host {
        let Found { canonical_name, mut addresses } = found;
        self.sort(&mut addresses);
        Host { canonical_name, addresses }
    }
}

/// What the answers for two types come to: the addresses of both, or the error that says most.
fn merge(name: &Name, found: Vec<Result<Lookup, LookupError>>) -> Result<Found, LookupError> {
    let mut merged = Found { canonical_name: without_last_dot(name), addresses: Vec::new() };
    let mut decisive: Option<LookupError> = None;
    for found in found {
        match found {
            Ok(lookup) => {
                // What the cache has is spelt as somebody else asked for it.
                if let Some(owner) = lookup.owner().filter(|owner| *owner != name) {
                    merged.canonical_name = without_last_dot(owner);
                }
                merged.addresses.extend(lookup.addresses().map(|address| SocketAddr::new(address, 0)));
            }
            // What might exist at another time counts more than what does not, and that there is no such name least of all:
            // the other type would have it as well.
            Err(error) => {
                let weight = |error: &LookupError| match error.kind() {
                    LookupErrorKind::NoSuchName => 0,
                    LookupErrorKind::NoData => 1,
                    _ => 2,
                };
                if decisive.as_ref().is_none_or(|known| weight(known) < weight(&error)) {
                    decisive = Some(error);
                }
            }
        }
    }
    if merged.addresses.is_empty() {
        return Err(decisive.unwrap_or_else(|| LookupError::new(LookupErrorKind::NoData, name, None)));
    }
    Ok(merged)
}

/// Whether a name is one that Multicast DNS is for (RFC 6762, section 3).
fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("local"))
}

/// The names of an address, from each source in turn.
pub(crate) fn names_of(
    call: &Call<'_>,
    address: IpAddr,
    in_dns: impl Fn() -> Result<Vec<String>, LookupError>,
) -> Result<Vec<String>, LookupError> {
    let mut verdict = LookupError::of_text(LookupErrorKind::NoSuchName, &address.to_string(), RecordType::PTR);
    for step in call.system.order.steps() {
        let names = match step.source() {
            NameSource::Files => {
                let names: Vec<String> = call.system.hosts.names_of(address).into_iter().map(str::to_owned).collect();
                Ok(names)
            }
            NameSource::Dns => in_dns(),
            _ => continue,
        };
        let status = match names {
            Ok(names) if !names.is_empty() => return Ok(names),
            Ok(_) => SourceStatus::NotFound,
            Err(error) => {
                let is_absence = error.is_absence();
                verdict = error;
                if is_absence { SourceStatus::NotFound } else { SourceStatus::TryAgain }
            }
        };
        if step.ends_with(status) {
            break;
        }
    }
    Err(verdict)
}
