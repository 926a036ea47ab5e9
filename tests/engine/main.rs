//! The engine by behaviour, through its public API on a paused clock. "A4" and the like name the rules of Broadway that a file holds the engine to.
#![allow(clippy::unwrap_used, missing_debug_implementations)]

mod acknowledgements;
mod batches;
mod breaker;
mod chains;
mod control;
mod drain;
mod failures;
mod groups;
mod in_flight;
mod kit;
mod panics;
mod partitions;
mod rate;
mod sources;
mod splitting;
mod status;
mod topologies;
mod tuning;
