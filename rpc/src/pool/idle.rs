//! Closes connections on which nothing happens, by a timer of its own: a pool that nobody uses closes them too.

use std::cell::Cell;
use std::rc::Rc;

use grapeshot_core::{Builder, Group, sleep_until};

use super::connections::Connections;

pub(super) struct Closer {
    runs: Rc<Cell<bool>>,
    /// Its one member sleeps until a connection may be too old.
    group: Group,
}

impl Closer {
    pub(super) fn new() -> Closer {
        Closer { runs: Rc::default(), group: Group::new() }
    }

    /// Makes sure that the connections are looked after as long as one may become too old.
    pub(super) fn watch<C: 'static>(&self, connections: &Rc<Connections<C>>) {
        if self.runs.get() || connections.next_expiry().is_none() {
            return;
        }
        let (runs, connections) = (Running::begin(&self.runs), connections.clone());
        // Without a coroutine for it the next call tries again; until then idle connections stay.
        let _ = self.group.spawn(Builder::new().spanless().name("rpc pool"), move || {
            while let Some(expiry) = connections.next_expiry() {
                sleep_until(expiry);
                connections.close_idle();
            }
            drop(runs);
        });
    }
}

/// Tells that the coroutine runs, however it ends.
struct Running(Rc<Cell<bool>>);

impl Running {
    fn begin(runs: &Rc<Cell<bool>>) -> Running {
        runs.set(true);
        Running(runs.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
