//! One answer to one request: what the handler returned, or what has to be sent instead.
//!
//! ```text
//!   handler ─► Response ──┬─ fits ──────────────► head, body ─┬─ all out ─► next request, or close
//!      │                  └─ does not ─► 500                  └─ cut off ─► broken off, or 500 while nothing is out
//!      ├─ panic ─► 500
//!      └─ a body that could not be read ─► 400, 408, 413, 431
//! ```

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

/// A response that has been written, as far as it could be.
pub(crate) struct Answered {
    status: StatusCode,
    problem: Option<String>,
    pub(crate) next: Next,
}

impl Answered {
    fn broken(status: StatusCode, problem: String) -> Answered {
        Answered { status, problem: Some(problem), next: Next::Close }
    }

    pub(crate) fn log_entry<'a>(&'a self, request: &Request<'a>, began: Instant) -> LogEntry<'a> {
        let (method, target, version) = (request.method(), request.target(), request.version());
        LogEntry {
            peer: request.peer,
            request: Some(RequestLine { method, target, version }),
            status: self.status,
            body_bytes: request.reply.sent,
            elapsed: began.elapsed(),
            problem: self.problem.as_deref(),
        }
    }
}

/// Sends the handler's response, `None` if it panicked, or what has to be sent instead.
#[inline]
pub(crate) fn answer(request: &mut Request<'_>, response: Option<Response>) -> Answered {
    let failure = failure_of_handler(request, response.as_ref());
    match request.reply.progress {
        Progress::NotStarted => {}
        Progress::Finished(begun) => {
            let next = if response.is_some() { after(request, begun) } else { Next::CloseGently };
            return Answered { status: begun.status, problem: failure, next };
        }
        Progress::Streaming(begun) => {
            if !request.reply.output.take_back(begun.mark) {
                let problem = failure.unwrap_or_else(|| "the handler did not finish the response".to_owned());
                return Answered::broken(begun.status, problem);
            }
        }
    }
    if request.body.failure().is_some()
        && let Some(answered) = refuse_body(request)
    {
        return answered;
    }
    let Some(mut response) = response else { return write_failure(request, PANICKED.to_owned()) };
    let mut answered = fit_response(request, &mut response);
    if failure.is_some() {
        answered.problem = failure;
    }
    answered
}

/// What went wrong in the handler; the operator is told, unless it is the peer's doing.
#[inline]
fn failure_of_handler(request: &Request<'_>, response: Option<&Response>) -> Option<String> {
    let Some(response) = response else { return Some(PANICKED.to_owned()) };
    let failure = response.failure.as_ref()?.to_string();
    if request.body.failure().is_none() && !request.reply.output.is_broken() {
        print_stderr(&format!("http: the handler of {} {} failed: {failure}", request.method(), request.path()));
    }
    Some(failure)
}

#[inline]
fn fit_response(request: &mut Request<'_>, response: &mut Response) -> Answered {
    if let Some(why) = misfit(request, response) {
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
#[cold]
fn refuse_body(request: &mut Request<'_>) -> Option<Answered> {
    let (status, why) = request.body.failure()?;
    let why = why.to_owned();
    Some(match status {
        Some(status) => write_refusal(request, Refusal { status, why }),
        None => Answered::broken(StatusCode::BAD_REQUEST, why),
    })
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

fn write_refusal(request: &mut Request<'_>, refusal: Refusal) -> Answered {
    let answered = write_response(request, &mut refusal.response(), false);
    Answered { problem: Some(refusal.why), next: Next::CloseGently, ..answered }
}

#[inline]
fn write_response(request: &mut Request<'_>, response: &mut Response, keep_alive: bool) -> Answered {
    let begun = match begin_response(request, response, keep_alive) {
        Ok(begun) => begun,
        Err(error) => return write_failure(request, print_failure(error.to_string())),
    };
    let reply = &mut request.reply;
    let (stream, output, framing) = (reply.stream, &mut *reply.output, begun.plan.framing);
    let sent = match &mut response.body {
        ResponseBody::Reader { reader, .. } => {
            contained(|| writer::send_reader(stream, output, reader, framing, &mut reply.sent))
        }
        body => Some(writer::send_bytes(stream, output, body.bytes(), framing, &mut reply.sent)),
    };
    match sent {
        Some(Ok(())) => {
            let next = match &response.body {
                ResponseBody::Upgrade(_) => leave(response),
                _ => after(request, begun),
            };
            Answered { status: begun.status, problem: None, next }
        }
        Some(Err(SendError::Connection(error))) => Answered::broken(begun.status, format!("response: {error}")),
        Some(Err(SendError::Reader(error))) => unsend(request, begun, print_failure(error.to_string())),
        None => unsend(request, begun, "the reader of the response body panicked".to_owned()),
    }
}

#[inline]
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
    let answered = write_response(request, &mut Refusal::internal().response(), false);
    Answered { problem: Some(why), ..answered }
}

/// Tells the operator why a response cannot be sent, and the log.
fn print_failure(why: String) -> String {
    print_stderr(&format!("http: a handler's response cannot be sent: {why}"));
    why
}

pub(crate) fn response_head<'a>(
    shared: &'a Shared,
    response: &Response,
    to: ReplyTo,
    keep_alive: bool,
) -> ResponseHead<'a> {
    ResponseHead {
        status: response.status,
        reply_to: to,
        body: response.body_length(),
        keep_alive: keep_alive && !shared.is_draining(),
        date: None,
        server: shared.server_name(),
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
