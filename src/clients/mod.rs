//! clients

pub mod wanderer;
