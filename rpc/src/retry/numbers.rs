//! The numbers of one client: its id, which the server gives out, and which numbers are in use.
//!
//! ```text
//!   no id ── first numbered call: $/sequence.begin ──► id ── the server refuses it ──► no id
//!     └── the server has no such method ──► none for a while, and calls go without a number
//! ```
//!
//! # Invariants
//!
//! - A number is used for one call of this client, ever; the lowest in use is what the server is told.
//! - One coroutine asks for an id at a time, and the others wait for what it gets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::now;
use grapeshot_core::sync::Mutex;

use crate::caller::{CallOptions, Caller, Request, Sequence};
use crate::error::{CallError, Failure};
use crate::own_limit::OwnLimit;
use crate::replies::{BEGIN, PROBE, read_client_id};

/// How long a server without numbers is not asked again: it may have been replaced by one that has them.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// No parameters.
const NO_PARAMS: &[u8] = &[0x90];

/// Longer than anything waits.
const FAR: Duration = Duration::from_secs(86_400 * 365);

#[derive(Default)]
pub(super) struct Numbers {
    known: Mutex<Known>,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Client(Rc<Client>),
    NoNumbers {
        until: Instant,
    },
}

struct Client {
    id: [u8; 16],
    last: Cell<u64>,
    in_use: RefCell<BTreeSet<u64>>,
}

/// A number in use; dropped, it is in use no longer.
pub(super) struct Number {
    client: Rc<Client>,
    number: u64,
}

impl Numbers {
    /// A number for a call, and first an id if there is none; `None` from a server that has no numbers.
    ///
    /// # Errors
    ///
    /// As asking for an id does; the call itself has not run in any case.
    pub(super) fn take<C: Caller + ?Sized>(
        &self,
        caller: &C,
        limit: Option<Duration>,
    ) -> Result<Option<Number>, CallError> {
        let own = OwnLimit::of(limit);
        let Ok(mut known) = self.known.lock_until(own.deadline().unwrap_or_else(|| now() + FAR)) else {
            return Err(CallError::TimedOut { limit: limit.unwrap_or(FAR), sent: false });
        };
        match &*known {
            Known::Client(client) => return Ok(Some(Number::next(client))),
            Known::NoNumbers { until } if now() < *until => return Ok(None),
            Known::Nothing | Known::NoNumbers { .. } => {}
        }
        match begin(caller, own.left())? {
            Some(id) => {
                let client = Rc::new(Client { id, last: Cell::new(0), in_use: RefCell::default() });
                *known = Known::Client(client.clone());
                Ok(Some(Number::next(&client)))
            }
            None => {
                *known = Known::NoNumbers { until: now() + ASKED_AGAIN };
                Ok(None)
            }
        }
    }

    /// Forgets the id that a number belongs to, which the server does not know.
    pub(super) fn forget(&self, number: &Number) {
        // Whoever holds the lock is asking for another one already.
        let Some(mut known) = self.known.try_lock() else { return };
        if matches!(&*known, Known::Client(client) if Rc::ptr_eq(client, &number.client)) {
            *known = Known::Nothing;
        }
    }
}

/// Asks the server for a client id; `None` if it gives out none.
fn begin<C: Caller + ?Sized>(caller: &C, limit: Option<Duration>) -> Result<Option<[u8; 16]>, CallError> {
    let options = CallOptions { timeout: limit, sequence: Some(PROBE), ..CallOptions::default() };
    match caller.exchange(&Request { method: BEGIN, params: NO_PARAMS, options: &options }) {
        Ok(reply) => read_client_id(&reply).map(Some),
        Err(CallError::Failed(failure)) if has_no_numbers(&failure) => Ok(None),
        Err(error) => Err(not_run(error)),
    }
}

/// Plain servers answer a method that they do not know in many ways, or forbid it; those that know it say when to come
/// back. A call without a number is safe in any case, as it is then not repeated in doubt.
fn has_no_numbers(failure: &Failure) -> bool {
    const NOT_NOW: &[i64] =
        &[Failure::UNAVAILABLE, Failure::BUSY, Failure::DEADLINE, Failure::CANCELLED, Failure::UNAUTHENTICATED];
    !NOT_NOW.contains(&failure.code)
}

/// What an error of the asking means for the call: that certainly did not run.
fn not_run(error: CallError) -> CallError {
    match error {
        CallError::OutcomeUnknown { cause } => CallError::NotSent { cause },
        CallError::TimedOut { limit, .. } => CallError::TimedOut { limit, sent: false },
        CallError::Failed(failure) if matches!(failure.code, Failure::DEADLINE | Failure::CANCELLED) => {
            CallError::Refused { reason: format!("the server gave out no client id: {failure}") }
        }
        other => other,
    }
}

impl Number {
    fn next(client: &Rc<Client>) -> Number {
        let number = client.last.get() + 1;
        client.last.set(number);
        client.in_use.borrow_mut().insert(number);
        Number { client: client.clone(), number }
    }

    /// As it travels, with the lowest that is in use now.
    pub(super) fn sequence(&self) -> Sequence {
        let lowest = self.client.in_use.borrow().first().copied().unwrap_or(self.number);
        Sequence { client: self.client.id, number: self.number, lowest }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.client.in_use.borrow_mut().remove(&self.number);
    }
}
