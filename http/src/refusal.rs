//! A request that is not handled: which status, and why, for the peer and for the log.

use http::StatusCode;

use crate::proto::HeadError;
use crate::request::Request;
use crate::response::Response;

/// Why a request is not handled.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn of_head(error: &HeadError) -> Refusal {
        Refusal { status: error.status(), why: error.to_string() }
    }

    pub(crate) fn of_unread_body(request: &Request<'_>) -> Refusal {
        let most = request.reply.shared.limits.discard_bytes;
        let why = format!("request body: longer than the {most} bytes that are thrown away before an upgrade");
        Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, why }
    }

    pub(crate) fn internal() -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, why: "the server failed to answer".to_owned() }
    }

    pub(crate) fn response(&self) -> Response {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        Response::text(format!("{} {reason}: {}\n", self.status.as_u16(), self.why)).status(self.status)
    }
}
