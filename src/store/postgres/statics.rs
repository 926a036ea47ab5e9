//! [`StaticData`] on PostgreSQL.

use async_trait::async_trait;

use super::Postgres;
use crate::store::StaticData;

#[async_trait]
impl StaticData for Postgres {}
