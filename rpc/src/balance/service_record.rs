//! Endpoints from DNS: the SRV records of a service (RFC 2782), asked for again when their time is over.

use std::io;
use std::time::Duration;

use grapeshot_core::random_u64;
use grapeshot_dns::Resolver;
use grapeshot_dns::proto::{RecordType, Srv, service_order};

use super::endpoint::{Endpoint, EndpointSource, Found};

/// Records are asked for again no sooner than this, however short their time is.
pub const MIN_REFRESH: Duration = Duration::from_secs(5);

/// Records are asked for again at least this often, however long their time is.
pub const MAX_REFRESH: Duration = Duration::from_secs(3600);

/// The endpoints that the SRV records of a name say.
///
/// A record's target and port become the address, its priority and weight those of the [`Endpoint`].
/// A service that is decidedly not offered (a target of `.`) has no endpoints; a name without records is an error, and
/// what was found before stays.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_dns::Resolver;
/// use grapeshot_rpc::balance::ServiceRecords;
///
/// let calculators = ServiceRecords::new(Resolver::of_thread(), "_calc._tcp.example.com");
/// ```
#[derive(Clone, Debug)]
pub struct ServiceRecords {
    resolver: Resolver,
    name: String,
    interval: Option<Duration>,
}

impl ServiceRecords {
    /// The records of `name`, which has the form `_service._protocol.domain`, asked for again as their TTL says.
    pub fn new(resolver: Resolver, name: impl Into<String>) -> ServiceRecords {
        ServiceRecords { resolver, name: name.into(), interval: None }
    }

    /// Has them asked for again after this time, instead of their TTL. The resolver's cache may have them until then.
    pub fn interval(mut self, interval: Duration) -> ServiceRecords {
        self.interval = Some(interval);
        self
    }
}

impl EndpointSource for ServiceRecords {
    fn find(&self) -> io::Result<Found> {
        let found = self.resolver.lookup(&self.name, RecordType::SRV)?;
        // None: the only record says that there is no such service.
        let servers = service_order(found.values::<Srv>(), &mut random_u64).unwrap_or_default();
        let good_for = self.interval.unwrap_or_else(|| found.ttl().clamp(MIN_REFRESH, MAX_REFRESH));
        Ok(Found { endpoints: servers.iter().map(endpoint).collect(), good_for: Some(good_for) })
    }
}

fn endpoint(server: &Srv) -> Endpoint {
    let host = server.target.to_ascii();
    let host = host.strip_suffix('.').unwrap_or(&host);
    Endpoint { address: format!("{host}:{}", server.port), priority: server.priority, weight: server.weight }
}
