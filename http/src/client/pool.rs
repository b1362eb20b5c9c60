//! Connections that wait for another request to the same origin.
//!
//! # Invariants
//!
//! - What is taken out was idle a moment ago: not closed, and with nothing on it that nobody asked for.
//! - There are never more than the limit says, and none is used that waited longer than the limit says.
//!   Time alone closes none: that happens when the pool is used next.

use std::cell::RefCell;
use std::time::Instant;

use grapeshot_core::now;

use super::connection::Connection;
use super::limits::ClientLimits;
use crate::proto::client::Origin;

#[derive(Default)]
pub(super) struct Pool {
    /// The one that waits longest comes first.
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection to `origin` that can carry another request, the one used last.
    pub(super) fn take(&self, origin: &Origin, limits: &ClientLimits) -> Option<Connection> {
        self.expire(limits);
        loop {
            let at = self.idle.borrow().iter().rposition(|idle| idle.connection.origin == *origin)?;
            let Idle { connection, .. } = self.idle.borrow_mut().remove(at);
            if connection.is_fresh() {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, connection: Connection, limits: &ClientLimits) {
        self.expire(limits);
        if limits.idle_connections == 0 {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        // Dropped once nothing is borrowed: a transport of the user's may do as it likes then.
        let oldest = (idle.len() >= limits.idle_connections).then(|| idle.remove(0));
        idle.push(Idle { connection, since: now() });
        drop(idle);
        drop(oldest);
    }

    fn expire(&self, limits: &ClientLimits) {
        let (now, mut idle) = (now(), self.idle.borrow_mut());
        let is_late = |idle: &Idle| now.saturating_duration_since(idle.since) >= limits.idle_connection_timeout;
        let late = idle.partition_point(is_late);
        let late: Vec<Idle> = idle.drain(..late).collect();
        drop(idle);
        drop(late);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.idle.borrow().len()
    }
}
