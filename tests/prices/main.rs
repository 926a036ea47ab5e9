//! The price cache job as it ships, against a Janice of our own: what it asks for, how it obeys, and what it makes of interruptions.

#![allow(clippy::unwrap_used, reason = "tests")]

mod faults;
mod janice;
#[path = "../web/memory_store.rs"]
mod memory_store;
mod runs;
mod world;
