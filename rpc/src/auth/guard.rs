//! The server's side of the exchange: what stands before the service until the client has proven itself.

use std::time::{Duration, Instant};

use grapeshot_core::now;

use super::client::nonce;
use super::key::Keys;
use crate::error::Failure;
use crate::proto::HELLO_METHOD;
use crate::proto::auth::{AuthFault, BEGIN_METHOD, Labels, PROVE_METHOD, ServerExchange};
use crate::value::Encoded;

/// The most that the parameters of a step take: a list of one, whose item is 32 bytes in a binary's longest form.
const MAX_PARAMS: usize = 5 + 5 + 32;

/// Answers for the service until the client has proven that it knows a key. One for each connection.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::test;
/// use grapeshot_rpc::auth::{AuthKey, Guard};
/// use grapeshot_rpc::Failure;
///
/// test::run(|| {
///     let key = AuthKey::new(b"0123456789abcdef").unwrap();
///     let mut guard = Guard::new(&key, Duration::from_secs(5));
///     let refused = guard.handle("add", &[0x92, 1, 2]).unwrap().unwrap_err();
///     assert_eq!(refused.code, Failure::UNAUTHENTICATED);
///     assert!(guard.handle("$/hello", &[0x90]).is_none(), "hello is for others to answer");
/// });
/// ```
pub struct Guard {
    exchange: ServerExchange,
    keys: Keys,
    limit: Duration,
    /// None when it is further away than time goes.
    deadline: Option<Instant>,
}

impl Guard {
    /// Asks for one of the keys, within `limit` from now on.
    pub fn new(keys: impl Into<Keys>, limit: Duration) -> Guard {
        let exchange = ServerExchange::new(Labels::CALLS);
        Guard { exchange, keys: keys.into(), limit, deadline: now().checked_add(limit) }
    }

    /// Answers a request, or leaves it to others: `None` for hello, and for every other call once the client is proven.
    ///
    /// For a notification the answer is dropped. Look at [`has_failed`](Self::has_failed) afterwards. Never suspends.
    pub fn handle(&mut self, method: &str, params: &[u8]) -> Option<Result<Encoded, Failure>> {
        match method {
            HELLO_METHOD => None,
            BEGIN_METHOD => Some(self.step(params, |guard, nonce_of_client| {
                let own = nonce().map_err(|error| Failure::new(Failure::INTERNAL, error.to_string()))?;
                guard.exchange.begin(nonce_of_client, own).map_err(refusal)
            })),
            PROVE_METHOD => {
                Some(self.step(params, |guard, proof| guard.exchange.prove(proof, &guard.keys).map_err(refusal)))
            }
            _ if self.is_proven() => None,
            _ => {
                let why = format!("{method} needs authentication by {BEGIN_METHOD} and {PROVE_METHOD}");
                Some(Err(Failure::new(Failure::UNAUTHENTICATED, why)))
            }
        }
    }

    /// One step: 32 bytes in, 32 bytes out.
    fn step(
        &mut self,
        params: &[u8],
        take: impl FnOnce(&mut Guard, &[u8]) -> Result<[u8; 32], Failure>,
    ) -> Result<Encoded, Failure> {
        if self.is_late() {
            self.exchange.fail();
            let why = format!("the authentication was not done within {:?}", self.limit);
            return Err(Failure::new(Failure::UNAUTHENTICATED, why));
        }
        let bytes = only_item(params)
            .ok_or_else(|| Failure::new(Failure::INVALID_PARAMS, "the parameters are no list of one binary"))?;
        take(self, bytes).map(|answer| Encoded::from_bytes(binary_of(&answer)))
    }

    /// Whether the client has proven itself.
    pub fn is_proven(&self) -> bool {
        self.exchange.proven_key().is_some()
    }

    /// The name of the key that the client has proven to know.
    pub fn key(&self) -> Option<&str> {
        self.keys.name(self.exchange.proven_key()?)
    }

    /// Whether the client has failed: the answer at hand is sent, and the connection ends.
    pub fn has_failed(&self) -> bool {
        self.exchange.has_failed()
    }

    /// Until when the client must have proven itself; `None` once it has. The connection ends when this passes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.is_proven())
    }

    fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now())
    }
}

fn refusal(fault: AuthFault) -> Failure {
    let code = match fault {
        AuthFault::Length { .. } => Failure::INVALID_PARAMS,
        AuthFault::OutOfTurn => Failure::INVALID_REQUEST,
        AuthFault::Reflected | AuthFault::WrongProof => Failure::UNAUTHENTICATED,
    };
    Failure::new(code, fault.to_string())
}

/// The parameters of a step.
pub(super) fn list_of(bytes: &[u8]) -> Vec<u8> {
    const LIST_OF_ONE: u8 = 0x91;
    let mut params = vec![LIST_OF_ONE];
    params.extend(binary_of(bytes));
    params
}

/// A MessagePack binary of at most 255 bytes.
fn binary_of(bytes: &[u8]) -> Vec<u8> {
    const BIN_8: u8 = 0xc4;
    // Nonces and proofs have 32.
    let mut binary = vec![BIN_8, bytes.len() as u8];
    binary.extend_from_slice(bytes);
    binary
}

/// The binary that is the only item of a list.
fn only_item(params: &[u8]) -> Option<&[u8]> {
    if params.len() > MAX_PARAMS {
        return None;
    }
    let mut rest = params;
    (rmp::decode::read_array_len(&mut rest).ok()? == 1).then_some(())?;
    only_binary(rest)
}

/// The binary that a value is, in any of its three forms.
pub(super) fn only_binary(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    let length = rmp::decode::read_bin_len(&mut rest).ok()?;
    (usize::try_from(length).ok()? == rest.len()).then_some(rest)
}
