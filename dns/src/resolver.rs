//! The resolver: what a program asks of it.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{in_coroutine, now, random_u64, scope};

use crate::builder::{ResolverBuilder, Source};
use crate::config::Config;
use crate::error::{LookupError, LookupErrorKind};
use crate::exchange::Answered;
use crate::flight::Flights;
use crate::lookup::Lookup;
use crate::proto::{
    Cache, Key, Name, NameError, Ptr, RecordData, RecordType, Reply, Search, SearchStep, Srv, parse_name, reverse_name,
    service_order,
};
use crate::question::Call;
use crate::servers::Servers;
use crate::stats::{Counters, ResolverStats};
use crate::system::SystemConfig;
use crate::trace::{Trace, TraceEvent, Tracer};
use crate::transports::Transports;

/// Looks up names.
///
/// It is cheap to clone; all clones share one cache. It belongs to its thread.
///
/// Within coroutines a lookup suspends its coroutine and nobody else, and lookups of one name at one time are one.
/// Outside coroutines the same calls work and block their thread.
///
/// # Time
///
/// Each server has [`Config::timeout`] to answer in each of [`Config::attempts`] rounds over all servers, so a name takes
/// `timeout` × `attempts` × servers at most; and a call, whatever names it comes to, no longer than
/// [`limit`](ResolverBuilder::limit), which is 30 s unless set.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::{Config, Resolver};
/// use grapeshot_dns::proto::RecordType;
///
/// test::run(|| {
///     // `Resolver::system()` reads the files of the system; this one is told whom to ask.
///     let resolver = Resolver::new(Config::with_servers(["192.0.2.53:53".parse().unwrap()]));
///     let found = resolver.lookup("localhost", RecordType::AAAA).unwrap();
///     assert_eq!(found.addresses().next().unwrap().to_string(), "::1");
/// });
/// ```
#[derive(Clone)]
pub struct Resolver {
    pub(crate) inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) source: Source,
    pub(crate) transports: Transports,
    pub(crate) servers: Servers,
    pub(crate) cache: RefCell<Cache<LookupError>>,
    pub(crate) flights: Flights<Result<Lookup, LookupError>>,
    pub(crate) counters: Counters,
    pub(crate) limit: Duration,
}

thread_local! {
    /// The resolver of this thread.
    static INSTALLED: RefCell<Option<Resolver>> = const { RefCell::new(None) };
}

impl Resolver {
    /// A resolver that does as the system's files say: hosts, resolv.conf, nsswitch.conf, gai.conf.
    ///
    /// Changes of the files are noticed while it runs. Nothing is read before the first lookup.
    pub fn system() -> Resolver {
        ResolverBuilder::system().build()
    }

    /// A resolver that asks as `config` says, and looks at no files.
    pub fn new(config: Config) -> Resolver {
        ResolverBuilder::with_config(config).build()
    }

