//! The engine's workers: one box of the picture, one file.

pub(crate) mod batch_processor;
pub(crate) mod batcher;
pub(crate) mod crew;
pub(crate) mod drain;
pub(crate) mod fence;
pub(crate) mod processor;
pub(crate) mod producer;
pub(crate) mod queue;
