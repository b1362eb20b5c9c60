//! Which transport a server is asked over.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::config::NameServer;
use crate::proto::{Query, Reply};
use crate::transport::{ExchangeError, Notes, Place, Transport};
#[cfg(feature = "tls")]
use crate::transport::{StreamOptions, Tls, TransportStats};

/// The transports of a resolver.
#[derive(Clone)]
pub(crate) struct Transports {
    pub(crate) udp: Rc<dyn Transport>,
    pub(crate) tcp: Rc<dyn Transport>,
    /// For servers that are to prove who they are; without one they cannot be asked.
    pub(crate) tls: Option<Rc<dyn Transport>>,
}

impl Transports {
    /// The transport for this server: TLS if it is to prove its name, and else UDP, or TCP on request.
    pub(crate) fn of(&self, server: &NameServer, tcp: bool) -> &dyn Transport {
        match (&self.tls, &server.tls_name) {
            (Some(tls), Some(_)) => &**tls,
            (None, Some(_)) => &NoTls,
            (_, None) if tcp => &*self.tcp,
            (_, None) => &*self.udp,
        }
    }
}

/// DNS over TLS that trusts whom the system trusts, if the feature is on.
#[cfg(feature = "tls")]
pub(crate) fn default_tls() -> Option<Rc<dyn Transport>> {
    Some(Rc::new(SystemTls { tls: std::cell::OnceCell::new() }))
}

/// No DNS over TLS, since the feature is off.
#[cfg(not(feature = "tls"))]
pub(crate) fn default_tls() -> Option<Rc<dyn Transport>> {
    None
}

/// TLS whose roots are read when the first server is asked over it, once: most resolvers never do.
#[cfg(feature = "tls")]
struct SystemTls {
    tls: std::cell::OnceCell<Tls>,
}

#[cfg(feature = "tls")]
impl SystemTls {
    fn tls(&self) -> Result<&Tls, ExchangeError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let tls = Tls::system(StreamOptions::default());
        let tls = tls.map_err(|error| failed(io::Error::other(error)))?;
        Ok(self.tls.get_or_init(|| tls))
    }
}

#[cfg(feature = "tls")]
impl Transport for SystemTls {
    fn name(&self) -> &'static str {
        "TLS"
    }

    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        // Why there is no TLS is for the exchange to say.
        self.tls().map_or_else(|_| Ok(Place::default()), |tls| tls.enter(deadline))
    }

    fn exchange_in(
        &self,
        place: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        self.tls()?.exchange_in(place, server, query, deadline, notes)
    }

    fn stats(&self) -> TransportStats {
        self.tls.get().map(Transport::stats).unwrap_or_default()
    }
}

/// In place of TLS where there is none: a server that is to be asked over TLS is never asked without.
struct NoTls;

impl Transport for NoTls {
    fn name(&self) -> &'static str {
        "TLS"
    }

    fn exchange_in(
        &self,
        _: &Place<'_>,
        _: &NameServer,
        _: &Query,
        _: Instant,
        _: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        Err(failed(io::Error::new(io::ErrorKind::Unsupported, "the feature `tls` is off")))
    }
}

fn failed(error: io::Error) -> ExchangeError {
    ExchangeError::Failed { what: "DNS over TLS", error: Arc::new(error) }
}
