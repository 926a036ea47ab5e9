//! The market pipeline as it ships, over real sockets: the simulator's ESI on one side, a SQLite file on the other.

#![allow(clippy::unwrap_used, reason = "tests")]

mod regions;
mod step;
mod world;
