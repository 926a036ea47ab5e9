//! [`Jobs`] on PostgreSQL.

use async_trait::async_trait;

use super::Postgres;
use crate::store::Jobs;

#[async_trait]
impl Jobs for Postgres {}
