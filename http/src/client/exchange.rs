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

/// One request under way.
pub(super) struct Exchange<'a> {
    pub(super) connection: Connection,
    pub(super) limits: &'a ClientLimits,
    pub(super) patience: Patience,
    pub(super) method: MethodKind,
}

impl Exchange<'_> {
    /// Sends the request and reads the final answer's head.
    pub(super) fn run(
        mut self,
        head: Vec<u8>,
        body: OutgoingBody,
    ) -> Result<(ReceivedHead, Connection, Upload), ClientError> {
        let transport = &self.connection.transport;
        let upload = Upload::begin(transport, head, body, self.patience, self.limits.write_timeout)?;
        match self.receive(&upload) {
            Ok(head) => Ok((head, self.connection, upload)),
            // What went wrong first says more than its consequence.
            Err(error @ (ClientError::NoAnswer | ClientError::Receive(_))) => {
                Err(upload.take_failure().unwrap_or(error))
            }
            Err(error) => Err(error),
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
                Ok(_) => return Ok(()),
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
