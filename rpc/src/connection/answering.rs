//! What the connection says by itself: answers, and the small messages for which nobody waits.

use super::shared::{Phase, Shared};
use crate::error::Failure;
use crate::proto;

impl Shared {
    /// Appends a message that is small, and for which nobody waits. Never suspends.
    pub(super) fn say(&self, append: impl FnOnce(&mut Vec<u8>)) {
        if self.phase.get() != Phase::Open {
            return;
        }
        let _ = self.output.append(|out| {
            append(out);
            Ok::<(), ()>(())
        });
    }

    /// Appends a message, and gives it to the transport at once if `at_once`, else by the writer. Never suspends.
    #[inline]
    pub(super) fn append<E>(
        &self,
        at_once: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<u64, E> {
        match at_once {
            true => self.output.append_and_write(encode, |bytes| self.transport.try_write(bytes)),
            false => self.output.append(encode),
        }
    }

    /// Answers a request of the peer. Never suspends.
    pub(super) fn answer(&self, id: u32, answer: Result<&[u8], &Failure>) {
        if self.phase.get() != Phase::Open {
            return;
        }
        let longest = self.longest.get();
        // The only call of the connection: nothing is to be expected that could leave with its answer.
        let is_alone = !self.jobs.is_waiting() && self.jobs.running() <= 1 && self.calls.len() == 0;
        let _ = self.append(is_alone, |out| {
            let start = out.len();
            match answer {
                Ok(result) => proto::append_response(out, id, result),
                Err(failure) => append_failed(out, id, failure),
            }
            let bytes = out.len() - start;
            if bytes > longest {
                out.truncate(start);
                let text = format!("the answer has {bytes} bytes, and {longest} are the limit");
                append_failed(out, id, &Failure::new(Failure::TOO_LARGE, text));
            }
            Ok::<(), ()>(())
        });
    }

    /// Waits while the peer does not read what the reader itself answers.
    pub(super) fn wait_while_overfull(&self) {
        if self.output.is_overfull(self.longest.get()) {
            self.output.wait_for_room(None);
        }
    }
}

fn append_failed(out: &mut Vec<u8>, id: u32, failure: &Failure) {
    let mut error = Vec::new();
    proto::append_failure(&mut error, failure);
    proto::append_error_response(out, id, &error);
}
