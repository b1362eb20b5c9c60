//! The requests that a connection answers itself: their names begin with `$/`.

use std::rc::Rc;

use super::close::CloseReason;
use super::shared::Shared;
use crate::error::Failure;
use crate::proto::{HELLO_METHOD, Hello};
use crate::service::Service;
use crate::signature;
use crate::value::Encoded;

/// Lists the methods of the service.
pub(crate) const METHODS_METHOD: &str = "$/methods";

impl Shared {
    /// Answers a request of the connection's own; `None` for one that the service may know.
    pub(super) fn answer_itself(
        self: &Rc<Shared>,
        id: u32,
        method: &str,
        params: &[u8],
    ) -> Option<Result<(), CloseReason>> {
        if let Some(result) = self.proof.answer(method, params) {
            self.answer(id, result.as_ref().map(Encoded::as_bytes));
            return Some(self.note_proof(result.err()));
        }
        if method != HELLO_METHOD {
            return None;
        }
        if let Err(failure) = self.answer_hello(id, params) {
            self.answer(id, Err(&failure));
        }
        Some(Ok(()))
    }

    /// Notes that the peer has come further with its proof, or has failed; `refusal` is what it was answered, if it was refused.
    fn note_proof(&self, refusal: Option<Failure>) -> Result<(), CloseReason> {
        if self.proof.has_failed() {
            return Err(CloseReason::ProofFailed {
                reason: refusal.map(|refusal| refusal.message).unwrap_or_default(),
            });
        }
        if self.proof.is_given() {
            if let Some(reading) = &*self.reading.borrow()
                && self.reason().is_none()
            {
                reading.cancel();
            }
            self.refresh_identity();
            self.note_change();
        }
        Ok(())
    }

    /// Says what this side knows, and uses from then on what both do.
    fn answer_hello(&self, id: u32, params: &[u8]) -> Result<(), Failure> {
        let peer =
            Hello::decode_params(params).map_err(|error| Failure::new(Failure::INVALID_PARAMS, error.to_string()))?;
        let mut own = Vec::new();
        self.hello().append(&mut own);
        self.answer(id, Ok(&own));
        self.agree_with(&peer);
        Ok(())
    }

    /// The answer to [`METHODS_METHOD`], which is a call like others but for who answers it.
    pub(super) fn list_methods(service: &dyn Service) -> Result<Encoded, Failure> {
        let listed = signature::encode_methods(service.methods());
        listed.map_err(|error| Failure::new(Failure::INTERNAL, error.to_string()))
    }

    /// Whether the peer has proven who it is, if it has to.
    pub(super) fn is_proven(&self) -> bool {
        self.proof.is_given()
    }
}
