//! The program as people run it: the real binary, its exit codes and what it prints.

mod away;
mod backfill;
mod commands;
mod demo;
mod partitions;
mod program;
mod run;
#[path = "../postgres/mod.rs"]
mod server;
