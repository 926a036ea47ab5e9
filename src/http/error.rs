//! The shape of every refusal: `{"error":{"code","message"}}` with the right status.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// A refusal as it is answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Refusal {
    error: Why,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Why {
    /// A word for programs: `bad_request`, `not_found`, …
    code: &'static str,
    /// A sentence for people.
    message: String,
}

/// A refusal.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "bad_request", message: message.into(), retry_after: None }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message: message.into(), retry_after: None }
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: "unauthorized", message: message.into(), retry_after: None }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "forbidden", message: message.into(), retry_after: None }
    }

    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, code, message: message.into(), retry_after: None }
    }

    pub(super) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code, message: message.into(), retry_after: None }
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, code: "too_large", message: message.into(), retry_after: None }
    }

    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        let code = "unsupported_media_type";
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message: message.into(), retry_after: None }
    }

    /// Too often, or too many at once: try again after that time.
    pub(super) fn too_many(message: impl Into<String>, retry_after: Duration) -> Self {
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
        Self { status, code, message: message.into(), retry_after: Some(retry_after) }
    }

    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code, message: message.into(), retry_after: None }
    }

    /// For metrics: whose fault it is.
    pub(super) fn outcome(&self) -> &'static str {
        if self.status.is_server_error() { "failed" } else { "refused" }
    }

    pub(super) fn timeout() -> Self {
        Self::unavailable("timeout", "the answer took too long")
    }
}

impl From<crate::store::Error> for ApiError {
    /// The cause goes to the log: it may name hosts and paths.
    fn from(error: crate::store::Error) -> Self {
        tracing::warn!(%error, "failed to answer from the store");
        Self::unavailable("store", "the store did not answer")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Refusal { error: Why { code: self.code, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        let extra = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, HeaderValue::from_static("2"))),
            // Whole seconds, at least one.
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = self.retry_after.unwrap_or_default().as_secs() + 1;
                Some((RETRY_AFTER, HeaderValue::from(seconds)))
            }
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        };
        response.headers_mut().extend(extra);
        response
    }
}

/// For paths that are not there.
pub(super) async fn no_route() -> ApiError {
    ApiError::not_found("there is nothing at this path")
}

/// For paths that are there, asked with the wrong method.
pub(super) async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError { status: StatusCode::METHOD_NOT_ALLOWED, code: "method_not_allowed", message, retry_after: None }
}
