//! wanderer
