//! The clients, their numbers and replies, and what is dropped when there are too many.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::now;

use super::client::{Client, Known, Reply};
use super::kept::Dropped;
use super::limits::{ReplyCounts, ReplyLimits};
use super::running::Running;
use crate::caller::Sequence;
use crate::error::Failure;
use crate::value::Encoded;

/// What a kept reply costs besides its own bytes, about.
const OVERHEAD: usize = 192;

/// How often all clients are looked at, at most, when there is no room for another.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) type ClientId = [u8; 16];

pub(super) struct Store {
    limits: ReplyLimits,
    clients: HashMap<ClientId, Client>,
    /// Replies in the order in which they came; some are gone by now.
    order: VecDeque<(ClientId, u64, Instant)>,
    swept: Instant,
    counts: ReplyCounts,
}

/// What becomes of a call.
pub(super) enum Admission {
    Run(Rc<Running>),
    Wait(Rc<Running>),
    Answer(Reply),
}

impl Store {
    pub(super) fn new(limits: ReplyLimits) -> Store {
        Store { limits, clients: HashMap::new(), order: VecDeque::new(), swept: now(), counts: ReplyCounts::default() }
    }

    pub(super) fn counts(&self) -> ReplyCounts {
        ReplyCounts { clients: self.clients.len(), ..self.counts }
    }

    pub(super) fn limits(&self) -> &ReplyLimits {
        &self.limits
    }

    /// Gives out an id.
    pub(super) fn begin(&mut self, key: Option<&str>) -> Result<ClientId, Failure> {
        self.sweep_every(self.limits.age / 10);
        if self.clients.len() >= self.limits.clients {
            self.sweep_every(PATIENCE);
        }
        if self.clients.len() >= self.limits.clients {
            return Err(Failure::new(
                Failure::BUSY,
                format!(
                    "{} clients have ids here, which is the limit, and none has been idle for long",
                    self.clients.len()
                ),
            ));
        }
        let id = rand::random();
        self.clients.insert(id, Client::new(key.map(str::to_owned), now()));
        Ok(id)
    }

    /// Says what becomes of a call under a number.
    pub(super) fn admit(&mut self, sequence: Sequence, key: Option<&str>) -> Admission {
        self.sweep_every(self.limits.age / 10);
        let known = match self.clients.get_mut(&sequence.client).filter(|client| client.key.as_deref() == key) {
            None => return self.refuse(unknown_client()),
            Some(client) => {
                client.used = now();
                let dropped = client.raise_lowest(sequence.lowest);
                let known = client.look_up(sequence.number);
                self.forget(dropped);
                known
            }
        };
        match known {
            Known::Unseen => self.admit_new(sequence),
            Known::Gone => self.refuse(reply_gone(sequence.number)),
            Known::Running(running) => {
                self.counts.joined += 1;
                Admission::Wait(running)
            }
            Known::Kept(reply) => {
                self.counts.answered_again += 1;
                Admission::Answer(reply)
            }
        }
    }

    fn admit_new(&mut self, sequence: Sequence) -> Admission {
        if self.counts.running >= self.limits.running {
            return busy(format!("{} numbered calls run, which is the limit", self.limits.running));
        }
        let Some(client) = self.clients.get_mut(&sequence.client) else { return self.refuse(unknown_client()) };
        if client.stretches() >= self.limits.stretches_per_client {
            return busy("too many numbers of this client have run while lower ones have not".to_owned());
        }
        self.counts.running += 1;
        self.counts.run += 1;
        Admission::Run(client.begin(sequence.number))
    }

    fn refuse(&mut self, failure: Failure) -> Admission {
        self.counts.refused += 1;
        Admission::Answer(Err(failure))
    }

    /// Takes the end of a number that ran, and keeps its reply unless it says that it did not run;
    /// `handed_out` says whether a caller waits for it.
    pub(super) fn end(&mut self, sequence: Sequence, reply: &Reply, handed_out: bool) {
        self.counts.running -= 1;
        // A client is not forgotten while it has something running.
        let Some(client) = self.clients.get_mut(&sequence.client) else { return };
        let has_run = !matches!(reply, Err(failure) if failure.is_refusal());
        let bytes = size(reply);
        if !client.end(sequence.number, has_run) || bytes > self.limits.reply_bytes {
            return;
        }
        let most = self.limits.replies_per_client;
        let dropped = client.keep(sequence.number, reply.clone(), bytes, handed_out, most);
        self.order.push_back((sequence.client, sequence.number, now()));
        self.counts.replies += 1;
        self.counts.bytes += bytes;
        self.forget(dropped);
        while self.counts.bytes > self.limits.bytes && self.drop_oldest() {}
        self.tidy();
    }

    /// Drops the reply that came first of those that are kept; false when there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((id, number, _)) = self.order.pop_front() else { return false };
        if let Some(client) = self.clients.get_mut(&id) {
            let dropped = client.drop_reply(number);
            self.forget(dropped);
        }
        true
    }

    fn forget(&mut self, dropped: Dropped) {
        self.counts.replies -= dropped.replies;
        self.counts.bytes -= dropped.bytes;
    }

    /// Takes places out of the order whose replies are gone, once they are more than half of it.
    fn tidy(&mut self) {
        const FEW: usize = 64;
        if self.order.len() > 2 * self.counts.replies + FEW {
            let clients = &self.clients;
            self.order.retain(|(id, number, _)| clients.get(id).is_some_and(|client| client.has_reply(*number)));
        }
    }

    /// Drops what is too old, unless that was done a short time ago.
    fn sweep_every(&mut self, interval: Duration) {
        let now = now();
        if now.saturating_duration_since(self.swept) < interval {
            return;
        }
        self.swept = now;
        let age = self.limits.age;
        let is_old = |since: Instant| now.saturating_duration_since(since) >= age;
        while self.order.front().is_some_and(|(_, _, since)| is_old(*since)) {
            self.drop_oldest();
        }
        let old: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_idle() && is_old(client.used))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            if let Some(client) = self.clients.remove(&id) {
                self.forget(client.into_dropped());
            }
        }
        self.tidy();
    }
}

fn size(reply: &Reply) -> usize {
    OVERHEAD
        + match reply {
            Ok(result) => result.as_bytes().len(),
            Err(failure) => failure.message.len() + Encoded::of(&failure.data).map_or(0, |data| data.as_bytes().len()),
        }
}

fn unknown_client() -> Failure {
    Failure::new(Failure::UNKNOWN_CLIENT, "this client id was not given out here, or not to this peer, or is forgotten")
}

fn reply_gone(number: u64) -> Failure {
    Failure::new(Failure::REPLY_GONE, format!("number {number} is not run again, and its reply is kept no longer"))
}

fn busy(reason: String) -> Admission {
    Admission::Answer(Err(Failure::new(Failure::BUSY, reason)))
}
