//! The reader: finds the peer's messages, and hands each to whom it concerns.
//!
//! ```text
//!   establish ──► read ──► scan ──► dispatch ──► … ──► over ──► what was said is written ──► closed
//!                  ▲                    │
//!                  └────────────────────┘
//! ```
//!
//! The reader waits for nobody but the peer, with two exceptions, which are the back-pressure of the protocol:
//! too many requests wait for a worker, or the peer does not read what it is answered.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{Reason, WaitLimit, with_time_limit, with_timeout, yield_now};

use super::close::CloseReason;
use super::shared::Shared;
use super::silence::{Arrived, Silence};
use super::writing;
use crate::error::{CallError, Failure};
use crate::proto::{self, Concerns, ItemRun, Message, Scan, ScanError, Scanner};
use crate::value::Encoded;

/// How many bytes are read at a time once as much has come at once, unless a message is larger.
const READ_BYTES: usize = 16 << 10;

/// How many are until then: most connections of a server wait most of the time, for a small message.
const FIRST_BYTES: usize = 1 << 10;

/// How many bytes of items are handed over in a row before those that they are for have a turn: the items are then in the
/// processor's cache still, and what is granted for them leaves sooner.
const ITEM_BYTES_IN_A_ROW: usize = READ_BYTES / 2;

/// How long a connection that is over may take to write what has been said, and to see the peer's end.
pub(super) const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bytes of a peer that broke the protocol are dropped at its end, so that it can read why.
const MOST_DROPPED: usize = 1 << 20;

/// The connection's first coroutine: it lives as long as the connection.
pub(super) fn run(shared: &Rc<Shared>) {
    let _closing = Closing(shared);
    let until_stopped = with_time_limit(Duration::MAX, |until_stopped| {
        shared.reading.replace(Some(until_stopped.clone()));
        if shared.reason().is_some() {
            return CloseReason::Closed;
        }
        if !shared.is_proven() {
            until_stopped.change(shared.limits.opening_timeout);
        }
        if let Err(error) = shared.transport.establish() {
            return CloseReason::Lost(Arc::new(error));
        }
        shared.refresh_identity();
        Reading::new(shared).until_over()
    });
    shared.reading.replace(None);
    // Whoever else has set the limit has said why.
    let reason = until_stopped.unwrap_or(CloseReason::NotProven { limit: shared.limits.opening_timeout });
    shared.begin_closing(reason);
    // What is not written by then never will be.
    let _ = with_timeout(CLOSING_TIMEOUT, || say_goodbye(shared));
    shared.transport.close();
    let until = Shared::deadline_after(shared.limits.method_timeout);
    shared.wait_until(Reason::Other("the last notifications to be served"), until, |shared| shared.jobs.is_idle());
}

/// Closes the transport, whatever ends the reader.
struct Closing<'a>(&'a Rc<Shared>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close_now();
    }
}

/// Lets the writer finish, and tells the peer that this was all; one that broke the protocol is given time to read why.
///
/// Closing a socket with unread bytes resets the connection, and what was written before may never be read
/// (RFC 1122 section 4.2.2.13). Over TLS an end that is not announced looks like one that somebody forced
/// (RFC 8446 section 6.1).
fn say_goodbye(shared: &Shared) {
    match shared.output.lacks_writer() {
        true => writing::run(shared),
        false => shared.output.wait_ended(),
    }
    let reason = shared.reason();
    if matches!(reason, Some(CloseReason::Lost(_))) || shared.transport.end_writing().is_err() {
        return;
    }
    if !reason.is_some_and(|reason| reason.is_peers_fault()) {
        return;
    }
    let mut dropped = 0;
    // On the heap: a frame that large would keep another page of the stack for as long as the connection lasts.
    let mut buf = vec![0; 4096];
    while dropped < MOST_DROPPED {
        match shared.transport.read_within(&mut buf, WaitLimit::After(CLOSING_TIMEOUT)) {
            Ok(0) | Err(_) => return,
            Ok(count) => dropped += count,
        }
    }
}

/// How much is read of a peer that has yet to prove who it is: a hello and a proof take less than 1 KiB.
const UNPROVEN_BYTES: usize = 16 << 10;

/// What is said to one that has sent more.
const UNPROVEN: &str = "the peer has not proven who it is, and no more than 16384 bytes are read before";

/// How long the peer's next message may be, after `passed` bytes.
fn longest(shared: &Shared, passed: u64) -> usize {
    let limit = shared.limits.frame_bytes;
    if shared.is_proven() { limit } else { limit.min(UNPROVEN_BYTES.saturating_sub(passed as usize)) }
}

