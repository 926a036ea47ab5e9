//! The client that all others are built on, against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod downloads;
#[allow(dead_code, reason = "shared with the tests of feeds, which need more of it")]
#[path = "../feeds/server.rs"]
mod server;

use std::num::NonZeroU32;
use std::time::Duration;

use broadside::clients::service::{Manners, Service};

/// Longer than anything here takes, but for what never comes.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const MANNERS: Manners = Manners {
    name: "test",
    per_second: None,
    concurrency: 4,
    body_max: 1000,
    call_timeout: Duration::from_secs(100),
    read_timeout: READ_TIMEOUT,
    headers: &[("x-compatibility-date", "2025-12-16")],
};

pub(crate) fn service(url: &str) -> Service {
    Service::new(url, Some("me@example.com"), &MANNERS).unwrap()
}

pub(crate) fn paced(url: &str, per_second: u32) -> Service {
    let manners = Manners { per_second: NonZeroU32::new(per_second), ..MANNERS };
    Service::new(url, None, &manners).unwrap()
}
