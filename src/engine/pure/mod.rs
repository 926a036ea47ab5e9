//! The engine's rules as plain values: no tasks, no I/O, and time is an argument.

pub(crate) mod accumulator;
pub(crate) mod breaker;
pub(crate) mod failure_share;
pub(crate) mod latency;
pub(crate) mod low_watermark;
pub(crate) mod partition;
pub(crate) mod rate_limiter;
pub(crate) mod restart_budget;
