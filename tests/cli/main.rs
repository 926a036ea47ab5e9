//! The program as people run it: the real binary, its exit codes and what it prints.

#![allow(clippy::unwrap_used, reason = "tests")]

mod away;
mod backfill;
mod commands;
mod demo;
mod dlq;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../history/server.rs"]
mod history;
#[path = "../prices/janice.rs"]
mod janice;
mod market;
mod partitions;
mod prices;
mod profiles;
mod program;
mod reload;
mod run;
mod sde;
#[path = "../postgres/mod.rs"]
mod server;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../statics/files.rs"]
mod statics_files;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../esi/server.rs"]
mod statics_server;
mod tags;
