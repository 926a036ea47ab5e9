//! Alerts that are to be delivered.

use async_trait::async_trait;

use super::Sqlite;
use crate::store::Alerts;

#[async_trait]
impl Alerts for Sqlite {}
