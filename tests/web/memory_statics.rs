//! [`StaticData`] in memory.

use async_trait::async_trait;
use broadside::store::StaticData;

use super::MemoryStore;

#[async_trait]
impl StaticData for MemoryStore {}
