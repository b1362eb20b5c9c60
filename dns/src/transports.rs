//! Which transport a server is asked over.

use std::rc::Rc;

use crate::config::NameServer;
use crate::transport::Transport;

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

/// In place of TLS where there is none: a server that is to be asked over TLS is never asked without.
struct NoTls;

impl Transport for NoTls {
    fn name(&self) -> &'static str {
        "TLS"
    }

    fn exchange(
        &self,
        _: &NameServer,
        _: &crate::proto::Query,
        _: std::time::Instant,
    ) -> Result<crate::proto::Reply, crate::transport::ExchangeError> {
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, "the feature `tls` is off");
        Err(crate::transport::ExchangeError::Failed { what: "DNS over TLS", error: std::sync::Arc::new(error) })
    }
}