struct Reading<'a> {
    shared: &'a Rc<Shared>,
    scanner: Scanner,
    /// The scanner has seen a part of the message at `start`.
    scanned: bool,
    /// How long a message may be by now.
    longest: usize,
    buf: Vec<u8>,
    /// Where in `buf` the bytes lie that are not dispatched.
    start: usize,
    end: usize,
    /// How many bytes were dispatched.
    passed: u64,
    /// How many bytes of items were handed over since others had a turn.
    items_passed: usize,
    silence: Silence,
}

impl<'a> Reading<'a> {
    fn new(shared: &'a Rc<Shared>) -> Reading<'a> {
        let longest = longest(shared, 0);
        let scanner = Scanner::new(longest, shared.limits.depth);
        let buf = vec![0; FIRST_BYTES];
        Reading {
            shared,
            scanner,
            scanned: false,
            longest,
            buf,
            start: 0,
            end: 0,
            passed: 0,
            items_passed: 0,
            silence: Silence::new(&shared.limits),
        }
    }

    fn until_over(mut self) -> CloseReason {
        loop {
            if let Err(reason) = self.dispatch_all() {
                return reason;
            }
            if self.items_passed >= ITEM_BYTES_IN_A_ROW {
                self.items_passed = 0;
                yield_now();
            }
            if let Err(reason) = self.read() {
                return reason;
            }
        }
    }

    /// Dispatches every message that is whole.
    fn dispatch_all(&mut self) -> Result<(), CloseReason> {
        while self.start < self.end {
            let rest = &self.buf[self.start..self.end];
            if !self.scanned
                && let Some(run) = ItemRun::at_start(rest, self.longest)
                && let length @ 1.. = self.shared.take_items(run)
            {
                self.items_passed += length;
                self.pass(length);
                continue;
            }
            match self.scanner.scan(rest) {
                Ok(Scan::NeedMore) => {
                    self.scanned = true;
                    return Ok(());
                }
                Ok(Scan::Complete(length)) => {
                    let frame = &rest[..length];
                    match proto::whole_item(frame) {
                        Some(item) => {
                            self.shared.take_item(&item);
                            self.items_passed += length;
                        }
                        None => self.dispatch(frame)?,
                    }
                    self.scanned = false;
                    self.pass(length);
                }
                Err(error) => return Err(self.refuse_rest(error)),
            }
        }
        Ok(())
    }

    /// Counts what was dispatched, and looks how long the next message may be.
    fn pass(&mut self, length: usize) {
        self.start += length;
        self.passed += length as u64;
        if self.longest < self.shared.limits.frame_bytes || !self.shared.is_proven() {
            self.longest = longest(self.shared, self.passed);
            self.scanner.set_max_bytes(self.longest);
        }
    }

    /// Makes room for what comes next. A read that filled the buffer says that more lies ready than it takes.
    fn make_room(&mut self) {
        let filled = self.end == self.buf.len();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buf.len() > READ_BYTES || (filled && self.buf.len() < READ_BYTES) {
                self.buf = vec![0; READ_BYTES];
            }
        } else if filled {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // The scanner refuses what is longer than the limit, so this is at most twice as long.
            if self.buf.len() < READ_BYTES {
                self.buf.resize(READ_BYTES, 0);
            } else if self.end > self.buf.len() / 2 {
                self.buf.resize(self.buf.len() * 2, 0);
            }
        }
    }

