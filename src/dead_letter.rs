//! What failed, kept.
