//! The engine's workers: one box of the picture, one file.
pub(crate) mod fence;
