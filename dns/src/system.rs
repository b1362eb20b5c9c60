//! The files of the system that say how names are resolved, and what they say now.
//!
//! ```text
//!   hosts ───────────┐
//!   resolv.conf ─────┤  looked at once a second at most,
//!   nsswitch.conf ───┼──────────────────────────────────► SystemConfig, shared until one of them has changed
//!   gai.conf ────────┤  read when one has changed
//!   the host's name ─┘
//! ```
//!
//! # How it works
//!
//! A lookup asks for [`System::current`]. Most get what the last one got, without a system call.
//! Once a second, on demand and so never while nothing is looked up, the files' sizes and times are asked for; that is no
//! watch by the kernel, because a lookup must see a file as it is after the program that wrote it has ended, and not when
//! the loop gets round to an event.
//! The files are on the machine and small, so they are read on the loop: at most 64 KiB each, of which the rest is cut.
//! A hosts file may be larger, up to 32 MiB: beyond 256 KiB it is read on another thread, while only its reader waits.
//!
//! # Invariants
//!
//! - A value once handed out never changes; a change of a file makes another.
//! - A file that is not there counts as empty. One that cannot be read leaves what is known of it as it is.
//! - The environment is read by [`System::with_environment`], and by nothing else.
//!
//! # What is absent
//!
//! nscd, systemd-resolved by D-Bus, and other sources that are loaded into processes.
//!
//! Sources: resolv.conf(5), hosts(5), nsswitch.conf(5), gai.conf(5).

mod files;
pub(crate) mod network;

use std::cell::{Cell, RefCell};
use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::now;

use self::files::Stamps;
pub use self::files::{MAX_FILE, MAX_HOSTS_FILE, SystemFiles};
use crate::config::{Config, DNS_PORT, NameServer};
use crate::proto::{Hosts, HostsOrder, LocalAddresses, Name, PolicyTable, ResolvConf, ServerLine};

/// How long files are taken to be as they were.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What the system's files say.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SystemConfig {
    /// Whom to ask and how: resolv.conf.
    pub config: Config,
    /// The hosts file.
    pub hosts: Rc<Hosts>,
    /// Where hosts are looked for: nsswitch.conf.
    pub order: HostsOrder,
    /// Which addresses are preferred: gai.conf.
    pub policies: PolicyTable,
    /// The host's own name, as the kernel knows it.
    pub host_name: String,
}

/// What the environment adds to resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolverEnvironment {
    /// `LOCALDOMAIN`: replaces the search list.
    pub local_domain: Option<String>,
    /// `RES_OPTIONS`: options that come after those of the file.
    pub options: Option<String>,
}

/// Reads the system's files, and reads them again when they have changed.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::System;
///
/// test::run(|| {
///     let system = System::new();
///     assert!(!system.current().config.servers.is_empty());
/// });
/// ```
pub struct System {
    files: SystemFiles,
    environment: ResolverEnvironment,
    checked: Cell<Option<Instant>>,
    known: RefCell<Option<Known>>,
    addresses: RefCell<Option<(Instant, Rc<LocalAddresses>)>>,
}

/// What was read last, and of which files.
#[derive(Clone)]
struct Known {
    stamps: Stamps,
    config: Rc<SystemConfig>,
}

impl Default for System {
    fn default() -> System {
        System::new()
    }
}

impl System {
    /// The files in `/etc`, without the environment. Reads nothing yet.
    pub fn new() -> System {
        System::with_files(SystemFiles::default())
    }

    /// Files in other places. Reads nothing yet.
    pub fn with_files(files: SystemFiles) -> System {
        System {
            files,
            environment: ResolverEnvironment::default(),
            checked: Cell::new(None),
            known: RefCell::new(None),
            addresses: RefCell::new(None),
        }
    }

    /// Takes the variables `LOCALDOMAIN` and `RES_OPTIONS` of this process into account, as they are now.
    pub fn with_environment(self) -> System {
        let variable = |name| env::var(name).ok();
        self.with_these_variables(ResolverEnvironment {
            local_domain: variable("LOCALDOMAIN"),
            options: variable("RES_OPTIONS"),
        })
    }

    /// Takes these variables into account.
    pub fn with_these_variables(mut self, environment: ResolverEnvironment) -> System {
        self.environment = environment;
        self
    }

