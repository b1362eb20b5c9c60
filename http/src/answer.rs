//! One answer to one request: what the handler returned, or what has to be sent instead.
//!
//! ```text
//!   handler ─► Response ──┬─ fits ──────────────► head, body ─┬─ all out ─► next request, or close
//!      │                  └─ does not ─► 500                  └─ cut off ─► broken off, or 500 while nothing is out
//!      ├─ panic ─► 500
//!      └─ a body that could not be read ─► 400, 408, 413, 431
//! ```

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use grapeshot_core::{Panic, is_cancellation, print_stderr, report_panic};
use http::StatusCode;

use crate::log::{LogEntry, RequestLine};
use crate::proto::{MethodKind, ReplyTo, ResponseError, ResponseHead};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::{Response, ResponseBody, Upgraded};
use crate::server::Shared;
use crate::writer::{self, Begun, Progress, SendError};

const PANICKED: &str = "the handler panicked";

/// What follows a request.
pub(crate) enum Next {
    Request,
    Close,
    /// The peer is to see that this was not the end.
    BreakOff,
    /// Something may still arrive that nobody will read.
    CloseGently,
    Leave(Box<dyn FnOnce(Upgraded)>),
}

/// Runs code of the handler's; `None` when it panics, which is reported.
#[inline]
pub(crate) fn contained<T>(f: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) if is_cancellation(&*payload) => panic::resume_unwind(payload),
        Err(payload) => {
            report_panic(&Panic::from_payload(payload));
            None
        }
    }
}

/// What became of a request, for the log.
pub(crate) struct Outcome {
    pub(crate) status: StatusCode,
    /// Why the request was refused, or the response replaced or broken off, if it was; the first reason counts.
    pub(crate) problem: Option<String>,
}

