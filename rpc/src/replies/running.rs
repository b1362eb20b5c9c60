//! A number that runs, and those who wait for its reply.

use std::cell::OnceCell;

use grapeshot_core::{Reason, WaitQueue};

use super::client::Reply;
use crate::error::Failure;

const REPLY: Reason = Reason::Other("the reply of a numbered call that runs");

#[derive(Default)]
pub(super) struct Running {
    reply: OnceCell<Reply>,
    waiting: WaitQueue,
}

impl Running {
    /// Waits for the reply.
    pub(super) fn wait(&self) -> Reply {
        loop {
            if let Some(reply) = self.reply.get() {
                return reply.clone();
            }
            if !self.waiting.wait(REPLY) {
                return Err(Failure::new(Failure::CANCELLED, "a coroutine that unwinds cannot wait for the reply"));
            }
        }
    }

    /// Whether a caller is there for the reply.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Hands out the reply; the first counts.
    pub(super) fn end(&self, reply: Reply) {
        // A second one would be that of a guard that was not needed.
        let _ = self.reply.set(reply);
        self.waiting.wake_all();
    }
}
