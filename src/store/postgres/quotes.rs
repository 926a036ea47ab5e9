//! [`Quotes`] on PostgreSQL.

use async_trait::async_trait;

use super::Postgres;
use crate::store::Quotes;

#[async_trait]
impl Quotes for Postgres {}
