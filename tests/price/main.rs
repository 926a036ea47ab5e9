//! Prices from outside: whom the stage asks and in which order, against services that misbehave.

#![allow(clippy::unwrap_used, reason = "tests")]

mod abyssal;
mod budget;
mod chain;
mod days;
mod faults;
#[path = "../web/memory_store.rs"]
mod memory_store;
#[path = "../esi/server.rs"]
#[allow(dead_code, reason = "shared")]
mod server;
mod settings;
mod world;
