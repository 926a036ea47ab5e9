//! ESI from outside: its limits against a counting server, its client against one that misbehaves, and the stage that uses it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod limits;
