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
//! - A connection hibernates only when nothing of a request has arrived and everything has been sent.

use std::cell::OnceCell;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{Direction, Hibernation, Panic, Turn, Unparked, is_cancellation, now, print_stderr, report_panic};
use grapeshot_net::{TcpStream, WaitLimit};
use http::StatusCode;

use crate::body::Body;
use crate::buffer::Buffer;
use crate::output::{GATHERED, Output};
use crate::proto::{
    BodyFraming, HeadError, HeadParser, HeadView, MethodKind, Parsed, ReplyTo, RequestHead, ResponseError, ResponseHead,
};
use crate::request::{Reply, Request};
use crate::response::{Response, ResponseBody, Upgraded};
use crate::server::{LogEntry, Shared};
use crate::writer::{self, Begun, Progress, SendError};

/// What a connection between two requests waits for, as listings show it.
pub(crate) const NEXT_REQUEST: &str = "the next request";

/// How long, and for how much, the end of a refused connection is waited for, so that the peer can read why.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 256 << 10;

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
    stream: TcpStream,
    peer: SocketAddr,
    shared: Rc<Shared>,
    served: u64,
}

/// What follows a request.
enum Next {
    Request,
    Close,
    /// Something may still arrive that nobody will read.
    CloseGently,
    Leave(Box<dyn FnOnce(Upgraded)>),
}

/// Why a connection stops taking turns.
enum Stop {
    Idle,
    Closed,
    Left(Box<dyn FnOnce(Upgraded)>),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, shared: Rc<Shared>) -> Box<Connection> {
        Box::new(Connection { stream, peer, shared, served: 0 })
    }

    pub(crate) fn first_turn(self: Box<Connection>) -> Turn {
        // Responses are written whole, so waiting to gather more only delays them. A failure costs speed, not sense.
        let _ = self.stream.set_nodelay(true);
        // Not zero unless the limit is, which then acts as no time at all.
        let patience = self.shared.limits.write_timeout.max(Duration::from_millis(1));
        let _ = self.stream.set_write_timeout(Some(patience));
        self.turn()
    }

    /// Serves what there is, on a stack.
    fn turn(mut self: Box<Connection>) -> Turn {
        let mut buffers = self.shared.take_buffers();
        match self.serve(&mut buffers) {
            Stop::Idle => {
                self.shared.give_back_buffers(buffers);
                self.hibernate()
            }
            Stop::Closed => {
                self.shared.give_back_buffers(buffers);
                Turn::Done
            }
            Stop::Left(then) => {
                let buffered = buffers.input.unread().to_vec();
                self.shared.give_back_buffers(buffers);
                let Connection { stream, .. } = *self;
                let _ = stream.set_write_timeout(None);
                then(Upgraded { stream, buffered });
                Turn::Done
            }
        }
    }

    /// Waits for the next request without a stack.
    fn hibernate(self: Box<Connection>) -> Turn {
        let limits = &self.shared.limits;
        let deadline = now().checked_add(limits.idle_timeout.saturating_sub(self.shared.linger));
        let waiting = Hibernation::until_readable(
            self,
            |connection| connection.stream.source(),
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
                Next::Close => {
                    let _ = buffers.output.flush(&self.stream);
                    return Stop::Closed;
                }
                Next::CloseGently => {
                    if buffers.output.flush(&self.stream).is_ok() {
                        self.farewell(buffers);
                    }
                    return Stop::Closed;
                }
            }
        }
    }

    /// Sends what has been gathered and reads more of a head.
    fn read_on(&mut self, buffers: &mut Buffers, head_began: &mut Option<Instant>) -> Result<Option<Stop>, Refusal> {
        if buffers.output.flush(&self.stream).is_err() {
            return Ok(Some(Stop::Closed));
        }
        let limits = &self.shared.limits;
        let is_idle = buffers.input.is_empty();
        let (name, limit) = if is_idle && self.shared.is_draining() {
            // What has arrived by now is still answered.
            (NEXT_REQUEST, WaitLimit::After(Duration::ZERO))
        } else if is_idle {
            (NEXT_REQUEST, WaitLimit::After(self.shared.linger.min(limits.idle_timeout)))
        } else {
            let deadline = head_began.get_or_insert_with(now).checked_add(limits.head_timeout);
            ("the rest of a request head", deadline.map_or(WaitLimit::Never, WaitLimit::At))
        };
        match self.read(buffers, name, limit) {
            Ok(0) if is_idle => Ok(Some(Stop::Closed)),
            Ok(0) => match HeadParser::end_of_stream(buffers.input.unread()) {
                Ok(()) => Ok(Some(Stop::Closed)),
                Err(error) => Err(Refusal::of_head(&error)),
            },
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::TimedOut && is_idle => {
                Ok(Some(if self.shared.is_draining() { Stop::Closed } else { Stop::Idle }))
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Refusal {
                status: StatusCode::REQUEST_TIMEOUT,
                why: format!("request head: not complete within {:?}", limits.head_timeout),
            }),
            Err(_) => Ok(Some(Stop::Closed)),
        }
    }

    fn read(&self, buffers: &mut Buffers, name: &'static str, limit: WaitLimit) -> io::Result<usize> {
        let most = self.shared.limits.head_bytes.min(crate::Limits::MAX_HEAD_BYTES) + 64;
        let source = self.stream.source();
        buffers.input.fill(most, |room| {
            let size = room.len();
            let drained = |&read: &usize| 0 < read && read < size;
            source.attempt(Direction::Read, name, limit, drained, |mut stream| stream.read(room))
        })
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
            },
            uri: OnceCell::new(),
            headers: OnceCell::new(),
        };
        let response = contained(|| self.shared.handler.handle(&mut request));
        let mut answered = answer(&mut request, response);
        if let Some(entry) = began.map(|began| answered.log_entry(&request, began)) {
            self.log(&entry);
        }
        if matches!(answered.next, Next::Request) && !request.body.is_finished() {
            answered.next = finish_body(&mut request);
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
        match answered.next {
            Next::Leave(_) if output.flush(&self.stream).is_err() => Next::Close,
            next => next,
        }
    }

    /// Answers what is no request that could be handled.
    fn refuse(&self, buffers: &mut Buffers, refusal: &Refusal) -> Next {
        let response = refusal.response();
        let head = response_head(&self.shared, &response, ReplyTo::UNPARSED, false);
        let date = self.shared.date();
        let head = ResponseHead { date: Some(&date), ..head };
        let mut bytes = 0;
        let output = buffers.output.gathered();
        if head.encode(response.header_lines(), output).is_ok()
            && let ResponseBody::Bytes(body) = &response.body
        {
            output.extend_from_slice(body);
            bytes = body.len() as u64;
        }
        drop(date);
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

    /// Lets the peer read the last response before the connection goes.
    ///
    /// Closing with unread input makes the kernel send a reset, which may overtake the response (RFC 9112 §9.6).
    fn farewell(&self, buffers: &mut Buffers) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = now() + FAREWELL;
        let mut seen = 0;
        while seen < FAREWELL_BYTES {
            buffers.input.clear();
            match self.read(buffers, "the peer to close", WaitLimit::At(deadline)) {
                Ok(0) | Err(_) => return,
                Ok(read) => seen += read,
            }
        }
    }
}

