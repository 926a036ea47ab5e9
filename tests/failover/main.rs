//! Two feeds as one, on a paused clock: what goes on when, and that nothing is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

mod contract;
mod losing;
mod serving;
mod sharing;
mod world;
