//! One connection: request after request, on a stack only while there is something to do.
//!
//! ```text
//!           ┌──────────── next request buffered ────────────┐
//!           ▼                                               │
//!   ► parse head ─ complete ─► handler ─► respond ─► discard rest of body ─ keep-alive
//!       │   ▲                                                            └─ close
//!  part │   │ bytes
//!       ▼   │
//!      flush, wait ── nothing for the linger time ──► hibernate (no stack, no buffers) ──► idle limit: close
//! ```
//!
//! # Invariants
//!
//! - Requests are answered in order, and one is begun only after the one before is answered and its body is read.
//! - Responses to pipelined requests are gathered, and written before the connection waits for its peer.
//!   A handler that waits for something else holds them back by that long: to write them first would cost
//!   every pipelined request a system call, since nobody knows beforehand who waits.
//! - A connection hibernates only when nothing of a request has arrived, not even a part of a record of TLS, and everything
//!   has been sent.

mod ending;
#[cfg(feature = "tls")]
mod opening;

use std::cell::OnceCell;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{Direction, Hibernation, Turn, Unparked, now};
use grapeshot_net::WaitLimit;
use http::StatusCode;

use self::ending::Goodbye;
use crate::answer::{Next, Outcome, answer, contained, finish_body, log_entry, response_head};
use crate::body::Body;
use crate::buffer::Buffer;
use crate::log::LogEntry;
use crate::output::{GATHERED, Output};
use crate::proto::{BodyFraming, HeadParser, HeadView, Parsed, ReplyTo, RequestHead, ResponseHead};
use crate::refusal::Refusal;
use crate::request::{Reply, Request};
use crate::response::{ResponseBody, Upgraded};
use crate::server::Shared;
use crate::stream::{Arrived, Stream};
use crate::writer::Progress;

/// What a connection between two requests waits for, as listings show it.
pub(crate) const NEXT_REQUEST: &str = "the next request";

/// What a connection needs while it has a stack.
#[derive(Default)]
pub(crate) struct Buffers {
    input: Buffer,
    more: Buffer,
    output: Output,
    parser: HeadParser,
    head: RequestHead,
}

impl Buffers {
    pub(crate) fn capacity(&self) -> usize {
        self.input.capacity() + self.more.capacity() + self.output.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.input.clear();
        self.more.clear();
        self.output.clear();
        self.parser = HeadParser::new();
        self.head.clear();
    }
}

pub(crate) struct Connection {
    stream: Stream,
    peer: SocketAddr,
    shared: Rc<Shared>,
    served: u64,
}

/// Why a connection stops serving.
enum Stop {
    /// Nothing of a next request is there.
    Idle,
    Closed,
    Left(Box<dyn FnOnce(Upgraded)>),
}

/// What has come of a next request.
enum Arrival {
    /// Its first bytes, in the input.
    Bytes(Box<Buffers>),
    /// Nothing, after having waited so long.
    NothingFor(Duration),
    /// The end of the connection.
    End,
}

