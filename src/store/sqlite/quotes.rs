//! [`Quotes`] on Sqlite.

use async_trait::async_trait;

use super::Sqlite;
use crate::store::Quotes;

#[async_trait]
impl Quotes for Sqlite {}
