//! `webhook`: tells the targets of surveillance profiles of the kills that they match.
//!
//! It sends nothing itself, so it cannot fail and never waits for a target. Alerts are rows of the database, made in the transaction that stores their kill; this sink, `after` all others,
//! rings for the courier ([`crate::courier`]), which runs beside the pipeline. Of kills that the database has from before (dead letters that are replayed), it makes the rows.

mod rehearsal;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::courier::{Desk, Settings};
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::store::{Error, NewAlert, Store, retry};
use crate::surveillance::Surveillance;

/// `sink.webhook = { max_age = "1h", digest_above = 30, … }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub Settings);

impl Config {
    /// Builds the sink. From now on alerts are made out.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        resources.desk.open(self.0.max_age());
        Arc::new(Webhook {
            store: resources.store.clone(),
            desk: resources.desk.clone(),
            surveillance: resources.surveillance.clone(),
        })
    }

    /// What stands in its place where kills are only tried out.
    #[must_use]
    pub fn rehearse(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        let (desk, surveillance) = (resources.desk.clone(), resources.surveillance.clone());
        Arc::new(rehearsal::Rehearsal { desk, surveillance })
    }
}

#[derive(Debug)]
struct Webhook {
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
    surveillance: Arc<Surveillance>,
}

#[async_trait]
impl Sink<Kill> for Webhook {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        let (now, mut again) = (Timestamp::now(), Vec::new());
        for message in messages.iter() {
            let kill = &message.payload;
            let (Some(mail), None) = (&kill.mail, &kill.alerts) else { continue };
            let notices = self.desk.notices(kill, &self.surveillance, now).unwrap_or_default();
            again.extend(notices.into_iter().map(|notice| NewAlert {
                event_id: kill.event_id,
                killmail_id: mail.killmail_id,
                killmail_time: mail.killmail_time,
                profile_id: notice.profile_id,
                target: notice.target,
            }));
        }
        if !again.is_empty() {
            // Whoever replays them wants them told, also to a target that had refused too often.
            let call = || async {
                for target in again.iter().map(|alert| alert.target).collect::<BTreeSet<_>>() {
                    self.store.enable_target(target).await?;
                }
                self.store.add_alerts(&again).await
            };
            retry::hold(self.store.health(), "make alerts out", call).await.map_err(failure)?;
        }
        self.desk.ring();
        Ok(())
    }
}

fn failure(error: Error) -> Failure {
    let text = format!("make alerts out: {error}");
    match error {
        Error::Data { .. } => Failure::invalid(text),
        Error::Transient(_) => Failure::transient(text),
        Error::Permanent(_) => Failure::permanent(text),
    }
}