    /// Reads what comes.
    fn read(&mut self) -> Result<(), CloseReason> {
        self.make_room();
        let (next_look, is_due) = self.silence.begin(self.shared, self.arrived());
        if is_due {
            // Something has come just before, and might again, so that no wait would ever be too long.
            self.look()?;
        }
        let limit = next_look.map_or(WaitLimit::Never, WaitLimit::At);
        match self.shared.transport.read_within(&mut self.buf[self.end..], limit) {
            Ok(0) if self.start == self.end => Err(CloseReason::PeerEnded),
            Ok(0) => Err(CloseReason::Truncated { bytes: self.end - self.start }),
            Ok(count) => {
                self.end += count;
                self.silence.end();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.look(),
            Err(error) => Err(CloseReason::Lost(Arc::new(error))),
        }
    }

    fn arrived(&self) -> Arrived {
        Arrived { passed: self.passed, bytes: self.end - self.start, holds_more: self.holds_more() }
    }

    /// Whether the buffer is larger than a silent connection needs.
    fn holds_more(&self) -> bool {
        self.start == self.end && self.buf.len() > FIRST_BYTES
    }

    /// Looks at the limits on silence.
    fn look(&mut self) -> Result<(), CloseReason> {
        if self.holds_more() && self.silence.is_long() {
            self.buf = vec![0; FIRST_BYTES];
        }
        self.silence.look(self.shared, self.arrived())
    }

    fn dispatch(&self, frame: &[u8]) -> Result<(), CloseReason> {
        let shared = self.shared;
        let message = Message::parse(frame);
        if !matches!(message, Ok(Message::Ping { .. } | Message::Pong { .. })) {
            self.silence.note_use();
        }
        match message {
            Ok(Message::Response { id, error, result }) => shared
                .calls
                .answer(id, || match error {
                    None => Ok(Encoded::from_bytes(result.to_vec())),
                    Some(error) => Err(CallError::Failed(proto::read_failure(error))),
                })
                .map_err(|_| self.broken("too many answers that nobody asked for".into())),
            Ok(Message::Request { id, method, params, meta }) => shared.take_request(id, method, params, meta, frame),
            Ok(Message::Notification { method, params, meta }) => shared.take_notification(method, params, meta, frame),
            Ok(Message::Cancel { id }) => {
                shared.cancel_job(id);
                Ok(())
            }
            Ok(Message::Ping { number }) => {
                shared.say(|out| proto::append_pong(out, number));
                shared.wait_while_overfull();
                Ok(())
            }
            Ok(Message::Pong { .. }) => Ok(()),
            Ok(Message::GoAway) => {
                shared.peer_drains.set(true);
                shared.note_change();
                Ok(())
            }
            Ok(item @ (Message::CalleeItem { .. } | Message::CallerItem { .. })) => {
                shared.take_item(&item);
                Ok(())
            }
            Ok(Message::GrantToCaller { id, bytes }) => {
                shared.calls.with_flow(id, |flow| flow.grant(bytes));
                Ok(())
            }
            Ok(Message::CallerEnd { id, error }) => {
                shared.jobs.with_flow(id, |flow| flow.end(error.map(proto::read_failure)));
                Ok(())
            }
            Ok(Message::GrantToCallee { id, bytes }) => {
                shared.jobs.with_flow(id, |flow| flow.grant(bytes));
                Ok(())
            }
            Err(malformed) => self.refuse(&malformed),
        }
    }

    /// Tells whom a malformed message concerns.
    fn refuse(&self, malformed: &proto::MalformedMessage) -> Result<(), CloseReason> {
        match malformed.concerns {
            Concerns::Request(id) => {
                self.shared.answer(id, Err(&Failure::new(Failure::INVALID_REQUEST, malformed.to_string())));
                self.shared.wait_while_overfull();
                Ok(())
            }
            Concerns::Response(id) => {
                let reason = malformed.to_string();
                let taken = self.shared.calls.answer(id, || Err(CallError::Malformed { reason }));
                taken.map_err(|_| self.broken("too many answers that nobody asked for".into()))
            }
            Concerns::Nobody => Ok(()),
            Concerns::Connection => Err(self.broken(malformed.to_string())),
        }
    }

    /// What follows cannot be read: tells the one whom the first message of it concerns, if it says that.
    fn refuse_rest(&self, error: ScanError) -> CloseReason {
        let unproven = matches!(error, ScanError::TooLarge { .. }) && self.longest < self.shared.limits.frame_bytes;
        let (code, text) = match error {
            _ if unproven => (Failure::UNAUTHENTICATED, UNPROVEN.to_owned()),
            ScanError::TooLarge { .. } => (Failure::TOO_LARGE, error.to_string()),
            _ => (Failure::PARSE, error.to_string()),
        };
        match proto::peek_call(&self.buf[self.start..self.end]) {
            Some(Concerns::Request(id)) => self.shared.answer(id, Err(&Failure::new(code, text))),
            Some(Concerns::Response(id)) => {
                // The connection ends in any case.
                let _ = self.shared.calls.answer(id, || {
                    Err(match error {
                        ScanError::TooLarge { bytes, limit, .. } => CallError::TooLarge { bytes, limit, sent: true },
                        _ => CallError::Malformed { reason: error.to_string() },
                    })
                });
            }
            _ => {}
        }
        match error {
            _ if unproven => self.broken(UNPROVEN.into()),
            ScanError::TooLarge { bytes, limit, .. } => CloseReason::TooLarge { bytes, limit, at: self.passed },
            _ => self.broken(error.to_string()),
        }
    }

    fn broken(&self, reason: String) -> CloseReason {
        CloseReason::Malformed { reason, at: self.passed }
    }
}
