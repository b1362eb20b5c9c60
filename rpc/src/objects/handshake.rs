//! The exchange before the first object: the steps of [`proto::auth`](crate::proto::auth) in frames of 32 bytes.

use std::io::{Read, Write};

use super::error::ObjectError;
use super::incoming::Incoming;
use crate::auth::{AuthKey, Keys, nonce};
use crate::proto::auth::{AuthFault, ClientExchange, Labels, PROOF_BYTES, ServerExchange};
use crate::proto::{Framed, FramedError};

/// Says that a proof is not accepted.
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
        self.send(&begin)?;
        let challenge = self.receive()?;
        self.send(&exchange.challenged(&challenge, key)?)?;
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
        self.send(&exchange.begin(&begin, nonce()?)?)?;
        let proof = self.receive()?;
        match exchange.prove(&proof, keys) {
            Ok(answer) => self.send(&answer)?,
            Err(fault) => {
                // Whether the peer still listens changes nothing.
                let _ = self.send(REFUSAL);
                return Err(fault.into());
            }
        }
        let name = exchange.proven_key().and_then(|key| keys.name(key));
        Ok(name.unwrap_or_default().to_owned())
    }

    fn send(&mut self, content: &[u8]) -> Result<(), ObjectError> {
        let mut frame = Vec::new();
        Framed::new(PROOF_BYTES).append(&mut frame, content)?;
        let mut stream = self.stream;
        stream.write_all(&frame)?;
        Ok(stream.flush()?)
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