    /// A resolver as [`system`](Self::system) makes it, with other settings.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::system()
    }

    /// The resolver of this thread: the one that was [installed](Self::install), or one of the system's files (DNS-15).
    pub fn of_thread() -> Resolver {
        INSTALLED.with_borrow_mut(|installed| installed.get_or_insert_with(Resolver::system).clone())
    }

    /// Makes this the resolver of this thread, and gives back the one that was it, if there was one (DNS-15).
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_dns::{Config, Resolver};
    ///
    /// Resolver::new(Config::with_servers(["192.0.2.53:53".parse().unwrap()])).install();
    /// assert_eq!(Resolver::of_thread().settings().config.servers.len(), 1);
    /// ```
    pub fn install(&self) -> Option<Resolver> {
        INSTALLED.with_borrow_mut(|installed| installed.replace(self.clone()))
    }

    /// Looks up the records of one type that a name has, under each domain of the search list if need be.
    ///
    /// The name is as a person types it ([`parse_name`]): absolute if it ends in a dot, international if need be.
    /// Only DNS is asked, and the hosts file is not; for a host's addresses there is [`resolve`](Self::resolve).
    ///
    /// Suspends, unless the cache has the answer.
    ///
    /// # Errors
    ///
    /// [`LookupError`]; when there is neither such a name nor such data, too.
    ///
    /// # Cancellation
    ///
    /// Unwinds; others who wait for the same answer go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::{LookupErrorKind, Resolver};
    /// use grapeshot_dns::proto::RecordType;
    ///
    /// test::run(|| {
    ///     let error = Resolver::new(Default::default()).lookup("a..b", RecordType::MX).unwrap_err();
    ///     assert!(matches!(error.kind(), LookupErrorKind::BadName(_)));
    /// });
    /// ```
    pub fn lookup(&self, name: &(impl ToName + ?Sized), record_type: RecordType) -> Result<Lookup, LookupError> {
        self.look_up(name, record_type, Tracer::OFF)
    }

    /// As [`lookup`](Self::lookup), and tells step by step how it went.
    pub fn lookup_traced(
        &self,
        name: &(impl ToName + ?Sized),
        record_type: RecordType,
    ) -> (Result<Lookup, LookupError>, Trace) {
        Tracer::run(|tracer| self.look_up(name, record_type, tracer))
    }

    /// Looks up the records of the type of `T`, and gives their values.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancellation
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Ipv6Addr;
    /// use grapeshot_core::test;
    /// use grapeshot_dns::Resolver;
    ///
    /// test::run(|| {
    ///     let resolver = Resolver::new(Default::default());
    ///     assert_eq!(resolver.values::<Ipv6Addr>("localhost").unwrap(), [Ipv6Addr::LOCALHOST]);
    /// });
    /// ```
    pub fn values<T: RecordData>(&self, name: &(impl ToName + ?Sized)) -> Result<Vec<T>, LookupError> {
        self.lookup(name, T::TYPE).map(|found| found.values())
    }

    /// Looks up the names of an address: in the hosts file, if the resolver has one and nsswitch.conf says so, and in DNS.
    ///
    /// An address may have many names; those of the hosts file come in its order, those of DNS in the server's.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancellation
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use grapeshot_core::test;
    /// use grapeshot_dns::Resolver;
    ///
    /// test::run(|| {
    ///     let names = Resolver::new(Default::default()).reverse(Ipv4Addr::LOCALHOST).unwrap();
    ///     assert_eq!(names, ["localhost"]);
    /// });
    /// ```
    pub fn reverse(&self, address: impl Into<IpAddr>) -> Result<Vec<String>, LookupError> {
        let address = address.into();
        let call = self.call(Tracer::OFF);
        crate::host::names_of(&call, address, || {
            let found = call.ask(&reverse_name(address), RecordType::PTR)?;
            Ok(found.values::<Ptr>().iter().map(|Ptr(name)| without_last_dot(name)).collect())
        })
    }

    /// Looks up where a service is offered, in the order in which the servers are to be tried (RFC 2782).
    ///
    /// The name has the form `_service._protocol.domain`; the order is drawn anew each time, by the servers' weights.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup), and [`LookupErrorKind::NoService`] when the domain says that it does not offer it.
    ///
    /// # Cancellation
    ///
    /// As [`lookup`](Self::lookup).
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::{LookupErrorKind, Resolver};
    ///
    /// test::run(|| {
    ///     let error = Resolver::new(Default::default()).service("_sip._udp.localhost").unwrap_err();
    ///     assert!(matches!(error.kind(), LookupErrorKind::NoData));
    /// });
    /// ```
    pub fn service(&self, name: &(impl ToName + ?Sized)) -> Result<Vec<Srv>, LookupError> {
        let found = self.lookup(name, RecordType::SRV)?;
        service_order(found.values(), &mut random_u64).ok_or_else(|| {
            let owner = found.owner().cloned().unwrap_or_default();
            LookupError::new(LookupErrorKind::NoService, &owner, RecordType::SRV)
        })
    }

    /// Asks the servers, past cache, search list and special names, and gives the whole reply.
    ///
    /// It is a reply that settles the question: with records, or with the news that there are none. A relative name is
    /// taken as if it ended in a dot.
    ///
    /// # Errors
    ///
    /// [`LookupError`] when no server gave such a reply.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::{Config, LookupErrorKind, Resolver};
    /// use grapeshot_dns::proto::RecordType;
    ///
    /// test::run(|| {
    ///     let nobody = Resolver::new(Config::with_servers([]));
    ///     let error = nobody.query("example.com", RecordType::NS).unwrap_err();
    ///     assert!(matches!(error.kind(), LookupErrorKind::NoServers));
    /// });
    /// ```
    pub fn query(&self, name: &(impl ToName + ?Sized), record_type: RecordType) -> Result<Reply, LookupError> {
        self.query_with(name, record_type, Tracer::OFF)
    }

    /// As [`query`](Self::query), and tells step by step how it went.
    pub fn query_traced(
        &self,
        name: &(impl ToName + ?Sized),
        record_type: RecordType,
    ) -> (Result<Reply, LookupError>, Trace) {
        Tracer::run(|tracer| self.query_with(name, record_type, tracer))
    }

    fn query_with(
        &self,
        name: &(impl ToName + ?Sized),
        record_type: RecordType,
        tracer: Tracer<'_>,
    ) -> Result<Reply, LookupError> {
        let name = absolute(self.parse(name, record_type)?);
        self.inner.counters.count_lookup();
        let answered = self.call(tracer).exchange().ask(&name, record_type);
        answered.map(|Answered { reply, .. }| reply)
    }

    /// What it has done since it was made (DNS-12).
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::test;
    /// use grapeshot_dns::Resolver;
    ///
    /// test::run(|| {
    ///     let resolver = Resolver::new(Default::default());
    ///     resolver.resolve("localhost").unwrap();
    ///     let stats = resolver.stats();
    ///     assert_eq!((stats.lookups, stats.queries), (2, 0));
    /// });
    /// ```
    pub fn stats(&self) -> ResolverStats {
        let inner = &*self.inner;
        let cache = inner.cache.borrow();
        let tls = inner.transports.tls.as_ref();
        ResolverStats {
            in_flight: inner.flights.len(),
            cache: cache.counts(),
            cached: cache.len(),
            cached_bytes: cache.bytes(),
            udp: inner.transports.udp.stats(),
            tcp: inner.transports.tcp.stats(),
            tls: tls.map(|tls| tls.stats()).unwrap_or_default(),
            ..inner.counters.stats()
        }
    }

    /// Forgets all answers and failures, and what was learnt of the servers.
    pub fn clear(&self) {
        self.inner.clear();
    }

    /// What the resolver goes by just now: whom it asks and how, the hosts file, and the order of sources.
    ///
    /// Suspends only as [`System::current`](crate::System::current) does.
    pub fn settings(&self) -> Rc<SystemConfig> {
        self.inner.settings()
    }

    pub(crate) fn call<'a>(&'a self, tracer: Tracer<'a>) -> Call<'a> {
        let resolver = &*self.inner;
        Call { resolver, system: resolver.settings(), tracer, deadline: now() + resolver.limit, heard: None }
    }

    fn look_up(
        &self,
        name: &(impl ToName + ?Sized),
        record_type: RecordType,
        tracer: Tracer<'_>,
    ) -> Result<Lookup, LookupError> {
        let call = self.call(tracer);
        let config = &call.system.config;
        // A plain name in the cache is not even made a name: this is the path that has to be short.
        if let Some(text) = name.as_text()
            && is_asked_for_as_it_is(text, config)
            && let Some(key) = Key::of_text(text, record_type)
        {
            let as_name = || parse_name(text).map(absolute).unwrap_or_default();
            if config.search.is_empty() || text.ends_with('.') {
                if let Some(known) = call.cached(&key, as_name) {
                    return known;
                }
                return call.ask_others(&key, &absolute(self.parse(name, record_type)?), record_type);
            }
            if let Some(found) = call.cached_records(&key, as_name) {
                return Ok(found);
            }
        }
        let typed = self.parse(name, record_type)?;
        search(&call, &typed, |name| call.ask(name, record_type)).map_err(|error| {
            error.unwrap_or_else(|| LookupError::new(LookupErrorKind::NoSuchName, &typed, record_type))
        })
    }

    pub(crate) fn parse(
        &self,
        name: &(impl ToName + ?Sized),
        record_type: impl Into<Option<RecordType>>,
    ) -> Result<Name, LookupError> {
        name.to_name().map_err(|error| {
            LookupError::of_text(LookupErrorKind::BadName(error), name.as_text().unwrap_or_default(), record_type)
        })
    }
}

