//! Surveillance profiles in memory.

use async_trait::async_trait;
use broadside::store::Profiles;

use super::MemoryStore;

#[async_trait]
impl Profiles for MemoryStore {}