impl Outcome {
    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

pub(crate) fn log_entry<'a>(request: &'a Request<'_>, began: Instant) -> LogEntry<'a> {
    let (method, target, version) = (request.method(), request.target(), request.version());
    LogEntry {
        peer: request.peer,
        request: Some(RequestLine { method, target, version }),
        status: request.reply.outcome.status,
        body_bytes: request.reply.sent,
        elapsed: began.elapsed(),
        problem: request.reply.outcome.problem.as_deref(),
    }
}

/// Sends the handler's response, `None` if it panicked, or what has to be sent instead.
///
/// The response stays where the handler put it: a copy of one that has just been written word by word stalls the
/// processor for longer than the rest of a small answer takes.
#[inline]
pub(crate) fn answer(request: &mut Request<'_>, response: &mut Option<Response>) -> Next {
    match response {
        None => request.reply.outcome.note(PANICKED.to_owned()),
        Some(Response { failure: Some(failure), .. }) => note_failure(request, failure),
        Some(_) => {}
    }
    match request.reply.progress {
        Progress::NotStarted => {}
        Progress::Finished(begun) => {
            request.reply.outcome.status = begun.status;
            return if response.is_some() { after(request, begun) } else { Next::CloseGently };
        }
        Progress::Streaming(begun) => {
            if !request.reply.output.take_back(begun.mark) {
                return break_off(request, begun.status, "the handler did not finish the response".to_owned());
            }
        }
    }
    if request.body.failure().is_some() {
        return refuse_body(request);
    }
    match response {
        Some(response) => fit_response(request, response),
        None => write_failure(request, PANICKED.to_owned()),
    }
}

/// Notes what went wrong in the handler; the operator is told, unless it is the peer's doing.
#[cold]
fn note_failure(request: &mut Request<'_>, failure: &io::Error) {
    let failure = failure.to_string();
    if request.body.failure().is_none() && !request.reply.output.is_broken() {
        print_stderr(&format!("http: the handler of {} {} failed: {failure}", request.method(), request.path()));
    }
    request.reply.outcome.note(failure);
}

#[inline]
fn fit_response(request: &mut Request<'_>, response: &mut Response) -> Next {
    if let Some(why) = misfit(request, response) {
        return write_failure(request, print_failure(why));
    }
    // The new protocol begins where the request ends, its body included (RFC 9110 section 7.8).
    if matches!(response.body, ResponseBody::Upgrade(_)) && !discard_body(request) {
        return if request.body.failure().is_some() {
            refuse_body(request)
        } else {
            write_refusal(request, Refusal::of_unread_body(request))
        };
    }
    let keep_alive = request.reply.keep_alive && !request.body.is_uninvited();
    write_response(request, response, keep_alive)
}

/// Answers for a body that cannot be read, whatever the handler says.
#[cold]
fn refuse_body(request: &mut Request<'_>) -> Next {
    match request.body.failure() {
        Some((Some(status), why)) => {
            let refusal = Refusal { status, why: why.to_owned() };
            write_refusal(request, refusal)
        }
        Some((None, why)) => {
            let why = why.to_owned();
            break_off(request, StatusCode::BAD_REQUEST, why)
        }
        None => Next::Close,
    }
}

/// Ends a connection on which nothing more can be said.
#[cold]
fn break_off(request: &mut Request<'_>, status: StatusCode, problem: String) -> Next {
    request.reply.outcome.status = status;
    request.reply.outcome.note(problem);
    Next::BreakOff
}

/// Why a response cannot be the answer to a request.
#[inline]
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

#[cold]
fn write_refusal(request: &mut Request<'_>, refusal: Refusal) -> Next {
    let mut response = refusal.response();
    request.reply.outcome.problem = Some(refusal.why);
    write_response(request, &mut response, false);
    Next::CloseGently
}

#[inline]
fn write_response(request: &mut Request<'_>, response: &mut Response, keep_alive: bool) -> Next {
    let begun = match begin_response(request, response, keep_alive) {
        Ok(begun) => begun,
        Err(error) => return write_failure(request, print_failure(error.to_string())),
    };
    let reply = &mut request.reply;
    let (stream, output, framing) = (reply.stream, &mut *reply.output, begun.plan.framing);
    let sent = match &mut response.body {
        ResponseBody::Reader(body) => {
            contained(|| writer::send_reader(stream, output, &mut body.reader, framing, &mut reply.sent))
        }
        body => Some(writer::send_bytes(stream, output, body.bytes(), framing, &mut reply.sent)),
    };
    reply.outcome.status = begun.status;
    match sent {
        Some(Ok(())) => match &response.body {
            ResponseBody::Upgrade(_) => leave(response),
            _ => after(request, begun),
        },
        Some(Err(SendError::Connection(error))) => break_off(request, begun.status, format!("response: {error}")),
        Some(Err(SendError::Reader(error))) => unsend(request, begun, print_failure(error.to_string())),
        None => unsend(request, begun, "the reader of the response body panicked".to_owned()),
    }
}

#[inline]
fn begin_response(request: &mut Request<'_>, response: &Response, keep_alive: bool) -> Result<Begun, ResponseError> {
    let reply = &mut request.reply;
    let mark = reply.output.mark();
    reply.sent = 0;
    let standing = reply.shared.standing();
    let head =
        ResponseHead { standing: Some(&standing), ..response_head(reply.shared, response, reply.to, keep_alive) };
    let plan = head.encode(response.headers(), reply.output.gathered())?;
    Ok(Begun { status: response.status, plan, mark })
}

/// Answers 500 instead of a response whose body failed, if nothing of it is out.
#[cold]
fn unsend(request: &mut Request<'_>, begun: Begun, why: String) -> Next {
    if request.reply.output.take_back(begun.mark) {
        return write_failure(request, why);
    }
    break_off(request, begun.status, why)
}

/// Answers 500 for the handler.
#[cold]
fn write_failure(request: &mut Request<'_>, why: String) -> Next {
    request.reply.outcome.note(why);
    write_response(request, &mut Refusal::internal().response(), false)
}

/// Tells the operator why a response cannot be sent, and the log.
fn print_failure(why: String) -> String {
    print_stderr(&format!("http: a handler's response cannot be sent: {why}"));
    why
}

pub(crate) fn response_head<'a>(
    shared: &Shared,
    response: &'a Response,
    to: ReplyTo,
    keep_alive: bool,
) -> ResponseHead<'a> {
    ResponseHead {
        status: response.status,
        reply_to: to,
        body: response.body_length(),
        keep_alive: keep_alive && !shared.is_draining(),
        prepared: response.content_type.map_or(&[], |content_type| content_type.line),
        standing: None,
    }
}

#[cold]
fn leave(response: &mut Response) -> Next {
    match std::mem::replace(&mut response.body, ResponseBody::Sent) {
        ResponseBody::Upgrade(then) => Next::Leave(then),
        _ => Next::Close,
    }
}

#[inline]
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
pub(crate) fn finish_body(request: &mut Request<'_>) -> Next {
    if !request.body.is_uninvited() && discard_body(request) { Next::Request } else { Next::CloseGently }
}

/// Reads the rest of a body nobody wanted, if it is short enough, and says whether that was all of it.
fn discard_body(request: &mut Request<'_>) -> bool {
    let most = request.reply.shared.limits.discard_bytes;
    request.reply.output.flush(request.reply.stream).is_ok()
        && request.body.remaining().is_none_or(|left| left <= most)
        && request.body.discard(most)
}
