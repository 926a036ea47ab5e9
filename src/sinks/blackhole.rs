//! `blackhole`: swallows batches, at once or after a delay. For benches, and to see what backpressure does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};

use crate::duration::Span;

/// `sink.blackhole = { delay = "10ms" }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a batch takes; none: no time.
    pub delay: Option<Span>,
}

impl Config {
    /// Builds the sink, of any payload.
    #[must_use]
    pub fn build<T: Send + 'static>(&self) -> Arc<dyn Sink<T>> {
        Arc::new(Blackhole { delay: self.delay.map_or(Duration::ZERO, Duration::from) })
    }
}

#[derive(Debug)]
struct Blackhole {
    delay: Duration,
}

#[async_trait]
impl<T: Send + 'static> Sink<T> for Blackhole {
    async fn deliver(&self, _batch: &Batch, _messages: &mut [Message<T>]) -> Result<(), Failure> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(())
    }
}
