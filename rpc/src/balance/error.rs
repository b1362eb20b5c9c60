//! What a call is told when it is not one endpoint's fault.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use grapeshot_core::now;

use super::state::{EndpointState, Standing};
use crate::error::{CallError, Failure};

/// How many endpoints an error names; of more it says the number.
const NAMED: usize = 8;

/// How many bytes of the text of an endpoint's last error are kept; its data is not.
pub const MAX_KEPT_TEXT: usize = 256;

/// An error as it is kept: what a peer says can be long, and is kept for each endpoint.
pub(crate) fn kept(error: &CallError) -> CallError {
    match error {
        CallError::Failed(failure) => CallError::Failed(Failure::new(failure.code, shortened(&failure.message))),
        CallError::Malformed { reason } => CallError::Malformed { reason: shortened(reason) },
        error => error.clone(),
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=MAX_KEPT_TEXT.min(text.len())).rfind(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}

/// Every endpoint of a balancer fails: the cause in a [`CallError::NotSent`].
#[derive(Clone, Debug)]
pub struct AllEndpointsFailed {
    failures: Vec<(String, CallError)>,
}

impl AllEndpointsFailed {
    /// The address of each endpoint, and what the last call there failed of.
    pub fn failures(&self) -> &[(String, CallError)] {
        &self.failures
    }
}

impl fmt::Display for AllEndpointsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} endpoints fail: ", self.failures.len())?;
        let named = self.failures.iter().map(|(address, error)| match error {
            CallError::NotSent { cause } => format!("{address}: {cause}"),
            error => format!("{address}: {error}"),
        });
        f.write_str(&list(named, self.failures.len()))
    }
}

impl Error for AllEndpointsFailed {}

/// The error of a call that reached nobody, with those of the other endpoints if all have failed.
pub(crate) fn with_all(error: CallError, all: Option<Vec<(String, CallError)>>) -> CallError {
    match (error, all) {
        (CallError::NotSent { cause }, Some(failures)) if failures.len() > 1 => {
            let all = io::Error::new(cause.kind(), AllEndpointsFailed { failures });
            CallError::NotSent { cause: Arc::new(all) }
        }
        (error, _) => error,
    }
}

pub(crate) fn none_found(cause: Option<Arc<io::Error>>) -> CallError {
    let (kind, text) = match cause {
        Some(cause) => (cause.kind(), format!("the endpoints cannot be found: {cause}")),
        None => (io::ErrorKind::NotFound, "there are no endpoints".to_owned()),
    };
    CallError::NotSent { cause: Arc::new(io::Error::new(kind, text)) }
}

pub(crate) fn all_ejected(endpoints: &[EndpointState]) -> CallError {
    let named = endpoints.iter().filter(|endpoint| endpoint.standing != Standing::Leaving).map(|endpoint| {
        let until = match endpoint.standing {
            Standing::Ejected { until } => format!("ejected for {:.1?}", until.saturating_duration_since(now())),
            _ => "being probed".to_owned(),
        };
        match &endpoint.last_error {
            Some(error) => format!("{}: {until} ({error})", endpoint.endpoint),
            None => format!("{}: {until}", endpoint.endpoint),
        }
    });
    CallError::Refused { reason: format!("no endpoint takes calls: {}", list(named, endpoints.len())) }
}

fn list(items: impl Iterator<Item = String>, len: usize) -> String {
    let mut text = items.take(NAMED).collect::<Vec<_>>().join("; ");
    if len > NAMED {
        text.push_str(&format!("; and {} more", len - NAMED));
    }
    text
}
