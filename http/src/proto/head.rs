//! A parsed request head: positions in the read buffer and what framing found.
//!
//! It owns no bytes and borrows none, so one is kept with the connection and used for request after
//! request without allocating.
//! [`HeadView`](super::HeadView) joins it with the buffer to read it.

use super::framing::BodyFraming;
use super::span::Span;
use super::target::TargetForm;

/// A version this crate speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// The methods that change how a message is read or written; handlers match on the method's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodKind {
    /// HEAD: the response has no body.
    Head,
    /// CONNECT: the target is an authority, and success turns the connection into a tunnel.
    Connect,
    /// OPTIONS: the target may be `*`.
    Options,
    /// Any other, known or not.
    #[default]
    Other,
}

impl MethodKind {
    /// Methods are compared with regard to case: RFC 9110 section 9.1.
    #[inline]
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// A request head, as positions in the buffer it was parsed from.
///
/// Invariant: all positions lie within the first [`len`](Self::len) bytes of that buffer.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub(super) len: usize,
    pub(super) method: Span,
    pub(super) method_kind: MethodKind,
    pub(super) target: Span,
    pub(super) form: TargetForm,
    pub(super) path: Span,
    pub(super) version: Version,
    pub(super) headers: Vec<HeaderSpan>,
    pub(super) host: Option<Span>,
    pub(super) body: BodyFraming,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
    pub(super) upgrade: bool,
}

/// Where one header's name and value are.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderSpan {
    pub(super) name: Span,
    pub(super) value: Span,
}

impl RequestHead {
    /// An empty head, to be filled by [`HeadParser::parse`](super::HeadParser::parse).
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the request and keeps the memory for the next.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Self { headers, ..Self::default() };
    }

    /// How many bytes of the buffer the head takes, empty lines before it included; the body
    /// follows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no request has been parsed into it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which of the methods it is that framing has to know.
    pub fn method_kind(&self) -> MethodKind {
        self.method_kind
    }

    /// The form of the request target.
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// The version the client speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many header lines there are.
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    /// Where the body ends.
    pub fn body(&self) -> BodyFraming {
        self.body
    }

    /// Whether the client wants the connection to go on after the response (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends its body.
    ///
    /// False where there is no body, and for HTTP/1.0, as RFC 9110 section 10.1.1 demands.
    pub fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// Whether the client offers another protocol: an `Upgrade` header with the connection option
    /// that goes with it, on HTTP/1.1 (RFC 9110 section 7.8).
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }
}
