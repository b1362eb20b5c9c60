//! One request and the head of its answer, on one connection.
//!
//! ```text
//!   upload ──► request ──► server
//!                             │ 1xx *( 1xx ), left
//!   response head ◄───────────┘
//! ```

use std::io;
use std::time::Instant;

use grapeshot_core::now;
use http::StatusCode;

use super::connection::Connection;
use super::error::{ClientError, Phase};
use super::limits::ClientLimits;
use super::patience::{Patience, Wait};
use super::upload::{OutgoingBody, Upload};
use crate::proto::MethodKind;
use crate::proto::client::{MalformedResponse, ReceivedHead, ResponseParser};

/// Why there is no answer on this connection.
pub(super) struct Failed {
    pub(super) error: ClientError,
    /// The connection ended without a byte of an answer: one that had been kept may have been closed by the server
    /// while the request was under way, and another may serve (RFC 9112 section 9.3.1).
    pub(super) is_unheard: bool,
}

/// One request under way.
pub(super) struct Exchange<'a> {
    connection: Connection,
    limits: &'a ClientLimits,
    patience: Patience,
    method: MethodKind,
    /// Whether a byte of an answer has come.
    has_heard: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        connection: Connection,
        limits: &'a ClientLimits,
        patience: Patience,
        method: MethodKind,
    ) -> Exchange<'a> {
        Exchange { connection, limits, patience, method, has_heard: false }
    }

    /// Sends the request and reads the final answer's head.
    pub(super) fn run(
        mut self,
        head: Vec<u8>,
        body: OutgoingBody,
    ) -> Result<(ReceivedHead, Connection, Upload), Failed> {
        let transport = &self.connection.transport;
        let upload = Upload::begin(transport, head, body, self.patience, self.limits.write_timeout);
        let upload = upload.map_err(|error| Failed { error, is_unheard: false })?;
        match self.receive(&upload) {
            Ok(head) => Ok((head, self.connection, upload)),
            Err(error @ (ClientError::NoAnswer | ClientError::Receive(_))) => {
                // What went wrong first says more than its consequence.
                let error = upload.take_failure().unwrap_or(error);
                let has_ended = matches!(error, ClientError::NoAnswer | ClientError::Receive(_) | ClientError::Send(_));
                Err(Failed { error, is_unheard: has_ended && !self.has_heard })
            }
            Err(error) => Err(Failed { error, is_unheard: false }),
        }
    }

    fn receive(&mut self, upload: &Upload) -> Result<ReceivedHead, ClientError> {
        let (mut parser, mut interim_answers) = (ResponseParser::new(), 0);
        loop {
            let head = parser.parse(self.connection.buffer.unread(), self.method, &self.limits.of_head())?;
            let Some(head) = head else {
                self.receive_more(upload)?;
                continue;
            };
            self.connection.buffer.consume(head.len);
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(MalformedResponse::UnaskedUpgrade.into());
            }
            if !head.status.is_informational() {
                return Ok(head);
            }
            // RFC 9110 section 15.2: a client MUST be able to read them, unasked, and may leave them.
            interim_answers += 1;
            let limit = self.limits.interim_answers;
            if interim_answers > limit {
                return Err(ClientError::TooManyInterimAnswers { limit });
            }
        }
    }

    fn receive_more(&mut self, upload: &Upload) -> Result<(), ClientError> {
        loop {
            let ended = upload.ended();
            let wait = self.wait(ended.unwrap_or_else(now));
            match self.connection.fill(self.limits.head_bytes, wait) {
                Ok(0) => return Err(self.unexpected_end()),
                Ok(_) => {
                    self.has_heard = true;
                    return Ok(());
                }
                // Over TLS, an end that nobody announced.
                Err(ClientError::Receive(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(self.unexpected_end());
                }
                // The time runs from the end of the request, which came while we waited or is yet to come.
                Err(ClientError::TimedOut { phase: Phase::Head, .. }) if ended.is_none() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&self, start: Instant) -> Wait {
        self.patience.wait(Phase::Head, start, self.limits.head_timeout)
    }

    fn unexpected_end(&self) -> ClientError {
        match self.connection.buffer.unread().len() {
            0 => ClientError::NoAnswer,
            at => MalformedResponse::UnexpectedEnd { at }.into(),
        }
    }
}
