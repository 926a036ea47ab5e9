//! The index of profiles: that it says what the interpreter says, and how little it does for it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod draw;
mod equality;
mod gates;
mod watching;
mod world;
