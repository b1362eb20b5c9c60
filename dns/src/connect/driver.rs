//! A race and its runners: a coroutine that looks up, one for each attempt, and one that waits for them all.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use grapeshot_core::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use grapeshot_core::{Builder, Scope, in_coroutine, now, read_clock, scope};
use grapeshot_net::TcpStream;

use super::ConnectOptions;
use super::error::{ConnectError, ConnectErrorKind, FailedAttempt};
use crate::error::LookupError;
use crate::proto::{Family, Race, RaceStep};

/// What a call wants.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) options: &'a ConnectOptions,
}

/// What the runners tell.
enum Event {
    /// These addresses are known by now, and those of the family are complete.
    Addresses(Family, Vec<SocketAddr>),
    /// The lookup is over; these are all addresses.
    LookedUp(Result<Vec<SocketAddr>, LookupError>),
    /// An attempt is over.
    Attempted(SocketAddr, io::Result<TcpStream>),
}

/// Where a lookup tells of addresses before it is over: all known so far, sorted, of which those of the family are complete.
pub(super) type Heard<'a> = dyn Fn(Family, Vec<SocketAddr>) + 'a;

impl Target<'_> {
    pub(super) fn error(&self, kind: ConnectErrorKind) -> ConnectError {
        ConnectError::new(self.host, self.port, kind)
    }

    /// Tries addresses one after the other, in this coroutine: where there is one, or none of its own could be waited for.
    pub(super) fn connect_to(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let began = now();
        let mut attempts = Vec::new();
        for address in addresses.iter().take(self.options.race.max_addresses) {
            let left = self.options.timeout.saturating_sub(now() - began);
            if left.is_zero() {
                return Err(self.failed(ConnectErrorKind::TimedOut { limit: self.options.timeout }, attempts));
            }
            let attempted = read_clock();
            match TcpStream::connect_timeout(address, left.min(self.options.attempt_timeout)) {
                Ok(stream) => return Ok(stream),
                Err(error) => attempts.push(FailedAttempt { address: *address, error, took: read_clock() - attempted }),
            }
        }
        let kind = if attempts.is_empty() { ConnectErrorKind::NoAddress } else { ConnectErrorKind::AllFailed };
        Err(self.failed(kind, attempts))
    }

    fn failed(&self, kind: ConnectErrorKind, attempts: Vec<FailedAttempt>) -> ConnectError {
        ConnectError { attempts, ..self.error(kind) }
    }

    /// Connects to the addresses that `lookup` finds, from the first it tells of.
    pub(super) fn race(
        &self,
        lookup: impl FnOnce(&Heard<'_>) -> Result<Vec<SocketAddr>, LookupError>,
    ) -> Result<TcpStream, ConnectError> {
        if !in_coroutine() || std::thread::panicking() {
            return self.one_by_one(lookup);
        }
        let (sender, events) = unbounded();
        scope(|scope| {
            let told = sender.clone();
            let looked_up = scope.spawn_with(Builder::new().name(format!("lookup of {}", self.host)), move || {
                let result = lookup(&|family, addresses| tell(&told, Event::Addresses(family, addresses)));
                tell(&told, Event::LookedUp(result));
            });
            if let Err(error) = looked_up {
                return Err(self.error(ConnectErrorKind::NoCoroutine(error)));
            }
            let course = Course::new(*self, sender, events);
            let result = course.run(scope);
            // Closes what is still under way; what has connected in this very moment is closed with the channel.
            scope.cancel_children();
            result
        })
    }

    /// Where there are no coroutines to race with: looks up, and then tries one after the other.
    fn one_by_one(
        &self,
        lookup: impl FnOnce(&Heard<'_>) -> Result<Vec<SocketAddr>, LookupError>,
    ) -> Result<TcpStream, ConnectError> {
        let addresses = lookup(&|_, _| {}).map_err(|error| self.error(ConnectErrorKind::Lookup(error)))?;
        self.connect_to(&addresses)
    }
}

fn tell(sender: &Sender<Event>, event: Event) {
    // It fails when the race is over, and then nobody wants to know.
    let _ = sender.send(event);
}

/// A race under way.
struct Course<'a> {
    target: Target<'a>,
    race: Race,
    sender: Sender<Event>,
    events: Receiver<Event>,
    deadline: Instant,
    running: Vec<(SocketAddr, Instant)>,
    failed: Vec<FailedAttempt>,
    lookup_error: Option<LookupError>,
}

impl<'a> Course<'a> {
    fn new(target: Target<'a>, sender: Sender<Event>, events: Receiver<Event>) -> Course<'a> {
        let options = target.options;
        Course {
            target,
            race: Race::new(options.race),
            sender,
            events,
            deadline: now().checked_add(options.timeout).unwrap_or_else(|| now() + Duration::from_secs(86_400)),
            running: Vec::new(),
            failed: Vec::new(),
            lookup_error: None,
        }
    }

    fn run<'scope>(mut self, scope: &'scope Scope<'scope, '_>) -> Result<TcpStream, ConnectError> {
        loop {
            let until = match self.race.next(now()) {
                RaceStep::Start(address) => {
                    self.start(scope, address);
                    continue;
                }
                RaceStep::Wait(until) => until.unwrap_or(self.deadline).min(self.deadline),
                RaceStep::Lost => return Err(self.lost()),
            };
            match self.events.recv_timeout(until.saturating_duration_since(now())) {
                Ok(Event::Attempted(_, Ok(stream))) => return Ok(stream),
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) if now() < self.deadline => {}
                Err(_) => return Err(self.out_of_time()),
            }
        }
    }

    fn start<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, address: SocketAddr) {
        let sender = self.sender.clone();
        let limit = self.target.options.attempt_timeout;
        self.running.push((address, now()));
        let attempt = scope.spawn_with(Builder::new().name(format!("connect to {address}")), move || {
            tell(&sender, Event::Attempted(address, TcpStream::connect_timeout(&address, limit)));
        });
        if let Err(error) = attempt {
            tell(&self.sender, Event::Attempted(address, Err(error)));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Addresses(family, addresses) => self.race.answered(now(), family, &addresses),
            Event::LookedUp(Ok(addresses)) => self.race.answered(now(), Family::Any, &addresses),
            Event::LookedUp(Err(error)) => {
                self.lookup_error = Some(error);
                self.race.answered(now(), Family::Any, &[]);
            }
            Event::Attempted(address, Err(error)) => {
                self.race.failed(now(), address);
                self.note_failure(address, error);
            }
            Event::Attempted(_, Ok(_)) => unreachable!("a connection ends the race"),
        }
    }

    fn note_failure(&mut self, address: SocketAddr, error: io::Error) {
        if let Some(place) = self.running.iter().position(|(running, _)| *running == address) {
            let (_, began) = self.running.swap_remove(place);
            self.failed.push(FailedAttempt { address, error, took: read_clock() - began });
        }
    }

    fn lost(self) -> ConnectError {
        let kind = match self.lookup_error {
            Some(error) if self.failed.is_empty() => ConnectErrorKind::Lookup(error),
            _ if self.failed.is_empty() => ConnectErrorKind::NoAddress,
            _ => ConnectErrorKind::AllFailed,
        };
        self.target.failed(kind, self.failed)
    }

    /// What ran until the limit is named with the rest.
    fn out_of_time(mut self) -> ConnectError {
        for (address, _) in self.running.clone() {
            self.note_failure(address, io::ErrorKind::TimedOut.into());
        }
        let limit = self.target.options.timeout;
        self.target.failed(ConnectErrorKind::TimedOut { limit }, self.failed)
    }
}
