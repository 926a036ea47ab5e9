//! Broadside: a stream-processing pipeline worker for EVE Online's killmails and markets.

pub mod cli;
pub mod clients;
pub mod dead_letter;
pub mod definition;
pub mod duration;
pub mod http;
pub mod hub;
pub mod killmail;
pub mod resources;
pub mod settings;
pub mod simulator;
pub mod sinks;
pub mod sources;
pub mod stages;
pub mod store;
pub mod telemetry;

#[cfg(test)]
extern crate self as broadside;
/// Shared with `tests/web`.
#[cfg(test)]
#[path = "../tests/web/memory_store.rs"]
mod memory_store;
