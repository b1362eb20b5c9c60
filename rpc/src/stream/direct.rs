//! Reading items without a detour: a small item takes less time to read than two calls through `dyn` take.

use std::fmt;
use std::rc::Rc;

use crate::error::StreamError;
use crate::stream::flow::Flow;

/// The items of a call under way, as a [`CalleeStreaming`](crate::stream::CalleeStreaming) reads them if the call shows
/// them: see [`OpenCall::direct_items`](crate::OpenCall::direct_items).
pub struct DirectItems {
    flow: Rc<Flow>,
}

impl DirectItems {
    pub(crate) fn of(flow: &Rc<Flow>) -> DirectItems {
        DirectItems { flow: flow.clone() }
    }

    /// Waits for the next item and reads it; `None` at the end of the stream.
    ///
    /// Whoever is cancelled here has taken nothing.
    #[inline]
    pub(super) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StreamError> {
        self.flow.read(read)
    }
}

impl fmt::Debug for DirectItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectItems(..)")
    }
}
