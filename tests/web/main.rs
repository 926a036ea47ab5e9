//! What is served over HTTP, through real sockets.

#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod clients;
mod dead_letters;
mod health;
mod history;
mod hub;
mod live;
mod market;
mod memory_store;
mod metrics;
mod names;
mod openapi;
mod pages;
mod polls;
mod prices;
mod profiles;
mod reload;
mod replays;
#[path = "../postgres/mod.rs"]
mod server;
mod sinks;
mod socket;
mod sockets;
mod sqlite;
mod streams;
mod topics;
mod waiting;
mod world;
