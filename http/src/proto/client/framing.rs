//! Where an answer's body ends, decided from its headers, its status and the request's method (RFC 9112 section 6.3).
//!
//! ```text
//! status, request             Transfer-Encoding?  Content-Length?
//! 1xx                            yes, or a length other than 0      refused
//! 204, 304, any to HEAD          any                 any            no body
//! other                          no                  no             until the connection is closed
//!                                no                  one number     that many bytes
//!                                chunked             no             chunked
//!                                chunked             yes            refused
//!                                else                               refused
//! ```
//!
//! RFC 9112 lets a client take equal lengths for one, prefer Transfer-Encoding to a length, and read a body in an
//! unknown coding until the connection is closed. We refuse: a cache or proxy in between may have chosen otherwise.
//! What contradicts itself is refused for 204, 304 and HEAD as well, although no body follows.

use http::header::{HeaderMap, TRANSFER_ENCODING};

use super::super::keep_alive::{ConnectionOptions, list_members};
use super::super::response::ResponseFraming;
use super::super::{MethodKind, Version, decimal};
use super::malformed::MalformedResponse;
use super::status_line::StatusLine;

/// The headers that framing and persistence are decided from, as they are met.
#[derive(Debug, Default)]
pub(super) struct FramingHeaders {
    content_length: Option<u64>,
    /// Where the first of them is.
    transfer_encoding: Option<usize>,
    connection: ConnectionOptions,
}

impl FramingHeaders {
    /// Takes note of a header if it is one of ours.
    pub(super) fn add(&mut self, name: &str, value: &[u8], at: usize) -> Result<(), MalformedResponse> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = decimal::parse(value).ok_or(MalformedResponse::InvalidContentLength { at })?;
            if self.content_length.replace(length).is_some() {
                return Err(MalformedResponse::RepeatedContentLength { at });
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.transfer_encoding.get_or_insert(at);
        } else if name.eq_ignore_ascii_case("connection") {
            self.connection.add(value);
        }
        Ok(())
    }

    /// Decides, once all headers are in: how the body follows, and whether the connection goes on after it.
    pub(super) fn decide(
        self,
        headers: &HeaderMap,
        line: StatusLine,
        method: MethodKind,
    ) -> Result<(ResponseFraming, bool), MalformedResponse> {
        let said = match (self.transfer_encoding, self.content_length) {
            (None, None) => ResponseFraming::UntilClose,
            (None, Some(length)) => ResponseFraming::Length(length),
            (Some(at), Some(_)) => return Err(MalformedResponse::LengthAndTransferEncoding { at }),
            (Some(at), None) => {
                check_transfer_encoding(headers, at, line.version)?;
                ResponseFraming::Chunked
            }
        };
        let claims_body = !matches!(said, ResponseFraming::UntilClose | ResponseFraming::Length(0));
        let persists = self.connection.persists(line.version);
        match (line.status.as_u16(), method) {
            (100..=199, _) if claims_body => Err(MalformedResponse::InterimWithBody),
            (100..=199, _) => Ok((ResponseFraming::None, true)),
            // RFC 9110 section 8.6: a 204 MUST NOT claim a length. Should its body follow all the same, it is not
            // taken for the next answer.
            (204, _) => Ok((ResponseFraming::None, persists && !claims_body)),
            (304, _) | (_, MethodKind::Head) => Ok((ResponseFraming::None, persists)),
            _ => Ok((said, persists && said != ResponseFraming::UntilClose)),
        }
    }
}

/// Passes `chunked` alone.
fn check_transfer_encoding(headers: &HeaderMap, at: usize, version: Version) -> Result<(), MalformedResponse> {
    if version == Version::Http10 {
        return Err(MalformedResponse::TransferEncodingOnHttp10 { at });
    }
    let values = headers.get_all(TRANSFER_ENCODING);
    let codings = || values.iter().flat_map(|value| list_members(value.as_bytes()));
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match (codings().filter(|coding| is_chunked(coding)).count(), codings().count()) {
        (1, 1) => Ok(()),
        (2.., _) => Err(MalformedResponse::ChunkedRepeated { at }),
        _ => Err(MalformedResponse::UnsupportedTransferCoding { at }),
    }
}
