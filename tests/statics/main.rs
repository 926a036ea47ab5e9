//! Static data: reading every form of them whole or not at all, and learning what they lack.

#![allow(clippy::unwrap_used, reason = "tests")]

mod alone;
mod broken;
mod files;
mod reading;
#[allow(dead_code, reason = "each test binary uses its part")]
#[path = "../esi/server.rs"]
mod server;
mod unknowns;
