//! What a store keeps of alerts that are to be delivered.

use async_trait::async_trait;

/// Alerts that are to be delivered.
#[async_trait]
pub trait Alerts {}