/// Runs code of the handler's; `None` when it panics, which is reported.
fn contained<T>(f: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) if is_cancellation(&*payload) => panic::resume_unwind(payload),
        Err(payload) => {
            report_panic(&Panic::from_payload(payload));
            None
        }
    }
}

/// A response that has been written, as far as it could be.
struct Answered {
    status: StatusCode,
    problem: Option<String>,
    next: Next,
}

impl Answered {
    fn broken(status: StatusCode, problem: String) -> Answered {
        Answered { status, problem: Some(problem), next: Next::Close }
    }

    fn log_entry<'a>(&'a self, request: &Request<'a>, began: Instant) -> LogEntry<'a> {
        LogEntry {
            peer: request.peer,
            request: Some((request.method(), request.target())),
            status: self.status,
            body_bytes: request.reply.sent,
            elapsed: began.elapsed(),
            problem: self.problem.as_deref(),
        }
    }
}

/// Sends the handler's response, `None` if it panicked, or what has to be sent instead.
fn answer(request: &mut Request<'_>, response: Option<Response>) -> Answered {
    match request.reply.progress {
        Progress::NotStarted => {}
        Progress::Finished(begun) => {
            let next = if response.is_some() { after(request, begun) } else { Next::CloseGently };
            return Answered { status: begun.status, problem: None, next };
        }
        Progress::Streaming(begun) => {
            if !request.reply.output.take_back(begun.mark) {
                return Answered::broken(begun.status, "the response was broken off".to_owned());
            }
        }
    }
    if let Some(answered) = refuse_body(request) {
        return answered;
    }
    let Some(response) = response else { return write_failure(request, "the handler panicked".to_owned()) };
    if let Some(failure) = &response.failure {
        print_stderr(&format!("http: the handler of {} {} failed: {failure}", request.method(), request.path()));
    }
    if let Some(why) = misfit(request, &response) {
        return write_failure(request, print_failure(why));
    }
    // The new protocol begins where the request ends, its body included (RFC 9110 section 7.8).
    if matches!(response.body, ResponseBody::Upgrade(_)) && !discard_body(request) {
        return refuse_body(request).unwrap_or_else(|| write_refusal(request, Refusal::of_unread_body(request)));
    }
    let keep_alive = request.reply.keep_alive && !request.body.is_uninvited();
    write_response(request, response, keep_alive)
}

/// Answers for a body that cannot be read, whatever the handler says.
fn refuse_body(request: &mut Request<'_>) -> Option<Answered> {
    let (status, why) = request.body.failure()?;
    let why = why.to_owned();
    Some(match status {
        Some(status) => write_refusal(request, Refusal { status, why }),
        None => Answered::broken(StatusCode::BAD_REQUEST, why),
    })
}

