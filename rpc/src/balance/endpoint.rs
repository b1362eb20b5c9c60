//! Where a service is offered, and who says so.

use std::fmt;
use std::io;
use std::time::Duration;

/// How many endpoints a balancer keeps; those of the worst priority beyond are left out.
pub const MAX_ENDPOINTS: usize = 256;

/// One place where a service is offered.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::balance::Endpoint;
///
/// let backup = Endpoint { priority: 1, ..Endpoint::new("calc2.example:7000") };
/// assert_eq!(backup.to_string(), "calc2.example:7000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address, as whoever connects reads it: `host:port`, or the path of a Unix socket.
    ///
    /// Two endpoints with one address are the same one.
    pub address: String,
    /// Calls go to the lowest number of which an endpoint works (RFC 2782); 0 unless set.
    pub priority: u16,
    /// Its share of the calls among those of its priority (RFC 2782); 1 unless set.
    ///
    /// If others have more, an endpoint of weight 0 gets hardly any.
    pub weight: u16,
}

impl Endpoint {
    /// An endpoint of the best priority, with the same share as all others that are made like this.
    pub fn new(address: impl Into<String>) -> Endpoint {
        Endpoint { address: address.into(), priority: 0, weight: 1 }
    }
}

impl<A: Into<String>> From<A> for Endpoint {
    fn from(address: A) -> Endpoint {
        Endpoint::new(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Who knows the endpoints of a service: a list, DNS, or whatever a program asks.
pub trait EndpointSource {
    /// Finds them. Suspends as it likes; it is cut off after [`MAX_FIND_TIME`](super::MAX_FIND_TIME).
    ///
    /// # Errors
    ///
    /// Why they cannot be found. Those found last remain, and the question is put again soon.
    fn find(&self) -> io::Result<Found>;
}

/// What a source has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The endpoints; none is an answer too.
    pub endpoints: Vec<Endpoint>,
    /// After how long the question should be put again; `None` for never.
    pub good_for: Option<Duration>,
}

/// A list that never changes.
impl<E: Clone + Into<Endpoint>> EndpointSource for Vec<E> {
    fn find(&self) -> io::Result<Found> {
        Ok(Found { endpoints: self.iter().cloned().map(Into::into).collect(), good_for: None })
    }
}

/// A list that never changes.
impl<E: Clone + Into<Endpoint>, const N: usize> EndpointSource for [E; N] {
    fn find(&self) -> io::Result<Found> {
        self.to_vec().find()
    }
}

impl<S: EndpointSource + ?Sized> EndpointSource for std::rc::Rc<S> {
    fn find(&self) -> io::Result<Found> {
        (**self).find()
    }
}
