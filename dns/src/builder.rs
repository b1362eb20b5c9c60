//! Making a resolver with settings of its own.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::flight::Flights;
use crate::proto::{Cache, CacheLimits, Hosts, HostsOrder, PolicyTable};
use crate::resolver::{Inner, Resolver};
use crate::servers::Servers;
use crate::stats::Counters;
use crate::system::{System, SystemConfig, network};
use crate::transport::{StreamOptions, Tcp, Transport, Udp, UdpOptions};
use crate::transports::{Transports, default_tls};

/// How long a call takes at most, unless set.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The settings of a resolver.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_dns::Resolver;
///
/// // As the system's files say, but not as patient.
/// let resolver = Resolver::builder()
///     .adjust(|config| config.timeout = Duration::from_secs(1))
///     .limit(Duration::from_secs(5))
///     .build();
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct ResolverBuilder {
    source: Source,
    cache: CacheLimits,
    limit: Duration,
    udp: Rc<dyn Transport>,
    tcp: Rc<dyn Transport>,
    tls: Option<Rc<dyn Transport>>,
}

impl ResolverBuilder {
    /// As the system's files say, noticing when they change.
    pub fn system() -> ResolverBuilder {
        ResolverBuilder::with_system(System::new())
    }

    /// As these files say, noticing when they change.
    pub fn with_system(system: System) -> ResolverBuilder {
        ResolverBuilder::of(Source::System(Box::new(Files {
            system,
            adjustments: Vec::new(),
            last: RefCell::default(),
        })))
    }

    /// As `config` says, without any file.
    pub fn with_config(config: Config) -> ResolverBuilder {
        let hosts = Rc::new(Hosts::default());
        let system = SystemConfig { config, hosts, ..SystemConfig::default() };
        ResolverBuilder::of(Source::Fixed(Rc::new(system)))
    }

    fn of(source: Source) -> ResolverBuilder {
        ResolverBuilder {
            source,
            cache: CacheLimits::default(),
            limit: CALL_LIMIT,
            udp: Rc::new(Udp::new(UdpOptions::default())),
            tcp: Rc::new(Tcp::new(StreamOptions::default())),
            tls: default_tls(),
        }
    }

    /// Changes what the files or the configuration say, each time that they are read.
    pub fn adjust(mut self, adjustment: impl Fn(&mut Config) + 'static) -> ResolverBuilder {
        match &mut self.source {
            Source::Fixed(system) => adjustment(&mut Rc::make_mut(system).config),
            Source::System(files) => files.adjustments.push(Box::new(adjustment)),
        }
        self
    }

    /// Gives a resolver that looks at no files a hosts file and an order of sources.
    ///
    /// One that does look at files has its own, and takes no notice.
    pub fn hosts(mut self, hosts: Hosts, order: HostsOrder) -> ResolverBuilder {
        if let Source::Fixed(system) = &mut self.source {
            let system = Rc::make_mut(system);
            system.hosts = Rc::new(hosts);
            system.order = order;
        }
        self
    }

    /// What the cache may hold, and for how long.
    pub fn cache(mut self, limits: CacheLimits) -> ResolverBuilder {
        self.cache = limits;
        self
    }

    /// How long a call takes at most, whatever names it comes to; 30 s unless set.
    pub fn limit(mut self, limit: Duration) -> ResolverBuilder {
        self.limit = limit;
        self
    }

    /// The transport for servers that need not prove who they are.
    pub fn udp(mut self, transport: impl Transport + 'static) -> ResolverBuilder {
        self.udp = Rc::new(transport);
        self
    }

    /// The transport for replies that do not fit a datagram, and for all with [`Config::use_tcp`].
    pub fn tcp(mut self, transport: impl Transport + 'static) -> ResolverBuilder {
        self.tcp = Rc::new(transport);
        self
    }

    /// The transport for servers with a [`tls_name`](crate::NameServer::tls_name).
    ///
    /// Unless set, it is one that trusts whom the system trusts, if the feature `tls` is on. Its first use reads the
    /// system's roots, which blocks the thread for some milliseconds. Without the feature such servers are not asked at all.
    pub fn tls(mut self, transport: impl Transport + 'static) -> ResolverBuilder {
        self.tls = Some(Rc::new(transport));
        self
    }

    /// Makes the resolver. Reads nothing and opens nothing yet.
    pub fn build(self) -> Resolver {
        let inner = Inner {
            source: self.source,
            transports: Transports { udp: self.udp, tcp: self.tcp, tls: self.tls },
            servers: Servers::default(),
            cache: RefCell::new(Cache::new(self.cache)),
            flights: Flights::new(),
            counters: Counters::default(),
            limit: self.limit,
        };
        Resolver { inner: Rc::new(inner) }
    }
}

impl fmt::Debug for ResolverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ResolverBuilder");
        shown.field("source", &self.source).field("cache", &self.cache).field("limit", &self.limit);
        shown.finish_non_exhaustive()
    }
}

/// A change of what the files say.
type Adjustment = Box<dyn Fn(&mut Config)>;

/// Where a resolver has its settings from.
pub(crate) enum Source {
    /// Settings that stay as they are.
    Fixed(Rc<SystemConfig>),
    /// The system's files, as they are now.
    System(Box<Files>),
}

/// The system's files, and what the program makes of them.
pub(crate) struct Files {
    system: System,
    adjustments: Vec<Adjustment>,
    last: RefCell<Option<Adjusted>>,
}

/// What the files said last, and what was made of it.
struct Adjusted {
    read: Rc<SystemConfig>,
    adjusted: Rc<SystemConfig>,
}

impl Source {
    /// The settings as they are now. Calls `forget` when other servers are to be asked than before, or in another way:
    /// what is known came from another network, or so it may be.
    pub(crate) fn current(&self, forget: impl FnOnce()) -> Rc<SystemConfig> {
        let Files { system, adjustments, last } = match self {
            Source::Fixed(fixed) => return fixed.clone(),
            Source::System(files) => &**files,
        };
        let read = system.current();
        if let Some(last) = &*last.borrow()
            && Rc::ptr_eq(&last.read, &read)
        {
            return last.adjusted.clone();
        }
        let mut adjusted = SystemConfig::clone(&read);
        adjustments.iter().for_each(|adjustment| adjustment(&mut adjusted.config));
        let adjusted = Rc::new(adjusted);
        let before = last.replace(Some(Adjusted { read, adjusted: adjusted.clone() }));
        if before.is_some_and(|before| before.adjusted.config != adjusted.config) {
            forget();
        }
        adjusted
    }
}

impl Source {
    /// Sorts the addresses of a host by RFC 6724. What is known of this machine's own addresses may be a second old.
    pub(crate) fn sort(&self, addresses: &mut [SocketAddr], policies: &PolicyTable) {
        match self {
            Source::Fixed(_) => network::sort_by_preference(addresses, policies, &network::local_addresses()),
            Source::System(files) => files.system.sort(addresses),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Fixed(system) => system.config.fmt(f),
            Source::System(files) => files.system.fmt(f),
        }
    }
}
