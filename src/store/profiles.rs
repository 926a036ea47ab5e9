//! What a store keeps of surveillance profiles.

use async_trait::async_trait;

/// Surveillance profiles.
#[async_trait]
pub trait Profiles {}
