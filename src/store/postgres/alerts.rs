//! Alerts that are to be delivered.

use async_trait::async_trait;

use super::Postgres;
use crate::store::Alerts;

#[async_trait]
impl Alerts for Postgres {}
