//! Settings that are not a pipeline's.
