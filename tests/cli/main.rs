//! The program as people run it: the real binary, its exit codes and what it prints.

mod backfill;
mod commands;
mod demo;
mod program;
mod run;
