//! The writer: hands to the transport what waits in the [`Output`](super::output::Output).

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use grapeshot_core::{Builder, WaitLimit, set_own_selfishness};

use super::close::CloseReason;
use super::reading::CLOSING_TIMEOUT;
use super::shared::Shared;

impl Shared {
    /// Spawns a writer, and says whether it could; a connection on which nothing can be written ends.
    pub(super) fn spawn_writer(self: &Rc<Shared>) -> bool {
        let shared = self.clone();
        let builder = Builder::new().spanless().name(format!("rpc writer {}", self.identity()));
        match self.crew.spawn(builder, move || run(&shared)) {
            Ok(_) => true,
            Err(error) => {
                self.stop(CloseReason::Lost(Arc::new(error)));
                false
            }
        }
    }
}

/// How many writes the writer does before the poller has a look in between.
///
/// It waits for something to write after each of them, which lets others run, but that is no wait for a descriptor.
const WRITES_IN_A_ROW: u16 = 64;

/// The connection's second coroutine, which is there while there is something to write, and for a while after that.
pub(super) fn run(shared: &Shared) {
    set_own_selfishness(WRITES_IN_A_ROW);
    let _writing = shared.output.begin_writing();
    let mut bytes = Vec::new();
    let limit = shared.limits.write_timeout;
    while shared.output.next(&mut bytes) {
        if let Err(error) = shared.transport.write_all_within(&bytes, WaitLimit::After(limit)) {
            match error.kind() {
                io::ErrorKind::TimedOut => shared.stop(CloseReason::NotRead { limit }),
                // A peer that has closed the connection may have answered before.
                _ => shared.stop_within(CLOSING_TIMEOUT, CloseReason::Lost(Arc::new(error))),
            }
            shared.output.end();
        }
    }
}
