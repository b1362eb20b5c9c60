//! How a client comes to a connection.

use std::rc::Rc;

use super::error::ClientError;
use super::transport::Transport;
use crate::proto::client::Origin;

/// Makes connections. A function from an [`Origin`] to a transport is one.
///
/// # Examples
///
/// A server on a Unix socket, whatever the URL says:
///
/// ```
/// use std::rc::Rc;
/// use grapeshot_http::client::{Client, ClientError, Origin, Transport};
/// use grapeshot_net::UnixStream;
///
/// let client = Client::builder().connector(|origin: &Origin| match UnixStream::connect("run/service.socket") {
///     Ok(stream) => Ok(Rc::new(stream) as Rc<dyn Transport>),
///     Err(cause) => Err(ClientError::Connect { origin: origin.clone(), cause }),
/// });
/// # drop(client);
/// ```
pub trait Connector {
    /// Makes a connection that can carry a request: for `https`, one that is secure. May suspend.
    ///
    /// It is cut off at [`connect_timeout`](super::ClientLimits::connect_timeout).
    ///
    /// # Errors
    ///
    /// [`ClientError::Name`], [`ClientError::Connect`] or [`ClientError::Tls`].
    fn connect(&self, origin: &Origin) -> Result<Rc<dyn Transport>, ClientError>;
}

impl<F: Fn(&Origin) -> Result<Rc<dyn Transport>, ClientError>> Connector for F {
    fn connect(&self, origin: &Origin) -> Result<Rc<dyn Transport>, ClientError> {
        self(origin)
    }
}
