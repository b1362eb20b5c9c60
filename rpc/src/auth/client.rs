//! The client's side of the exchange, as two calls.

use std::time::{Duration, Instant};

use grapeshot_core::now;

use super::error::AuthError;
use super::key::AuthKey;
use super::provider;
use crate::caller::{CallOptions, Caller, Request};
use crate::error::{CallError, Failure};
use crate::proto::auth::{BEGIN_METHOD, ClientExchange, Labels, NONCE_BYTES, Nonce, PROVE_METHOD, Proof};

/// Proves to the server that this side knows the key, and has the server prove the same, within `limit` in all.
///
/// A client does so by itself when it was given a key. Afterwards the server takes calls on this connection; what travels
/// on it is as open to others as before. Suspends.
///
/// # Errors
///
/// See [`AuthError`]. The connection is of no use then, and the server may have ended it.
///
/// # Cancellation
///
/// Unwinds.
pub fn authenticate(caller: &dyn Caller, key: &AuthKey, limit: Duration) -> Result<(), AuthError> {
    let deadline = now().checked_add(limit);
    let ask = |method, bytes: &[u8]| ask(caller, method, bytes, Within { limit, deadline });
    let (mut exchange, begin) = ClientExchange::begin(Labels::CALLS, nonce()?);
    let challenge = ask(BEGIN_METHOD, &begin)?;
    let proof = exchange.challenged(&challenge, key).map_err(AuthError::Unproven)?;
    let answer = ask(PROVE_METHOD, &proof)?;
    exchange.finish(&answer, key).map_err(AuthError::Unproven)
}

/// A random nonce.
pub(crate) fn nonce() -> Result<Nonce, AuthError> {
    let mut nonce = [0; NONCE_BYTES];
    provider::fill_random(&mut nonce).then_some(nonce).ok_or(AuthError::NoRandom)
}

#[derive(Clone, Copy)]
struct Within {
    limit: Duration,
    /// None when it is further away than time goes.
    deadline: Option<Instant>,
}

/// One step: 32 bytes there, 32 bytes back.
fn ask(caller: &dyn Caller, method: &str, bytes: &[u8], within: Within) -> Result<Proof, AuthError> {
    let left = within.deadline.map_or(within.limit, |deadline| deadline.saturating_duration_since(now()));
    let options = CallOptions { timeout: Some(left), ..CallOptions::default() };
    let params = super::guard::list_of(bytes);
    let answer =
        caller.exchange(&Request { method, params: &params, options: &options }).map_err(|error| match error {
            CallError::TimedOut { .. } => AuthError::TimedOut { limit: within.limit },
            CallError::Failed(failure) if failure.code == Failure::METHOD_NOT_FOUND => AuthError::NotOffered,
            CallError::Failed(failure) => AuthError::Refused(failure),
            CallError::Malformed { reason } => AuthError::Malformed(reason),
            error => AuthError::Lost(error),
        })?;
    super::guard::only_binary(answer.as_bytes())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| AuthError::Malformed(format!("the answer to {method} is no binary of 32 bytes")))
}
