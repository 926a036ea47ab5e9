//! The program as people run it: the real binary, its exit codes and what it prints.

mod away;
mod backfill;
mod commands;
mod demo;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../history/server.rs"]
mod history;
#[path = "../prices/janice.rs"]
mod janice;
mod market;
mod partitions;
mod prices;
mod program;
mod run;
#[path = "../postgres/mod.rs"]
mod server;
