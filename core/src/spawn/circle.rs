//! Circles of joins: coroutines of which each waits for the end of the next.
//!
//! ```text
//!   who would join ◄─ waits for its end ─ … ◄─ waits for its end ─ whom it would join
//! ```
//!
//! Looked for from the coroutine that would close the circle, against the arrows: nearly always nobody waits for its
//! end, and that is all there is to it.
//!
//! # Invariants
//!
//! - A wait that may end by itself closes no circle: one arm of a `select`, or one inside a time limit.
//! - The owner of a scope waits for its children from the beginning, wherever it is in its body.

use std::rc::Rc;

use super::JoinError;
use crate::park::Reason;
use crate::record::{Record, State};

/// How many coroutines are looked at; what a longer row of joins hides is not found.
const MOST_LOOKED_AT: usize = 1000;

/// The error of a join that would never end, because `joined` waits for the end of `caller`.
pub(super) fn refuse_circle(caller: &Rc<Record>, joined: &Rc<Record>) -> Result<(), JoinError> {
    if !may_wait_for_another(joined) || caller.has_time_limit() {
        return Ok(());
    }
    // Each with the place of the one it waits for.
    let mut seen = vec![(caller.clone(), 0)];
    let mut next = 0;
    while next < seen.len() && seen.len() < MOST_LOOKED_AT {
        let awaited = seen[next].0.clone();
        for waiter in who_waits_for(&awaited) {
            if !seen.iter().any(|(record, _)| Rc::ptr_eq(record, &waiter)) {
                seen.push((waiter, next));
            }
        }
        next += 1;
    }
    match seen.iter().skip(1).find(|(record, _)| Rc::ptr_eq(record, joined)) {
        None => Ok(()),
        Some(&(_, place)) => {
            Err(JoinError::WouldDeadlock { coroutine: caller.describe(), circle: names(&seen, joined, place) })
        }
    }
}

/// Tells most joins for next to nothing that they close no circle: a coroutine that has had no turn yet waits for nobody.
fn may_wait_for_another(joined: &Record) -> bool {
    let owns_scopes = !joined.frames.borrow().is_empty();
    owns_scopes || matches!(joined.reason.get(), Reason::Joining(_) | Reason::Children)
}

/// The circle from the one joined to the last before the caller.
fn names(seen: &[(Rc<Record>, usize)], joined: &Record, mut place: usize) -> Vec<String> {
    let mut names = vec![joined.describe()];
    while place != 0 {
        names.push(seen[place].0.describe());
        place = seen[place].1;
    }
    names
}

/// Those that cannot go on before this one has ended.
fn who_waits_for(awaited: &Rc<Record>) -> Vec<Rc<Record>> {
    let is_joining = |waiter: &Rc<Record>| {
        waiter.state.get() == State::Parked && waiter.reason.get() == Reason::Joining(awaited.id())
    };
    let joining = awaited.joiners.coroutines().into_iter().filter(is_joining);
    let owner = awaited.family.as_ref().and_then(|family| family.owner());
    joining.chain(owner).filter(|waiter| !waiter.has_time_limit()).collect()
}
