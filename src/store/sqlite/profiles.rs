//! Surveillance profiles.

use async_trait::async_trait;

use super::Sqlite;
use crate::store::Profiles;

#[async_trait]
impl Profiles for Sqlite {}
