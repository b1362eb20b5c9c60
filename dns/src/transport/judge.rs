//! Whether a message is the reply that was waited for.

use crate::proto::{Query, Reply};

use super::error::ExchangeError;

/// In the third byte of a message: it is a reply (RFC 1035, section 4.1.1, QR).
const RESPONSE: u8 = 0x80;

/// Judges the messages that came under one id, until the reply is among them.
pub(super) struct Judge<'a> {
    query: &'a Query,
    id: u16,
    /// How long the reply was.
    pub(super) received: usize,
    /// How many messages did not belong to the query.
    pub(super) ignored: u64,
}

impl Judge<'_> {
    pub(super) fn new(query: &Query, id: u16) -> Judge<'_> {
        Judge { query, id, received: 0, ignored: 0 }
    }

    /// The reply, or why it cannot be read; `None` for what does not belong to the query (RFC 5452, section 9.1).
    ///
    /// What cannot be read ends the wait although nobody can say whether its question would have fitted: a forger who
    /// guesses port and id gains one failed attempt by it, and a server that garbles what it sends costs no time.
    pub(super) fn judge(&mut self, message: &[u8]) -> Option<Result<Reply, ExchangeError>> {
        let judged = match Reply::parse(message) {
            Ok(reply) if reply.belongs_to(self.query, self.id) => Ok(reply),
            Err(error) if message.get(2).is_some_and(|flags| flags & RESPONSE != 0) => {
                Err(ExchangeError::Malformed(error))
            }
            _ => {
                self.ignored += 1;
                return None;
            }
        };
        self.received = message.len();
        Some(judged)
    }
}
