//! Delivering alerts: the client and the courier against receivers that misbehave.

#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod courier;
#[path = "../web/memory_store.rs"]
mod memory_store;
mod receiver;
mod sinks;
mod world;
