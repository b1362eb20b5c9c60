//! The RPC service: a trait, from which the attribute makes the client and the server.
//!
//! It speaks MessagePack-RPC, so Neovim and a few lines of Python can call it as well as `rpc_call` and [`BatteryClient`].

use std::time::Duration;

use grapeshot::rpc::stream::Sink;
use grapeshot::rpc::{Failure, service};
use grapeshot::sleep;

/// How long a call may ask us to sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What can be called.
#[service]
pub(crate) trait Battery {
    /// Answers with what it was given.
    #[rpc(idempotent)]
    fn echo(&self, text: String) -> String;

    /// Adds two numbers.
    #[rpc(idempotent)]
    fn add(&self, a: i64, b: i64) -> Result<i64, Failure>;

    /// Answers after so many milliseconds, and holds no other call up.
    #[rpc(idempotent)]
    fn sleep(&self, milliseconds: u64) -> Result<(), Failure>;

    /// Sends the numbers down to one, and answers how many these were.
    fn count_down(&self, from: u32, numbers: Sink<u32>) -> Result<u32, Failure>;
}

pub(crate) struct Guns;

impl Battery for Guns {
    fn echo(&self, text: String) -> String {
        text
    }

    fn add(&self, a: i64, b: i64) -> Result<i64, Failure> {
        a.checked_add(b).ok_or_else(|| Failure::new(1, format!("{a} and {b} make more than 64 bits hold")))
    }

    fn sleep(&self, milliseconds: u64) -> Result<(), Failure> {
        let time = Duration::from_millis(milliseconds);
        if time > LONGEST_SLEEP {
            return Err(Failure::new(Failure::INVALID_PARAMS, format!("{LONGEST_SLEEP:?} are the most")));
        }
        sleep(time);
        Ok(())
    }

    fn count_down(&self, from: u32, numbers: Sink<u32>) -> Result<u32, Failure> {
        for number in (1..=from).rev() {
            numbers.send(&number)?;
        }
        Ok(from)
    }
}
