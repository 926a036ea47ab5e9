//! Who may change something. Every request but those that only read (GET, HEAD, OPTIONS) goes through here; and so do polls of the killfeed, which are
//! GETs that move offsets.
//!
//! | the worker listens | without a token | with `BROADSIDE_API_TOKEN` |
//! |---|---|---|
//! | on this machine alone | allowed, when it is asked by an IP address or as `localhost` | `Authorization: Bearer …` must match |
//! | beyond | refused | the same |
//!
//! A web page of another site is refused either way: a browser sends its requests as if its user had. That is also why, without a token, the
//! name in `Host` counts: a site may let its own name point to this machine, and is then no other site to the browser.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::error::ApiError;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rules for requests that change something. The default refuses all of them.
#[derive(Clone, Default)]
pub struct Access {
    is_loopback: bool,
    token: Option<Arc<str>>,
}

impl Access {
    /// For a worker that listens there, with the operator's token if there is one.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Option<&str>) -> Self {
        // From a file, it often ends with a new line.
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        Self { is_loopback: listen.ip().is_loopback(), token: token.map(Arc::from) }
    }

    /// Whether a page of another site asks.
    pub(super) fn check_site(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        same_site(headers, single(headers, &HOST)?)
    }

    /// Whether these headers are of somebody who may change something.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = single(headers, &HOST)?;
        same_site(headers, host)?;
        match &self.token {
            Some(token) if has(headers, token)? => Ok(()),
            Some(_) => Err(ApiError::unauthorized("Authorization: Bearer with the worker's API token is needed")),
            None if !self.is_loopback => Err(ApiError::forbidden(
                "it listens beyond its own machine, and BROADSIDE_API_TOKEN is not set: it can only be read",
            )),
            None if host.is_some_and(is_this_machine) => Ok(()),
            None => Err(ApiError::forbidden("without an API token, it must be asked by an IP address or as localhost")),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Access").field("is_loopback", &self.is_loopback).field("token", &token).finish()
    }
}

pub(super) async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            tracing::debug!(method = %request.method(), path = request.uri().path(), ?error, "refused a change");
            error.into_response()
        }
    }
}

/// A header that may be there once; which of two would count is anyone's guess.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map(str::trim)).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(ApiError::bad_request(format!("the header {name} must be there once, as text"))),
    }
}

fn same_site(headers: &HeaderMap, host: Option<&str>) -> Result<(), ApiError> {
    let refused = || ApiError::forbidden("a page of another site may not change anything");
    if single(headers, &SITE)?.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(refused());
    }
    let Some(origin) = single(headers, &ORIGIN)? else { return Ok(()) };
    let origin = origin.parse::<Uri>().ok().filter(|origin| origin.scheme().is_some());
    let origin = origin.as_ref().and_then(Uri::authority).map(Authority::as_str);
    match origin.zip(host) {
        Some((origin, host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(refused()),
    }
}

/// Whether the token is there. How long it takes says nothing of how much of it was right (but may of its length).
fn has(headers: &HeaderMap, token: &str) -> Result<bool, ApiError> {
    let given = single(headers, &AUTHORIZATION)?.and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, given)| given.trim());
    Ok(given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.as_bytes()))))
}

/// Names that no site can make its own.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_and_blanks_around_it_do_not_count() {
        let access = Access::new(([127, 0, 0, 1], 1).into(), Some(" hunter2\n"));
        assert_eq!(access.token.as_deref(), Some("hunter2"));
        assert!(!format!("{access:?}").contains("hunter2"));
        assert!(Access::new(([127, 0, 0, 1], 1).into(), Some(" \n")).token.is_none());
    }

    #[test]
    fn only_addresses_and_localhost_are_this_machine() {
        for (host, expected) in [
            ("127.0.0.1:4010", true),
            ("[::1]:4010", true),
            ("LocalHost", true),
            ("192.168.1.5:4010", true),
            ("localhost.example.com", false),
            ("localhost.", false),
            ("me@127.0.0.1.example.com", false),
            ("127.0.0.1.example.com:4010", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }
}
