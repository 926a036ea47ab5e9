//! [`StaticData`] on Sqlite.

use async_trait::async_trait;

use super::Sqlite;
use crate::store::StaticData;

#[async_trait]
impl StaticData for Sqlite {}
