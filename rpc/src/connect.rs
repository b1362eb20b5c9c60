//! How a caller comes to a connection: for whatever opens them again, or keeps several.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sleep;

use crate::caller::Caller;

/// A caller that is one connection, which may end.
pub trait Connected: Caller {
    /// Whether no call can be made through it any more. Never suspends.
    fn is_closed(&self) -> bool;

    /// Ends it: calls in flight fail, as far as they know of their outcome, and new ones are not sent. Never suspends.
    fn close(&self);

    /// Waits until it is closed. Suspends.
    ///
    /// As it is here it looks once a second; what knows of its end itself does better.
    fn wait_closed(&self) {
        const LOOKS: Duration = Duration::from_secs(1);
        while !self.is_closed() {
            sleep(LOOKS);
        }
    }
}

impl<C: Connected + ?Sized> Connected for Rc<C> {
    fn is_closed(&self) -> bool {
        (**self).is_closed()
    }

    fn close(&self) {
        (**self).close();
    }

    fn wait_closed(&self) {
        (**self).wait_closed();
    }
}

/// A way to connect, as often as it is asked.
///
/// A closure is one: `|| Client::connect("calc.example:7000")`.
pub trait Connect {
    /// What the connections are.
    type Caller: Connected + 'static;

    /// Makes a connection, with all that belongs to its opening. Suspends, and bounds by itself how long it may take.
    ///
    /// # Errors
    ///
    /// Why there is none, with the address in the text: whoever asked again and again shows the last one.
    fn connect(&self) -> io::Result<Rc<Self::Caller>>;
}

impl<F, C, E> Connect for F
where
    F: Fn() -> Result<C, E>,
    C: Connected + 'static,
    E: Into<io::Error>,
{
    type Caller = C;

    fn connect(&self) -> io::Result<Rc<C>> {
        self().map(Rc::new).map_err(Into::into)
    }
}
