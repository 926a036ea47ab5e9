//! `pubsub`: publishes kills to live readers in this process, on the topics `all`, `system:<id>` and `profile:<id>`.
//!
//! It cannot fail and never waits: a reader that is too slow is told what it missed. Place it `after` the database, so that nothing
//! is published that is not stored.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};

use crate::hub::{Event, Hub};
use crate::killmail::Kill;
use crate::resources::Resources;

/// `sink.pubsub = {}`.
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
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
        for message in messages {
            let kill = &message.payload;
            match &kill.mail {
                Some(mail) => {
                    self.hub.publish(Event::new(kill.event_id, mail.clone()).matched_by(kill.matches.clone()));
                }
                None => message.fail(Failure::invalid("publish a kill that no stage has decoded")),
            }
        }
        Ok(())
    }
}
