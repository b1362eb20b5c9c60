//! The coroutine that connects, and then waits for the end of the connection.

use std::io;
use std::rc::Rc;

use grapeshot_core::{now, sleep, sleep_until, with_timeout};

use super::link::{Found, Link};
use super::options::WhenDown;
use crate::connect::{Connect, Connected};

/// Whoever connects. Dropped in the middle, it has failed.
pub(super) struct Dialing<K: Connect> {
    link: Rc<Link<K>>,
    /// Whether this one answers for the next connection: once it is up, it does no longer.
    is_in_charge: bool,
}

impl<K: Connect> Dialing<K> {
    /// For a link whose `is_dialing` was set for it.
    pub(super) fn new(link: Rc<Link<K>>) -> Dialing<K> {
        Dialing { link, is_in_charge: true }
    }

    pub(super) fn run(mut self) {
        let keep_connected = self.link.options.keep_connected;
        let goes_on = keep_connected || self.link.options.when_down != WhenDown::Fail;
        while self.wait_for_turn() {
            match self.connect() {
                Ok(caller) => {
                    self.step_down();
                    if !self.link.set_up(caller.clone()) {
                        return;
                    }
                    caller.wait_closed();
                    drop(caller);
                    self.link.notice_loss();
                    if !keep_connected {
                        return;
                    }
                    // All who were connected to a server that ends have lost it at the same time.
                    sleep(self.link.options.backoff.delay(1));
                    if self.link.is_dialing.replace(true) {
                        return;
                    }
                    self.is_in_charge = true;
                }
                Err(error) => {
                    self.link.set_down(error);
                    if !goes_on {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until the next attempt may be made; false if nobody wants one then.
    fn wait_for_turn(&self) -> bool {
        match self.link.look() {
            Found::Up(_) | Found::Closed => false,
            Found::Down { until, .. } if now() < until => {
                sleep_until(until);
                self.link.options.keep_connected || !self.link.waiting.is_empty()
            }
            Found::Down { .. } | Found::Idle | Found::Connecting => true,
        }
    }

    fn connect(&self) -> io::Result<Rc<K::Caller>> {
        self.link.set_connecting();
        let limit = self.link.options.dial_timeout;
        with_timeout(limit, || self.link.connect.connect()).unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection was made within {limit:?}")))
        })
    }

    fn step_down(&mut self) {
        self.is_in_charge = false;
        self.link.is_dialing.set(false);
    }
}

impl<K: Connect> Drop for Dialing<K> {
    fn drop(&mut self) {
        if !self.is_in_charge {
            return;
        }
        self.step_down();
        if self.link.is_connecting() {
            self.link.set_down(io::Error::other("the attempt to connect was cut off, or panicked"));
        }
    }
}
