//! What a store keeps of static data.

use async_trait::async_trait;

/// Static data in the store.
#[async_trait]
pub trait StaticData {}
