//! Surveillance profiles.

use async_trait::async_trait;

use super::Postgres;
use crate::store::Profiles;

#[async_trait]
impl Profiles for Postgres {}
