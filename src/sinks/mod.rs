//! sinks

pub mod blackhole;
pub mod database;
pub mod pubsub;
