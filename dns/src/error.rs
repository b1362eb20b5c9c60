//! Why a lookup gave nothing.
//!
//! # Invariants
//!
//! - An error names the question, the servers that were asked with what each said, and the limit it was held to.
//! - It is cheap to clone, since everyone who joined a lookup gets it, and so does who asks again soon.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::NameServer;
use crate::proto::{ExtendedError, Name, NameError, Record, RecordType, ResponseCode, rcode_name, type_name};
use crate::transport::ExchangeError;

/// Why a lookup gave nothing: what happened, to which question, and who was asked.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::{LookupErrorKind, Resolver};
/// use grapeshot_dns::proto::RecordType;
///
/// test::run(|| {
///     // A name that nobody is asked for (RFC 6761).
///     let error = Resolver::new(Default::default()).lookup("www.invalid", RecordType::A).unwrap_err();
///     assert!(matches!(error.kind(), LookupErrorKind::NoSuchName));
///     assert_eq!(error.to_string(), "no such name: www.invalid. (A)");
/// });
/// ```
#[derive(Clone)]
pub struct LookupError {
    details: Arc<Details>,
}

#[derive(Clone)]
struct Details {
    kind: LookupErrorKind,
    name: String,
    record_type: Option<RecordType>,
    asked: Vec<Asked>,
    limit: Option<Duration>,
    soa: Option<Record>,
    is_remembered: bool,
}

/// What kind of failure a lookup met.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LookupErrorKind {
    /// What was given is no name. The caller's fault.
    BadName(NameError),
    /// There is no such name, of any type (NXDOMAIN).
    NoSuchName,
    /// The name exists, and has no data of the type asked for (NODATA).
    NoData,
    /// The service is decidedly not offered: its one SRV record points to the root (RFC 2782).
    NoService,
    /// The servers could not find out (SERVFAIL).
    ServerFailure,
    /// The servers do not answer this question, or not to us (REFUSED).
    Refused,
    /// The servers answered with a code that says neither.
    Failed(ResponseCode),
    /// The servers refer to others instead of asking them, or know nothing of the name: they are no resolvers.
    Lame,
    /// No server answered within the limit.
    TimedOut,
    /// What came as replies could not be read.
    Malformed,
    /// No server could be reached at all: nobody listens there, no route leads there, or it did not prove who it is.
    Unreachable,
    /// The name's aliases go in circles, or there are more than are followed.
    Loop,
    /// There is no server to ask. The configuration's fault.
    NoServers,
    /// As many queries as allowed were in flight until the limit. The program asks too much at once.
    Busy,
    /// The coroutine unwinds, and so cannot wait for an answer.
    Unwinding,
}

/// A server that was asked without success.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The server.
    pub server: NameServer,
    /// Over what: `UDP`, `TCP`, `TLS`.
    pub transport: &'static str,
    /// What it said.
    pub said: Said,
    /// How long that took.
    pub took: Duration,
}

/// What a server said that was no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Said {
    /// No reply, or none that could be read.
    Nothing(ExchangeError),
    /// A reply with this code, and with the extended errors that explain it (RFC 8914).
    Code(ResponseCode, Vec<ExtendedError>),
    /// To ask others, or nothing of use.
    Lame,
    /// Aliases that lead in a circle, or are more than are followed.
    Loop,
}

impl Said {
    /// Whether asking the same server again may help.
    pub(crate) fn may_change(&self) -> bool {
        match self {
            Said::Nothing(error) => !matches!(error, ExchangeError::NoTlsName | ExchangeError::Untrusted { .. }),
            Said::Code(..) | Said::Lame | Said::Loop => false,
        }
    }
}

impl LookupError {
    pub(crate) fn new(kind: LookupErrorKind, name: &Name, record_type: impl Into<Option<RecordType>>) -> LookupError {
        LookupError::of_text(kind, &name.to_ascii(), record_type)
    }

