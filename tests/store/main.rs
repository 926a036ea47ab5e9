//! Stores: one suite of promises that every engine keeps ([`contract`]), and what is each engine's own.

#![allow(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod contract;
mod events;
mod findings;
mod jobs;
mod kills;
mod letters;
mod market;
mod matches;
#[path = "../web/memory_store.rs"]
mod memory_store;
mod offsets;
mod pipeline;
mod postgres;
mod profiles;
mod quotes;
mod rehearsals;
#[path = "../postgres/mod.rs"]
mod server;
mod sqlite;
mod statics;

use std::time::Duration;

use broadside::store::Options;

/// Bounds that only what hangs comes to: a busy machine takes its time.
pub(crate) fn patient() -> Options {
    Options { busy_timeout: Duration::from_secs(60), call_timeout: Duration::from_secs(120) }
}
