//! [`Quotes`] in memory.

use async_trait::async_trait;
use broadside::store::Quotes;

use super::MemoryStore;

#[async_trait]
impl Quotes for MemoryStore {}
