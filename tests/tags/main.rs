//! What a kill is: tags of fits, zKillboard's rules, the measures, the tables of rules, and the stage that applies them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fits;
mod flags;
mod labels;
mod measures;
mod points;
#[path = "../esi/server.rs"]
#[allow(dead_code, reason = "shared with the tests of ESI, which need all of it")]
mod server;
mod stage;
mod tables;
mod world;