/// Why a response cannot be the answer to a request.
fn misfit(request: &Request<'_>, response: &Response) -> Option<String> {
    let status = response.status;
    match &response.body {
        ResponseBody::Sent => Some("it stands for one that was sent for another request".to_owned()),
        ResponseBody::Upgrade(_) if !request.offers_upgrade() => Some("the request offers no upgrade".to_owned()),
        ResponseBody::Upgrade(_) if status == StatusCode::SWITCHING_PROTOCOLS => None,
        ResponseBody::Upgrade(_) => Some(format!("an upgrade with status {status}")),
        _ if status.is_informational() => Some(format!("the status {status} is not a final one")),
        _ => None,
    }
}

fn write_refusal(request: &mut Request<'_>, refusal: Refusal) -> Answered {
    let answered = write_response(request, refusal.response(), false);
    Answered { problem: Some(refusal.why), next: Next::CloseGently, ..answered }
}

fn write_response(request: &mut Request<'_>, mut response: Response, keep_alive: bool) -> Answered {
    let begun = match begin_response(request, &response, keep_alive) {
        Ok(begun) => begun,
        Err(error) => return write_failure(request, print_failure(error.to_string())),
    };
    let reply = &mut request.reply;
    let (stream, output, body) = (reply.stream, &mut *reply.output, &mut response.body);
    let sent = contained(|| writer::send_body(stream, output, body, begun.plan.framing, &mut reply.sent));
    match sent {
        Some(Ok(())) => {
            let next = match response.body {
                ResponseBody::Upgrade(then) => Next::Leave(then),
                _ => after(request, begun),
            };
            Answered { status: begun.status, problem: None, next }
        }
        Some(Err(SendError::Connection(error))) => Answered::broken(begun.status, format!("response: {error}")),
        Some(Err(SendError::Reader(error))) => unsend(request, begun, print_failure(error.to_string())),
        None => unsend(request, begun, "the reader of the response body panicked".to_owned()),
    }
}

fn begin_response(request: &mut Request<'_>, response: &Response, keep_alive: bool) -> Result<Begun, ResponseError> {
    let reply = &mut request.reply;
    let mark = reply.output.mark();
    reply.sent = 0;
    let date = reply.shared.date();
    let head = ResponseHead { date: Some(&date), ..response_head(reply.shared, response, reply.to, keep_alive) };
    let plan = head.encode(response.header_lines(), reply.output.gathered())?;
    Ok(Begun { status: response.status, plan, mark })
}

/// Answers 500 instead of a response whose body failed, if nothing of it is out.
fn unsend(request: &mut Request<'_>, begun: Begun, why: String) -> Answered {
    if request.reply.output.take_back(begun.mark) {
        return write_failure(request, why);
    }
    Answered::broken(begun.status, why)
}

/// Answers 500 for the handler.
fn write_failure(request: &mut Request<'_>, why: String) -> Answered {
    let answered = write_response(request, Refusal::internal().response(), false);
    Answered { problem: Some(why), ..answered }
}

/// Tells the operator why a response cannot be sent, and the log.
fn print_failure(why: String) -> String {
    print_stderr(&format!("http: a handler's response cannot be sent: {why}"));
    why
}

fn response_head<'a>(shared: &'a Shared, response: &Response, to: ReplyTo, keep_alive: bool) -> ResponseHead<'a> {
    ResponseHead {
        status: response.status,
        reply_to: to,
        body: response.body_length(),
        keep_alive: keep_alive && !shared.is_draining(),
        date: None,
        server: shared.server_name(),
    }
}

fn after(request: &Request<'_>, begun: Begun) -> Next {
    // What follows a 2xx to CONNECT is not HTTP (RFC 9110 section 9.3.6), and there is nobody to tunnel it to.
    let is_tunnel = request.reply.to.method == MethodKind::Connect && begun.status.is_success();
    // A client that meant to go on may have sent more by now.
    let more_may_come = is_tunnel || request.head.head().keep_alive() || !request.body.is_finished();
    match begun.plan.keep_alive && !is_tunnel {
        true => Next::Request,
        false if more_may_come => Next::CloseGently,
        false => Next::Close,
    }
}

/// What follows a request whose body nobody has read to its end.
fn finish_body(request: &mut Request<'_>) -> Next {
    if !request.body.is_uninvited() && discard_body(request) { Next::Request } else { Next::CloseGently }
}

/// Reads the rest of a body nobody wanted, if it is short enough, and says whether that was all of it.
fn discard_body(request: &mut Request<'_>) -> bool {
    let most = request.reply.shared.limits.discard_bytes;
    request.reply.output.flush(request.reply.stream).is_ok()
        && request.body.remaining().is_none_or(|left| left <= most)
        && request.body.discard(most)
}

/// Why a request is not handled.
struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    fn of_head(error: &HeadError) -> Refusal {
        Refusal { status: error.status(), why: error.to_string() }
    }

    fn of_unread_body(request: &Request<'_>) -> Refusal {
        let most = request.reply.shared.limits.discard_bytes;
        let why = format!("request body: longer than the {most} bytes that are thrown away before an upgrade");
        Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, why }
    }

    fn internal() -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, why: "the server failed to answer".to_owned() }
    }

    fn response(&self) -> Response {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        Response::text(format!("{} {reason}: {}\n", self.status.as_u16(), self.why)).status(self.status)
    }
}
