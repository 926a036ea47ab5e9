//! stages

pub mod decode;
pub mod deduplicate;