impl Inner {
    pub(crate) fn settings(&self) -> Rc<SystemConfig> {
        self.source.current(|| self.clear())
    }

    fn clear(&self) {
        self.cache.borrow_mut().clear();
        self.servers.clear();
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cached = self.inner.cache.borrow().len();
        f.debug_struct("Resolver").field("source", &self.inner.source).field("cached", &cached).finish_non_exhaustive()
    }
}

/// Asks for each name that `typed` may stand for, until one has what is wanted.
///
/// When none has, the error is that of the name that says most, by the rules of [`Search`]; `None` if there was no name at all.
pub(crate) fn search<T>(
    call: &Call<'_>,
    typed: &Name,
    ask: impl Fn(&Name) -> Result<T, LookupError>,
) -> Result<T, Option<LookupError>> {
    let config = &call.system.config;
    if config.search.is_empty() || typed.is_fqdn() {
        return ask(&absolute(typed.clone())).map_err(Some);
    }
    let mut search = Search::new(typed, config.ndots, &config.search);
    let mut errors: Vec<(SearchStep, LookupError)> = Vec::new();
    while let Some(name) = search.candidate() {
        if name.iter().len() != typed.iter().len() {
            call.tracer.note(|| TraceEvent::Searching(name.clone()));
        }
        let error = match ask(&name) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let step = step_of(&error);
        search.note(step);
        errors.push((step, error));
        // Further servers would be asked with no time left for their replies.
        if now() >= call.deadline {
            break;
        }
    }
    let verdict = search.verdict();
    let decisive = errors.iter().position(|(step, _)| *step == verdict);
    Err(decisive.map(|index| errors.swap_remove(index).1))
}

