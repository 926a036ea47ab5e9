//! The command line: one file per command.

pub mod backfill;
pub mod bench;
pub mod check;
pub mod demo;
pub mod dlq;
pub mod migrate;
pub mod run;
pub mod schema;
pub mod simulate;
