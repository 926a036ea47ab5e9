//! `pubsub`: tells the live readers of this process that kills were stored, so that they get them at once.
//!
//! It cannot fail and never waits. Readers take what is new from the database, in its order: place it `after` that.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};

use crate::hub::Hub;
use crate::killmail::Kill;
use crate::resources::Resources;

/// `sink.pubsub = {}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Builds the sink.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        Arc::new(PubSub { hub: resources.hub.clone() })
    }
}

#[derive(Debug)]
struct PubSub {
    hub: Arc<Hub>,
}

#[async_trait]
impl Sink<Kill> for PubSub {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages.iter_mut().filter(|message| message.payload.mail.is_none()) {
            message.fail(Failure::invalid("publish a kill that no stage has decoded"));
        }
        if messages.iter().any(Message::is_active) {
            self.hub.publish();
        }
        Ok(())
    }
}
