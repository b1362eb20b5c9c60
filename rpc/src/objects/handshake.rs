//! The exchange before the first object: the steps of [`proto::auth`](crate::proto::auth) in frames of 32 bytes.

use std::io::{Read, Write};
use std::time::Duration;

use grapeshot_core::with_timeout;

use super::error::ObjectError;
use super::incoming::Incoming;
use crate::auth::{AuthKey, Keys, nonce};
use crate::proto::auth::{AuthFault, ClientExchange, Labels, PROOF_BYTES, ServerExchange};
use crate::proto::{Framed, FramedError};

/// Says that a proof is not accepted, or that none came. No object is as short.
const REFUSAL: &[u8] = &[];

/// Which side of the exchange this is.
#[derive(Clone)]
pub(super) enum Role {
    /// It speaks first, with this key.
    Client(AuthKey),
    /// It waits for a client that knows one of these.
    Server(Keys),
}

/// Does the exchange; the name of the key that it was done with.
pub(super) fn handshake<S>(role: &Role, stream: &S, incoming: &mut Incoming) -> Result<String, ObjectError>
where
    for<'a> &'a S: Read + Write,
{
    let mut steps = Steps { stream, incoming };
    match role {
        Role::Client(key) => steps.as_client(key),
        Role::Server(keys) => steps.as_server(keys),
    }
}

/// Tells a client that it does not get in, as far as that can be done without waiting.
pub(super) fn refuse<S>(role: &Role, stream: &S)
where
    for<'a> &'a S: Write,
{
    if let Role::Server(_) = role {
        // Whether the peer still listens changes nothing, nor does whether there is room.
        let _ = with_timeout(Duration::ZERO, || send(stream, REFUSAL));
    }
}

fn send<S>(mut stream: &S, content: &[u8]) -> Result<(), ObjectError>
where
    for<'a> &'a S: Write,
{
    let mut frame = Vec::new();
    Framed::new(PROOF_BYTES).append(&mut frame, content)?;
    stream.write_all(&frame)?;
    Ok(stream.flush()?)
}

struct Steps<'a, S> {
    stream: &'a S,
    incoming: &'a mut Incoming,
}

impl<S> Steps<'_, S>
where
    for<'a> &'a S: Read + Write,
{
    fn as_client(&mut self, key: &AuthKey) -> Result<String, ObjectError> {
        let (mut exchange, begin) = ClientExchange::begin(Labels::OBJECTS, nonce()?);
        send(self.stream, &begin)?;
        let challenge = self.receive()?;
        send(self.stream, &exchange.challenged(&challenge, key)?)?;
        let answer = self.receive()?;
        if answer == REFUSAL {
            return Err(ObjectError::Refused);
        }
        exchange.finish(&answer, key)?;
        Ok(key.name().to_owned())
    }

    fn as_server(&mut self, keys: &Keys) -> Result<String, ObjectError> {
        let mut exchange = ServerExchange::new(Labels::OBJECTS);
        let begin = self.receive()?;
        send(self.stream, &exchange.begin(&begin, nonce()?)?)?;
        let proof = self.receive()?;
        send(self.stream, &exchange.prove(&proof, keys)?)?;
        let name = exchange.proven_key().and_then(|key| keys.name(key));
        Ok(name.unwrap_or_default().to_owned())
    }

    fn receive(&mut self) -> Result<Vec<u8>, ObjectError> {
        match self.incoming.frame(Framed::new(PROOF_BYTES), self.stream) {
            Ok(Some(place)) => Ok(self.incoming.content(place).to_vec()),
            Ok(None) => Err(FramedError::Truncated { bytes: 0, expected: Framed::whole(PROOF_BYTES) }.into()),
            // It is a peer that knows nothing of keys, and sends an object.
            Err(ObjectError::TooLarge { bytes, .. }) => Err(AuthFault::Length { bytes }.into()),
            Err(error) => Err(error),
        }
    }
}
