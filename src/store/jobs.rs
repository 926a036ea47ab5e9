//! What a store keeps of the price cache job.

use async_trait::async_trait;

/// The job in the store.
#[async_trait]
pub trait Jobs {}
