//! What a program gives the server: a function from requests to responses.

use std::io;

use http::StatusCode;

use crate::request::Request;
use crate::response::Response;

/// Answers requests. Any `Fn(&mut Request<'_>) -> impl IntoResponse` does.
///
/// It is called on the connection's own coroutine and may wait as it likes: only its own connection waits with it.
/// It owns what it keeps, since the connection between two requests has no stack to keep anything on.
/// A panic in it answers 500 and is reported; nothing else suffers.
pub trait Handler: 'static {
    /// Answers one request.
    fn handle(&self, request: &mut Request<'_>) -> Response;
}

impl<F, R> Handler for F
where
    F: Fn(&mut Request<'_>) -> R + 'static,
    R: IntoResponse,
{
    fn handle(&self, request: &mut Request<'_>) -> Response {
        self(request).into_response()
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for StatusCode {
    /// The status, with its reason phrase as a text body where the status allows one.
    fn into_response(self) -> Response {
        let reason = self.canonical_reason().unwrap_or_default();
        Response::text(format!("{reason}\n")).status(self)
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for () {
    /// 204 No Content.
    fn into_response(self) -> Response {
        Response::new(StatusCode::NO_CONTENT)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for io::Error {
    /// 500 without a word on why for the peer, and a line on stderr for the operator.
    ///
    /// There is no such line when it was the peer who failed, by a body that cannot be read or a response it did not take;
    /// for a bad body it gets the fitting status.
    fn into_response(self) -> Response {
        let response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        Response { failure: Some(self), ..response }
    }
}

impl IntoResponse for http::Response<Vec<u8>> {
    fn into_response(self) -> Response {
        let (parts, body) = self.into_parts();
        let mut response = Response::new(parts.status).body(body);
        for (name, value) in &parts.headers {
            response = response.header(name, value);
        }
        response
    }
}
