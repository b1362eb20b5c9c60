//! Seeing a call begin and end, in one place for both sides and for every way to end.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use grapeshot_core::read_clock;

use super::caller_side::{NextCaller, Reply};
use super::ending::Ending;
use super::service_side::{Incoming, NextService};
use crate::accompanied::{Accompanied, Companion};
use crate::caller::Request;
use crate::error::{CallError, Failure};
use crate::transport::Identity;
use crate::value::Encoded;

/// Is told of calls. It never waits.
pub(super) trait Watch: Clone + 'static {
    fn begun(&self) {}

    fn ended(&self, call: &Watched<'_>);
}

/// A call that has ended.
pub(super) struct Watched<'a> {
    /// Who called; `None` on the caller's side.
    pub(super) peer: Option<&'a Identity>,
    pub(super) method: &'a str,
    pub(super) params_bytes: usize,
    pub(super) answer_bytes: usize,
    pub(super) took: Duration,
    pub(super) ending: Ending<'a>,
}

/// Answers a call as the next one does, and tells of it.
pub(super) fn serve<W: Watch>(watch: &W, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
    serve_as(watch, call.method, call, next)
}

/// The same under another name than the one that it was called by.
pub(super) fn serve_as<W: Watch>(
    watch: &W,
    name: &str,
    call: &Incoming<'_>,
    next: NextService<'_>,
) -> Result<Encoded, Failure> {
    let during = During::begin(watch, Some(call.context.peer()), name, call.params.len());
    let result = next.call(call);
    let answer_bytes = result.as_ref().map_or(0, |answer| answer.as_bytes().len());
    during.end(result.as_ref().err().map_or(Ending::Succeeded, Ending::Failed), answer_bytes);
    result
}

/// Makes a call as the next one does, and tells of it; of one with streams when it is over.
pub(super) fn call<W: Watch>(watch: &W, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
    let during = During::begin(watch, None, request.method, request.params.len());
    match next.call(request) {
        Ok(Reply::Opened(inner)) => Ok(Reply::Opened(Accompanied::boxed(inner, during.into_owned()))),
        Ok(reply) => {
            let answer_bytes = if let Reply::Answer(answer) = &reply { answer.as_bytes().len() } else { 0 };
            during.end(Ending::Succeeded, answer_bytes);
            Ok(reply)
        }
        Err(error) => {
            during.end(Ending::NoResult(&error), 0);
            Err(error)
        }
    }
}

/// A call under way. Dropped before its end, it was cut off.
struct During<'a, W: Watch> {
    watch: W,
    peer: Option<&'a Identity>,
    method: Cow<'a, str>,
    params_bytes: usize,
    began: Instant,
    is_over: bool,
}

impl<'a, W: Watch> During<'a, W> {
    fn begin(watch: &W, peer: Option<&'a Identity>, method: &'a str, params_bytes: usize) -> During<'a, W> {
        watch.begun();
        During { watch: watch.clone(), peer, method: method.into(), params_bytes, began: read_clock(), is_over: false }
    }

    /// The same, for a call that outlives its request; the peer is forgotten.
    fn into_owned(mut self) -> During<'static, W> {
        self.is_over = true;
        let method = Cow::Owned(self.method.clone().into_owned());
        let (watch, params_bytes, began) = (self.watch.clone(), self.params_bytes, self.began);
        During { watch, peer: None, method, params_bytes, began, is_over: false }
    }

    fn end(mut self, ending: Ending<'_>, answer_bytes: usize) {
        self.tell(ending, answer_bytes);
    }

    fn tell(&mut self, ending: Ending<'_>, answer_bytes: usize) {
        self.is_over = true;
        self.watch.ended(&Watched {
            peer: self.peer,
            method: &self.method,
            params_bytes: self.params_bytes,
            answer_bytes,
            took: read_clock().saturating_duration_since(self.began),
            ending,
        });
    }
}

impl<W: Watch> Drop for During<'_, W> {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Ending::CutOff, 0);
        }
    }
}

impl<W: Watch> Companion for During<'_, W> {
    fn finish(self, result: &Result<Encoded, CallError>) {
        match result {
            Ok(answer) => self.end(Ending::Succeeded, answer.as_bytes().len()),
            Err(error) => self.end(Ending::NoResult(error), 0),
        }
    }
}
