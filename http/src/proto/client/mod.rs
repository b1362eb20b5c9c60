//! The client half of HTTP/1.1 (RFC 9110, RFC 9112) as bytes to meaning and back, without I/O.
//!
//! ```text
//!  Url, method, headers ──► RequestHead ──► bytes out
//!
//!  bytes in ──► ResponseParser ──► ReceivedHead ── ResponseFraming ──► ResponseDecoder ──► body, trailers
//! ```
//!
//! It is as strict as the server's half, whose grammar of header lines and chunks it uses: an answer whose end could be
//! read in two ways is refused, since what comes after it would be taken for the answer to another request.
//! What is lenient is said where it is: a status line may lack its last space, and a 204 may claim a length.
//!
//! Absent: HTTP/0.9, interim answers' meaning (they are told apart and left), transfer codings other than `chunked`,
//! content codings, obsolete line folding.
//!
//! In reading order: `url` is what is asked for; `request` writes the question; `status_line`, `head` and `framing` read
//! the answer's head, and `body` what follows; `malformed` is what can be wrong with it.

mod url;
mod request;

mod status_line;
mod head;
mod framing;
mod body;

mod malformed;
mod request_error;
mod url_error;

#[cfg(test)]
mod tests;

pub use self::body::ResponseDecoder;
pub use self::head::{HeadLimits, ReceivedHead, ResponseParser};
pub use self::malformed::{MalformedResponse, StatusLineFault};
pub use self::request::{RequestBody, RequestHead};
pub use self::request_error::RequestError;
pub use self::url::{Host, Origin, Scheme, Url};
pub use self::url_error::UrlError;
