//! The open sockets of each server.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::socket::Socket;

/// For so many servers sockets are kept; the one that was added first goes first.
const MAX_SERVERS: usize = 32;

/// The pools of all servers: few, so they are searched in order.
#[derive(Default)]
pub(super) struct Pools {
    pools: Vec<Pool>,
}

/// The sockets of one server that take queries.
pub(super) struct Pool {
    server: SocketAddr,
    pub(super) sockets: Vec<Rc<Socket>>,
}

impl Pools {
    /// The pool of a server, empty if it is new.
    pub(super) fn of(&mut self, server: SocketAddr) -> &mut Pool {
        let index = self.pools.iter().position(|pool| pool.server == server).unwrap_or_else(|| {
            if self.pools.len() == MAX_SERVERS {
                self.pools.remove(0);
            }
            self.pools.push(Pool { server, sockets: Vec::new() });
            self.pools.len() - 1
        });
        &mut self.pools[index]
    }
}

impl Pool {
    /// Lets go of the sockets that have served; whoever has an exchange in flight on one keeps it open.
    pub(super) fn retire(&mut self, now: Instant) {
        self.sockets.retain(|socket| socket.is_fit(now));
    }
}
