//! Seeded simulation of the engine.
fn main() {}
