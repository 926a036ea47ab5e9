//! [`Jobs`] in memory.

use async_trait::async_trait;
use broadside::store::Jobs;

use super::MemoryStore;

#[async_trait]
impl Jobs for MemoryStore {}