/// The same name, as if a dot ended it.
fn absolute(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn step_of(error: &LookupError) -> SearchStep {
    match error.kind() {
        LookupErrorKind::NoSuchName => SearchStep::NoSuchName,
        LookupErrorKind::NoData | LookupErrorKind::NoService => SearchStep::NoData,
        LookupErrorKind::ServerFailure | LookupErrorKind::Loop => SearchStep::ServerFailure,
        _ => SearchStep::NoAnswer,
    }
}

/// Whether the first name that a text stands for is the text itself.
fn is_asked_for_as_it_is(text: &str, config: &Config) -> bool {
    config.search.is_empty() || text.ends_with('.') || text.bytes().filter(|&byte| byte == b'.').count() >= config.ndots
}

/// Does two things at once, or one after the other where nothing can be done at once: outside coroutines, where no coroutine
/// can be had, in one that unwinds, and on request.
pub(crate) fn both<A, B>(at_once: bool, first: impl FnOnce() -> A, second: impl FnOnce() -> B) -> (A, B) {
    if !at_once || !in_coroutine() || std::thread::panicking() {
        return (first(), second());
    }
    let second = std::cell::Cell::new(Some(second));
    scope(|scope| {
        let run_second = || second.take().map(|second| second());
        let child = scope.spawn_with(grapeshot_core::Builder::new().name("DNS lookup"), run_second);
        let first = first();
        let in_child = child.ok().and_then(|child| child.join().ok().flatten());
        let second = match in_child {
            Some(result) => result,
            None => match second.take() {
                Some(second) => second(),
                // Started and ended without a result: it was cancelled or has panicked, which its scope passes on.
                None => unreachable!("a child that failed ends its scope"),
            },
        };
        (first, second)
    })
}

pub(crate) fn without_last_dot(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

/// What can be looked up: text as a person types it, or a name.
pub trait ToName {
    /// The name.
    ///
    /// # Errors
    ///
    /// [`NameError`] when it is none.
    fn to_name(&self) -> Result<Name, NameError>;

    /// The text that it is made of, if it is text.
    fn as_text(&self) -> Option<&str> {
        None
    }
}

impl ToName for str {
    fn to_name(&self) -> Result<Name, NameError> {
        parse_name(self)
    }

    fn as_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl ToName for String {
    fn to_name(&self) -> Result<Name, NameError> {
        parse_name(self)
    }

    fn as_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl ToName for Name {
    fn to_name(&self) -> Result<Name, NameError> {
        Ok(self.clone())
    }
}
