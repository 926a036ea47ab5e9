//! The kills pipeline's own parts from outside: reading kills, filtering copies, files, the generator.

#![allow(clippy::unwrap_used, reason = "tests")]

mod decode;
mod file;
mod generator;
mod stages;
