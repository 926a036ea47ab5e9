//! A request's body: JSON, and not much of it.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::profile::document;

/// Bytes of a body at most.
const BODY_MAX: usize = 64 * 1024;

/// The body as what it says.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        check(&head.headers, BODY_MAX)?;
        let body = read(body, BODY_MAX).await?;
        let read = serde_json::from_slice(&body);
        read.map(Self).map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}")))
    }
}

/// The body as the text of a surveillance profile, which may be longer.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

impl<S: Sync> FromRequest<S> for Text {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        check(&head.headers, document::BYTES_MAX)?;
        let body = read(body, document::BYTES_MAX).await?;
        String::from_utf8(body).map(Self).map_err(|_| ApiError::bad_request("the body is not UTF-8"))
    }
}

fn check(headers: &HeaderMap, most: usize) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    // A form or plain text a browser may send anywhere unasked; this it may not.
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::unsupported_media_type("the body must be application/json"));
    }
    let is_large = text(CONTENT_LENGTH).parse::<u64>().is_ok_and(|length| length > most as u64);
    if is_large { Err(too_large(most)) } else { Ok(()) }
}

/// Whatever length was announced.
async fn read(body: axum::body::Body, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::bad_request("the body broke off"))?;
        if bytes.len() + piece.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn too_large(most: usize) -> ApiError {
    ApiError::too_large(format!("a body has {most} bytes at most"))
}
