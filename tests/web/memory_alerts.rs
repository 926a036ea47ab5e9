//! Alerts that are to be delivered in memory.

use async_trait::async_trait;
use broadside::store::Alerts;

use super::MemoryStore;

#[async_trait]
impl Alerts for MemoryStore {}