    /// For what could not be made a name.
    pub(crate) fn of_text(
        kind: LookupErrorKind,
        name: &str,
        record_type: impl Into<Option<RecordType>>,
    ) -> LookupError {
        let record_type = record_type.into();
        let details = Details {
            kind,
            name: name.to_owned(),
            record_type,
            asked: Vec::new(),
            limit: None,
            soa: None,
            is_remembered: false,
        };
        LookupError { details: Arc::new(details) }
    }

    /// What a lookup failed with whose servers have all been asked.
    pub(crate) fn of_servers(name: &Name, record_type: RecordType, asked: Vec<Asked>, limit: Duration) -> LookupError {
        let kind = verdict(&asked);
        LookupError::new(kind, name, record_type).with(|details| {
            details.asked = asked;
            details.limit = Some(limit);
        })
    }

    pub(crate) fn with_limit(self, limit: Duration) -> LookupError {
        self.with(|details| details.limit = Some(limit))
    }

    pub(crate) fn with_soa(self, soa: Option<Record>) -> LookupError {
        self.with(|details| details.soa = soa)
    }

    /// The same failure, as one of a host's addresses of either family.
    pub(crate) fn of_any_family(self) -> LookupError {
        self.with(|details| details.record_type = None)
    }

    /// The same failure, for who asks again before its time is over.
    pub(crate) fn remembered(self) -> LookupError {
        self.with(|details| details.is_remembered = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Details)) -> LookupError {
        change(Arc::make_mut(&mut self.details));
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> &LookupErrorKind {
        &self.details.kind
    }

    /// The name that was looked up, or what was given for one.
    pub fn name(&self) -> &str {
        &self.details.name
    }

    /// The type that was asked for; `None` if it was a host's addresses, of either family.
    pub fn record_type(&self) -> Option<RecordType> {
        self.details.record_type
    }

    /// The servers that were asked in vain, in the order in which they answered or did not.
    pub fn asked(&self) -> &[Asked] {
        &self.details.asked
    }

    /// The limit that the lookup was held to, if it came to asking servers.
    pub fn limit(&self) -> Option<Duration> {
        self.details.limit
    }

    /// Whether the servers failed a moment ago, when somebody else asked, and have not been asked again (RFC 9520).
    pub fn is_remembered(&self) -> bool {
        self.details.is_remembered
    }

    /// The SOA record that came with the news that there is no such name or no such data (RFC 2308).
    pub fn soa(&self) -> Option<&Record> {
        self.details.soa.as_ref()
    }

    /// Why the servers say they failed (RFC 8914).
    pub fn extended_errors(&self) -> impl Iterator<Item = &ExtendedError> {
        self.details.asked.iter().flat_map(|asked| match &asked.said {
            Said::Code(_, errors) => errors.as_slice(),
            _ => &[],
        })
    }

    /// Whether a server has said that there is nothing of the kind: no such name, no data, or no such service.
    pub fn is_absence(&self) -> bool {
        matches!(self.kind(), LookupErrorKind::NoSuchName | LookupErrorKind::NoData | LookupErrorKind::NoService)
    }

    /// Whether it is a failure of the servers, to be remembered for a while (RFC 9520, section 2).
    pub(crate) fn is_resolution_failure(&self) -> bool {
        use LookupErrorKind::{Failed, Lame, Loop, Malformed, Refused, ServerFailure, TimedOut, Unreachable};
        matches!(self.kind(), ServerFailure | Refused | Failed(_) | Lame | TimedOut | Malformed | Unreachable | Loop)
    }
}

/// What the replies of all servers come to: who said something counts more than who was silent.
fn verdict(asked: &[Asked]) -> LookupErrorKind {
    let weight = |kind: &LookupErrorKind| match kind {
        LookupErrorKind::Busy | LookupErrorKind::Unwinding => 8,
        LookupErrorKind::ServerFailure => 7,
        LookupErrorKind::Refused => 6,
        LookupErrorKind::Failed(_) => 5,
        LookupErrorKind::Loop => 4,
        LookupErrorKind::Lame => 3,
        LookupErrorKind::Malformed => 2,
        LookupErrorKind::TimedOut => 1,
        _ => 0,
    };
    let kinds = asked.iter().map(|asked| match &asked.said {
        Said::Code(ResponseCode::ServFail, _) => LookupErrorKind::ServerFailure,
        Said::Code(ResponseCode::Refused, _) => LookupErrorKind::Refused,
        Said::Code(code, _) => LookupErrorKind::Failed(*code),
        Said::Lame => LookupErrorKind::Lame,
        Said::Loop => LookupErrorKind::Loop,
        Said::Nothing(ExchangeError::TimedOut) => LookupErrorKind::TimedOut,
        Said::Nothing(ExchangeError::Malformed(_) | ExchangeError::Closed) => LookupErrorKind::Malformed,
        Said::Nothing(ExchangeError::Busy { .. }) => LookupErrorKind::Busy,
        Said::Nothing(ExchangeError::Unwinding) => LookupErrorKind::Unwinding,
        Said::Nothing(_) => LookupErrorKind::Unreachable,
    });
    kinds.max_by_key(weight).unwrap_or(LookupErrorKind::NoServers)
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, name, record_type, asked, limit, is_remembered, .. } = &*self.details;
        match (kind, record_type) {
            (LookupErrorKind::NoData, None) => f.write_str("no addresses: ")?,
            _ => write!(f, "{kind}: ")?,
        }
        // An empty name would look as if one were missing.
        if name.is_empty() {
            f.write_str("\"\"")?
        } else {
            f.write_str(name)?
        }
        if let Some(record_type) = record_type {
            write!(f, " ({})", type_name(*record_type))?;
        }
        let mut separator = "; asked ";
        for asked in asked {
            write!(f, "{separator}{asked}")?;
            separator = ", ";
        }
        if let Some(limit) = limit.filter(|_| matches!(kind, LookupErrorKind::TimedOut)) {
            write!(f, "; the limit was {limit:?}")?;
        }
        if *is_remembered {
            f.write_str("; so it was a moment ago, and nobody has been asked again")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LookupError({self})")
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.details.kind {
            LookupErrorKind::BadName(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for LookupErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookupErrorKind::BadName(error) => return write!(f, "not a name, {error}"),
            LookupErrorKind::Failed(code) => return write!(f, "the server answers {}", rcode_name(*code)),
            LookupErrorKind::NoSuchName => "no such name",
            LookupErrorKind::NoData => "no data of this type",
            LookupErrorKind::NoService => "the service is not offered",
            LookupErrorKind::ServerFailure => "server failure",
            LookupErrorKind::Refused => "refused by the server",
            LookupErrorKind::Lame => "the servers refer to others",
            LookupErrorKind::TimedOut => "timed out",
            LookupErrorKind::Malformed => "malformed replies",
            LookupErrorKind::Unreachable => "no server can be reached",
            LookupErrorKind::Loop => "the aliases go in circles, or are too many",
            LookupErrorKind::NoServers => "there is no server to ask",
            LookupErrorKind::Busy => "too many queries in flight",
            LookupErrorKind::Unwinding => "a coroutine that unwinds cannot wait for an answer",
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {} ({}, {:.1?})", self.server.address, self.transport, self.said, self.took)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Nothing(error) => error.fmt(f),
            Said::Code(code, errors) => {
                f.write_str(&rcode_name(*code))?;
                errors.iter().try_for_each(|error| write!(f, ", {error}"))
            }
            Said::Lame => f.write_str("no answer, and nobody else to ask"),
            Said::Loop => f.write_str("aliases in a circle, or too many"),
        }
    }
}

impl From<LookupError> for io::Error {
    /// Of kind `NotFound` for what does not exist, `TimedOut`, `InvalidInput` for what is no name, and else `Other`.
    fn from(error: LookupError) -> io::Error {
        let kind = match error.kind() {
            LookupErrorKind::NoSuchName | LookupErrorKind::NoData | LookupErrorKind::NoService => {
                io::ErrorKind::NotFound
            }
            LookupErrorKind::TimedOut => io::ErrorKind::TimedOut,
            LookupErrorKind::BadName(_) => io::ErrorKind::InvalidInput,
            LookupErrorKind::Malformed => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
