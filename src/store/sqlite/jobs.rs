//! [`Jobs`] on Sqlite.

use async_trait::async_trait;

use super::Sqlite;
use crate::store::Jobs;

#[async_trait]
impl Jobs for Sqlite {}
