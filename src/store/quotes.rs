//! What a store keeps of prices.

use async_trait::async_trait;

/// Quotes in the store.
#[async_trait]
pub trait Quotes {}