    /// What the files say, as of a second ago at most.
    ///
    /// The same value, and not only an equal one, as long as no file has changed.
    ///
    /// Suspends only to read a hosts file of more than 256 KiB that has changed; others get the value before, meanwhile.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the files are read by the next who asks.
    pub fn current(&self) -> Rc<SystemConfig> {
        let now = now();
        let is_fresh = |checked| now.saturating_duration_since(checked) < CHECK_INTERVAL;
        if self.checked.get().is_some_and(is_fresh)
            && let Some(known) = &*self.known.borrow()
        {
            return known.config.clone();
        }
        self.checked.set(Some(now));
        self.refresh()
    }

    fn refresh(&self) -> Rc<SystemConfig> {
        // Before the files are read: a change in between is seen the next time.
        let stamps = self.files.stamps();
        let before = self.known.borrow().clone();
        if let Some(before) = &before
            && before.stamps.are_settled_as(&stamps)
        {
            return before.config.clone();
        }
        let config = Rc::new(self.read(&stamps, before.as_ref()));
        *self.known.borrow_mut() = Some(Known { stamps, config: config.clone() });
        config
    }

    /// Reads all files, but for a hosts file that is as it was; what cannot be read stays as it was.
    fn read(&self, stamps: &Stamps, before: Option<&Known>) -> SystemConfig {
        let host_name = self.files.read_host_name();
        let known = before.map(|before| SystemConfig::clone(&before.config)).unwrap_or_default();
        let hosts_are_known = before.is_some_and(|before| before.stamps.hosts_are_settled_as(stamps));
        let hosts = if hosts_are_known { None } else { self.files.read_hosts().map(Rc::new) };
        SystemConfig {
            config: self.files.read_resolv_conf().map_or(known.config, |text| self.config(&text, &host_name)),
            hosts: hosts.unwrap_or(known.hosts),
            order: self.files.read_nsswitch_conf().map_or(known.order, |text| HostsOrder::parse(&text)),
            policies: self.files.read_gai_conf().map_or(known.policies, |text| PolicyTable::parse(&text)),
            host_name,
        }
    }

    fn config(&self, text: &[u8], host_name: &str) -> Config {
        let mut file = ResolvConf::parse(text);
        if let Some(domain) = &self.environment.local_domain {
            file.apply_local_domain(domain);
        }
        if let Some(options) = &self.environment.options {
            file.apply_options(options);
        }
        let defaults = Config::default();
        let servers: Vec<NameServer> = file.servers.iter().filter_map(server).collect();
        Config {
            servers: if servers.is_empty() { defaults.servers } else { servers },
            search: file.search.unwrap_or_else(|| own_domain(host_name).into_iter().collect()),
            ndots: file.ndots,
            timeout: file.timeout,
            attempts: file.attempts,
            rotate: file.rotate,
            use_tcp: file.use_tcp,
            single_request: file.single_request,
            no_aaaa: file.no_aaaa,
            trust_ad: file.trust_ad,
            ..defaults
        }
    }

    /// Sorts the addresses of a host by RFC 6724, so that the one to be tried first comes first.
    ///
    /// The first 64 are sorted; nobody would try more. What is known of this machine's own addresses is a second old at most.
    /// Sends nothing, and suspends as [`current`](Self::current) does.
    pub fn sort(&self, addresses: &mut [SocketAddr]) {
        network::sort_by_preference(addresses, &self.current().policies, &self.local_addresses());
    }

    /// What is known of this machine's own addresses.
    fn local_addresses(&self) -> Rc<LocalAddresses> {
        let now = now();
        if let Some((read, addresses)) = &*self.addresses.borrow()
            && now.saturating_duration_since(*read) < CHECK_INTERVAL
        {
            return addresses.clone();
        }
        let addresses = Rc::new(network::local_addresses());
        *self.addresses.borrow_mut() = Some((now, addresses.clone()));
        addresses
    }
}

/// `None` if its zone names no interface of this machine: it cannot be asked.
fn server(line: &ServerLine) -> Option<NameServer> {
    let port = line.port.unwrap_or(DNS_PORT);
    network::socket_address(&line.address, port).map(NameServer::from)
}

/// What stands behind the first dot of the host's own name, which is the search list if none is given.
fn own_domain(host_name: &str) -> Option<Name> {
    let (_, domain) = host_name.split_once('.')?;
    let mut domain = Name::from_ascii(domain).ok().filter(|domain| !domain.is_root())?;
    domain.set_fqdn(true);
    Some(domain)
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("files", &self.files).finish_non_exhaustive()
    }
}
