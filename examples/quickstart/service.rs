//! The service: a function from requests to responses, which waits wherever it likes.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use grapeshot::dns::{LookupErrorKind, Resolver};
use grapeshot::http::{Handler, Request, Response, StatusCode};
use grapeshot::{coroutines, sleep};

/// How long a request may ask us to sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

const STREAMED_LINES: u32 = 5;

/// Rows of the list of coroutines; a busy server has more than anybody reads.
const LISTED: usize = 1000;

/// What requests share is simply there: all coroutines of a server run on one thread, one at a time.
///
/// `authority` is the certificate that a client is to trust, in PEM.
pub(crate) fn handler(authority: String) -> impl Handler {
    let served = Cell::new(0);
    move |request: &mut Request<'_>| {
        served.set(served.get() + 1);
        match request.path() {
            "/authority.pem" => Ok(Response::text(authority.clone())),
            _ => answer(request, served.get()),
        }
    }
}

/// An error returned from here becomes a 500 and a line on stderr; the server answers for the limits itself.
fn answer(request: &mut Request<'_>, number: u64) -> io::Result<Response> {
    match request.path() {
        "/" => Ok(hello(request, number)),
        "/echo" => echo(request),
        "/panic" => panic!("request number {number} asked for it"),
        "/stream" => stream(request),
        "/coroutines" => Ok(Response::text(list_coroutines())),
        path => Ok(match path.split_at(path.rfind('/').map_or(0, |last| last + 1)) {
            ("/sleep/", seconds) => sleep_for(seconds),
            ("/lookup/", host) => lookup(host),
            _ => Response::text("There is nothing here.\n").status(StatusCode::NOT_FOUND),
        }),
    }
}

fn hello(request: &Request<'_>, number: u64) -> Response {
    let way = if request.is_tls() { "over TLS" } else { "without TLS" };
    Response::text(format!("Hello from Grapeshot. This is request number {number}, and it came {way}.\n"))
}

/// Asks whom this machine asks; only the request at hand waits for the answer.
fn lookup(host: &str) -> Response {
    match Resolver::of_thread().resolve(host) {
        Ok(host) => Response::text(host.addresses().map(|address| format!("{address}\n")).collect::<String>()),
        Err(error) => {
            let status = match error.kind() {
                LookupErrorKind::BadName(_) => StatusCode::BAD_REQUEST,
                _ if error.is_absence() => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_GATEWAY,
            };
            Response::text(format!("{error}\n")).status(status)
        }
    }
}

fn echo(request: &mut Request<'_>) -> io::Result<Response> {
    let mut body = Vec::new();
    request.body().read_to_end(&mut body)?;
    Ok(Response::bytes(body))
}

fn sleep_for(seconds: &str) -> Response {
    let duration = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match duration {
        Some(duration) if duration <= LONGEST_SLEEP => {
            sleep(duration);
            Response::text(format!("Slept for {duration:?}.\n"))
        }
        _ => Response::text(format!("/sleep/SECONDS takes a number from 0 to {}.\n", LONGEST_SLEEP.as_secs()))
            .status(StatusCode::BAD_REQUEST),
    }
}

fn stream(request: &mut Request<'_>) -> io::Result<Response> {
    let head = Response::new(StatusCode::OK).header("content-type", "text/plain; charset=utf-8");
    let (_, mut writer) = request.stream(head)?;
    for line in 1..=STREAMED_LINES {
        if line > 1 {
            sleep(Duration::from_secs(1));
        }
        writeln!(writer, "line {line} of {STREAMED_LINES}")?;
        writer.flush()?;
    }
    writer.finish()
}

fn list_coroutines() -> String {
    let all = coroutines();
    let mut list = format!("{} coroutines\n", all.len());
    for coroutine in all.iter().take(LISTED) {
        // Writing to a string does not fail.
        let _ = writeln!(list, "{coroutine}");
    }
    list
}