/// Whether a read of so many bytes has emptied the socket; an end of stream stays.
fn is_drained(&(read, had_room): &(usize, bool)) -> bool {
    read > 0 && had_room
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: SocketAddr, shared: Rc<Shared>) -> Box<Connection> {
        Box::new(Connection { stream, peer, shared, served: 0 })
    }

    pub(crate) fn first_turn(self: Box<Connection>) -> Turn {
        // Responses are written whole, so waiting to gather more only delays them. A failure costs speed, not sense.
        let _ = self.stream.tcp().set_nodelay(true);
        let _ = self.stream.set_write_timeout(Some(self.shared.limits.patience()));
        self.begin()
    }

    #[cfg(not(feature = "tls"))]
    fn begin(self: Box<Connection>) -> Turn {
        self.turn()
    }

    /// Serves what there is, on a stack.
    fn turn(mut self: Box<Connection>) -> Turn {
        loop {
            let mut buffers = match self.next_bytes() {
                Arrival::Bytes(buffers) => buffers,
                Arrival::NothingFor(waited) => return self.hibernate(waited),
                Arrival::End => return Turn::Done,
            };
            match self.serve(&mut buffers) {
                Stop::Idle => self.shared.give_back_buffers(buffers),
                Stop::Closed => {
                    self.shared.give_back_buffers(buffers);
                    return Turn::Done;
                }
                Stop::Left(then) => {
                    let buffered = buffers.input.unread().to_vec();
                    self.shared.give_back_buffers(buffers);
                    let Connection { stream, .. } = *self;
                    let _ = stream.set_write_timeout(None);
                    then(Upgraded { stream, buffered });
                    return Turn::Done;
                }
            }
        }
    }

    /// Reads the first bytes of a next request, waiting for them as long as a stack is kept;
    /// and the rest of a record of TLS, since there may be some in it, as long as for a head.
    fn next_bytes(&self) -> Arrival {
        let _goodbye = Goodbye(&self.stream);
        let mut deadline = None;
        loop {
            match self.look_for_bytes() {
                Arrival::NothingFor(_) if self.stream.holds_part() => {}
                arrival => return arrival,
            }
            let until = *deadline.get_or_insert_with(|| now().checked_add(self.shared.limits.head_timeout));
            let limit = until.map_or(WaitLimit::Never, WaitLimit::At);
            if self.stream.tcp().source().wait_ready(Direction::Read, "the rest of a TLS record", limit).is_err() {
                return Arrival::End;
            }
        }
    }

    /// Buffers are taken when there is something to put into them: while a connection waits others use them,
    /// and they stay in the processor's cache.
    fn look_for_bytes(&self) -> Arrival {
        let Shared { limits, linger, .. } = &*self.shared;
        let linger = (*linger).min(limits.idle_timeout);
        let mut taken = None;
        let read = |arrived: Arrived<'_>| {
            let buffers: &mut Box<Buffers> = taken.get_or_insert_with(|| self.shared.take_buffers());
            let read = self.fill(&mut buffers.input, arrived);
            if matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                taken.take().into_iter().for_each(|buffers| self.shared.give_back_buffers(buffers));
            }
            read
        };
        let place = self.shared.linger_place();
        let done = if self.shared.is_draining() {
            // What has arrived by now is still answered.
            self.stream.attempt_read(NEXT_REQUEST, WaitLimit::After(Duration::ZERO), is_drained, read)
        } else if place.is_some() {
            let until = now().checked_add(linger).map_or(WaitLimit::Never, WaitLimit::At);
            self.stream.attempt_read(NEXT_REQUEST, until, is_drained, read)
        } else {
            self.stream.try_read(NEXT_REQUEST, is_drained, read)
        };
        match (done, taken) {
            (Ok((1.., _)), Some(buffers)) => {
                self.stream.end_idle();
                Arrival::Bytes(buffers)
            }
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => Arrival::NothingFor(Duration::ZERO),
            (Err(error), _) if error.kind() == io::ErrorKind::TimedOut && !self.shared.is_draining() => {
                Arrival::NothingFor(linger)
            }
            (_, buffers) => {
                buffers.into_iter().for_each(|buffers| self.shared.give_back_buffers(buffers));
                Arrival::End
            }
        }
    }

    /// Waits for the next request without a stack, having `waited` for it already.
    fn hibernate(self: Box<Connection>, waited: Duration) -> Turn {
        let limits = &self.shared.limits;
        let deadline = self.stream.idle_until(limits.idle_timeout.saturating_sub(waited));
        // Records without a request may have woken it, and more of them be there already.
        if self.stream.is_tls() && deadline.is_some_and(|deadline| deadline <= now()) {
            return Turn::Done;
        }
        let waiting = Hibernation::until_readable(
            self,
            |connection| connection.stream.tcp().source(),
            NEXT_REQUEST,
            deadline,
            |connection, unparked| match unparked {
                Unparked::Woken => connection.turn(),
                Unparked::TimedOut | Unparked::Refused => Turn::Done,
            },
        );
        // A source that cannot be waited on is closed with its connection.
        waiting.map_or(Turn::Done, Turn::Wait)
    }

    fn serve(&mut self, buffers: &mut Buffers) -> Stop {
        let mut head_began = None;
        loop {
            let parsed = buffers.parser.parse(buffers.input.unread(), &self.shared.limits, &mut buffers.head);
            let next = match parsed {
                Ok(Parsed::Complete(len)) => {
                    head_began = None;
                    self.exchange(buffers, len)
                }
                Ok(Parsed::Partial) => match self.read_on(buffers, &mut head_began) {
                    Ok(stop) => match stop {
                        None => continue,
                        Some(stop) => return stop,
                    },
                    Err(refusal) => self.refuse(buffers, &refusal),
                },
                Err(error) => self.refuse(buffers, &Refusal::of_head(&error)),
            };
            match next {
                Next::Request => {}
                Next::Leave(then) => return Stop::Left(then),
                next => {
                    self.end(&next, &mut buffers.output);
                    return Stop::Closed;
                }
            }
        }
    }

    /// Sends what has been gathered and reads more of a head that has begun.
    fn read_on(&mut self, buffers: &mut Buffers, head_began: &mut Option<Instant>) -> Result<Option<Stop>, Refusal> {
        if buffers.output.flush(&self.stream).is_err() {
            return Ok(Some(Stop::Closed));
        }
        if buffers.input.is_empty() {
            return Ok(Some(Stop::Idle));
        }
        let head_timeout = self.shared.limits.head_timeout;
        let deadline = head_began.get_or_insert_with(now).checked_add(head_timeout);
        match self.read(buffers, "the rest of a request head", deadline.map_or(WaitLimit::Never, WaitLimit::At)) {
            Ok(0) => match HeadParser::end_of_stream(buffers.input.unread()) {
                Ok(()) => Ok(Some(Stop::Closed)),
                Err(error) => Err(Refusal::of_head(&error)),
            },
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Refusal {
                status: StatusCode::REQUEST_TIMEOUT,
                why: format!("request head: not complete within {head_timeout:?}"),
            }),
            Err(_) => Ok(Some(Stop::Closed)),
        }
    }

    fn read(&self, buffers: &mut Buffers, name: &'static str, limit: WaitLimit) -> io::Result<usize> {
        let input = &mut buffers.input;
        let read = |arrived: Arrived<'_>| self.fill(input, arrived);
        self.stream.attempt_read(name, limit, is_drained, read).map(|(read, _)| read)
    }

    /// Reads once; says how much, and whether there was room for more.
    fn fill(&self, input: &mut Buffer, mut arrived: Arrived<'_>) -> io::Result<(usize, bool)> {
        // A little more than the longest head.
        let most = self.shared.limits.head_bytes.min(crate::Limits::MAX_HEAD_BYTES) + 64;
        let read = input.fill(most, |room| arrived.read(room))?;
        Ok((read, input.has_room()))
    }

    /// Answers the request whose head is the first `len` bytes of the input.
    fn exchange(&mut self, buffers: &mut Buffers, len: usize) -> Next {
        self.served += 1;
        let began = self.shared.log.as_ref().map(|_| Instant::now());
        let Buffers { input, more, output, head, .. } = buffers;
        let unread = input.unread();
        let (head_bytes, leftover) = unread.split_at(len);
        let is_whole = match head.body() {
            BodyFraming::None => true,
            BodyFraming::Length(length) => length <= leftover.len() as u64,
            BodyFraming::Chunked => false,
        };
        // The rest of a body may be waiting for what has been gathered.
        if !is_whole && output.flush(&self.stream).is_err() {
            return Next::Close;
        }
        output.begin_response(&self.shared.limits);
        let mut request = Request {
            head: HeadView::new(head_bytes, head),
            peer: self.peer,
            body: Body::new(&self.stream, &self.shared.limits, head, leftover, more),
            reply: Reply {
                stream: &self.stream,
                output,
                shared: &self.shared,
                to: ReplyTo::from(&*head),
                keep_alive: head.keep_alive() && self.served < self.shared.limits.requests_per_connection,
                progress: Progress::NotStarted,
                sent: 0,
                outcome: Outcome { status: StatusCode::OK, problem: None },
            },
            uri: OnceCell::new(),
            headers: OnceCell::new(),
        };
        let mut response = None;
        contained(|| (self.shared.handler)(&mut request, &mut response));
        let mut next = answer(&mut request, &mut response);
        drop(response);
        if let Some(began) = began {
            self.log(&log_entry(&request, began));
        }
        if matches!(next, Next::Request) && !request.body.is_finished() {
            next = finish_body(&mut request);
        }
        let used = len + leftover.len() - request.body.unused_leftover();
        if used == unread.len() && !more.is_empty() {
            input.clear();
            std::mem::swap(input, more);
        } else {
            input.consume(used);
        }
        if output.len() >= GATHERED && output.flush(&self.stream).is_err() {
            return Next::Close;
        }
        match next {
            Next::Leave(_) if output.flush(&self.stream).is_err() => Next::Close,
            next => next,
        }
    }

    /// Answers what is no request that could be handled.
    fn refuse(&self, buffers: &mut Buffers, refusal: &Refusal) -> Next {
        let response = refusal.response();
        let head = response_head(&self.shared, &response, ReplyTo::UNPARSED, false);
        let standing = self.shared.standing();
        let head = ResponseHead { standing: Some(&standing), ..head };
        let mut bytes = 0;
        buffers.output.begin_response(&self.shared.limits);
        let output = buffers.output.gathered();
        if head.encode(response.headers(), output).is_ok()
            && let ResponseBody::Bytes(body) = &response.body
        {
            output.extend_from_slice(body);
            bytes = body.len() as u64;
        }
        drop(standing);
        self.log(&LogEntry {
            peer: self.peer,
            request: None,
            status: refusal.status,
            body_bytes: bytes,
            elapsed: Duration::ZERO,
            problem: Some(&refusal.why),
        });
        Next::CloseGently
    }

    fn log(&self, entry: &LogEntry<'_>) {
        if let Some(log) = &self.shared.log {
            log(entry);
        }
    }
}
