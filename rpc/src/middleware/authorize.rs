//! Who may call what.

use std::fmt;

use super::service_side::{Incoming, NextService, ServiceMiddleware};
use crate::error::Failure;
use crate::replies::BEGIN;
use crate::transport::Identity;
use crate::value::Encoded;

/// Lets a call pass when a rule for its method lets its caller; all others are answered with [`Failure::FORBIDDEN`].
///
/// A method that no rule names is forbidden to everybody. Rules add up: it is enough that one of them fits.
/// One for a method's own name holds for its other names (an `alias`) as well.
///
/// Whoever may call anything may ask for a client id too (`$/sequence.begin`, see [`replies`](crate::replies)), without which
/// no call of theirs could have a number: it runs no method, and how many ids there are is bounded. A rule with a closure is
/// asked about the name that it was made for.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::middleware::{Authorize, ServiceWith, Who};
/// use grapeshot_rpc::{Context, Encoded, Failure, Router, Service};
///
/// let service = Router::new()
///     .method("time", |()| Ok(12))
///     .method("admin.stop", |()| Ok(()))
///     .with(Authorize::new().allow("time", Who::Anyone).allow("admin.*", Who::Key("root".into())));
///
/// let nobody = Context::detached();
/// let none = Encoded::of::<[u8]>(&[]).unwrap();
/// assert!(service.call("time", none.as_bytes(), &nobody).is_ok());
/// assert_eq!(service.call("admin.stop", none.as_bytes(), &nobody).unwrap_err().code, Failure::FORBIDDEN);
/// ```
#[derive(Default)]
pub struct Authorize {
    rules: Vec<Rule>,
}

struct Rule {
    /// The whole name, or what it begins with.
    name: String,
    is_prefix: bool,
    who: Who,
}

/// Who may call.
#[non_exhaustive]
pub enum Who {
    /// Anyone who reaches the service.
    Anyone,
    /// Who has proven to know some key.
    AnyKey,
    /// Who has proven to know the key of this name.
    Key(String),
    /// A process of this user, over a Unix socket.
    User(u32),
    /// Who has shown some certificate, which TLS has verified.
    AnyCertificate,
    /// Who has shown this certificate (DER).
    Certificate(Vec<u8>),
    /// Whomever this lets: it is given the method's name.
    Matching(Box<Matches>),
}

type Matches = dyn Fn(&Identity, &str) -> bool;

impl Who {
    /// Whomever this lets, of the peer and the method's name.
    pub fn matching(matches: impl Fn(&Identity, &str) -> bool + 'static) -> Who {
        Who::Matching(Box::new(matches))
    }
}

impl Authorize {
    /// Forbids everything.
    pub fn new() -> Authorize {
        Authorize::default()
    }

    /// Adds a rule for the method of this name or, with a `*` at the end, for all whose name begins so.
    pub fn allow(mut self, method: &str, who: Who) -> Authorize {
        let prefix = method.strip_suffix('*');
        self.rules.push(Rule { name: prefix.unwrap_or(method).to_owned(), is_prefix: prefix.is_some(), who });
        self
    }

    /// Whether a peer may call a method.
    pub fn allows(&self, peer: &Identity, method: &str) -> bool {
        let is_named = self.rules.iter().any(|rule| rule.names(method) && rule.who.includes(peer, method));
        is_named || (method == BEGIN && self.rules.iter().any(|rule| rule.who.includes(peer, &rule.name)))
    }

    fn lets_pass(&self, call: &Incoming<'_>, next: NextService<'_>) -> bool {
        let (peer, own) = (call.context.peer(), next.canonical(call.method));
        self.allows(peer, call.method) || (own != call.method && self.allows(peer, &own))
    }
}

impl ServiceMiddleware for Authorize {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        if self.lets_pass(call, next) {
            return next.call(call);
        }
        let peer = call.context.peer();
        // Whether there is such a method is not told.
        Err(Failure::new(Failure::FORBIDDEN, format!("{peer} may not call {:?}", call.method)))
    }
}

impl Rule {
    fn names(&self, method: &str) -> bool {
        if self.is_prefix { method.starts_with(&self.name) } else { method == self.name }
    }
}

impl Who {
    fn includes(&self, peer: &Identity, method: &str) -> bool {
        match self {
            Who::Anyone => true,
            Who::AnyKey => peer.key.is_some(),
            Who::Key(name) => peer.key.as_ref() == Some(name),
            Who::User(uid) => peer.credentials.is_some_and(|credentials| credentials.uid == *uid),
            Who::AnyCertificate => peer.certificate.is_some(),
            Who::Certificate(certificate) => peer.certificate.as_ref() == Some(certificate),
            Who::Matching(matches) => matches(peer, method),
        }
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self
            .rules
            .iter()
            .map(|rule| (if rule.is_prefix { format!("{}*", rule.name) } else { rule.name.clone() }, &rule.who));
        f.debug_map().entries(rules).finish()
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anyone => f.write_str("Anyone"),
            Who::AnyKey => f.write_str("AnyKey"),
            Who::Key(name) => f.debug_tuple("Key").field(name).finish(),
            Who::User(uid) => f.debug_tuple("User").field(uid).finish(),
            Who::AnyCertificate => f.write_str("AnyCertificate"),
            Who::Certificate(certificate) => write!(f, "Certificate({} bytes)", certificate.len()),
            Who::Matching(_) => f.write_str("Matching(..)"),
        }
    }
}
