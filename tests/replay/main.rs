//! Dead letters sent again: from where they failed, tried without a trace, stopped, claimed by one of many, and by themselves.
#![allow(clippy::unwrap_used, missing_debug_implementations)]

mod plans;
mod retries;
mod trials;
mod world;
