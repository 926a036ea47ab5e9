//! One delivery: what the parcel's profile says now, the kills as stored, the message, the answer, and the dead letter where a target refuses.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::desk::target_id;
use super::line::Parcel;
use super::message::{Content, compose};
use crate::clients::webhook::{Outcome, Webhook, shown};
use crate::killmail::{KillmailId, ProfileId, TargetId};
use crate::profile::document::{Format, Target};
use crate::statics::Shelf;
use crate::store::{Error, NewDeadLetter, Store, ToldKill, retry};
use crate::surveillance::Surveillance;

/// What refused alerts are kept as.
#[derive(Debug, Clone)]
pub struct Letters {
    pub pipeline: String,
    /// The batcher whose sink it is.
    pub batcher: String,
    /// All others: a replay goes to this one alone.
    pub others: Vec<String>,
}

/// What deliveries share.
#[derive(Debug)]
pub(super) struct Deliverer {
    pub(super) store: Arc<dyn Store>,
    pub(super) surveillance: Arc<Surveillance>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) client: Webhook,
    /// `None`: what is refused is not kept.
    pub(super) letters: Option<Letters>,
}

/// What a delivery came to.
#[derive(Debug)]
pub(super) enum Delivered {
    /// The first `count` alerts were taken.
    Taken { count: usize, pause: Option<Duration>, format: Format },
    /// To be sent again.
    Later { wait: Option<Duration>, reason: String, shown: String },
    /// The first `count` alerts were refused, and are kept as dead letters.
    Refused { count: usize, reason: String, shown: String },
    /// Nobody is to be told any more.
    Withdrawn,
    /// The store cannot say.
    Unknown(Error),
}

impl Deliverer {
    pub(super) async fn deliver(&self, target_id: TargetId, parcel: &Parcel) -> Delivered {
        match self.try_deliver(target_id, parcel).await {
            Ok(delivered) => delivered,
            Err(error) => Delivered::Unknown(error),
        }
    }

    async fn try_deliver(&self, id: TargetId, parcel: &Parcel) -> Result<Delivered, Error> {
        let Some((name, target)) = self.told(parcel.profile_id, id).await? else { return Ok(Delivered::Withdrawn) };
        let kills = self.kills(parcel, !parcel.is_digest).await?;
        let statics = self.shelf.current();
        let content = Content { name: &name, target: id, parcel, kills: &kills, statics: &statics };
        let Some(message) = compose(target.format, &content) else { return Ok(Delivered::Withdrawn) };
        Ok(match self.client.post(&target.url, &message.key, message.body).await {
            Outcome::Taken { pause } => Delivered::Taken { count: message.covers, pause, format: target.format },
            Outcome::Later { wait, reason } => Delivered::Later { wait, reason, shown: shown(&target.url) },
            Outcome::Refused { status, reason } => {
                let shown = shown(&target.url);
                self.keep(parcel, message.covers, status, &format!("tell {shown} of a match: {reason}")).await?;
                Delivered::Refused { count: message.covers, reason, shown }
            }
        })
    }

    /// The profile's name and target as they are now. What is not in use here may be in the store: this process may not have loaded it yet.
    async fn told(&self, profile: ProfileId, id: TargetId) -> Result<Option<(Arc<str>, Target)>, Error> {
        let is_it = |target: &&Target| target_id(&target.url) == Some(id);
        if let Some(alerting) = self.surveillance.alerting(profile)
            && let Some(target) = alerting.targets.iter().find(is_it)
        {
            return Ok(Some((alerting.name.clone(), target.clone())));
        }
        let stored = self.store.told_profiles(&[profile]).await?;
        Ok(stored.into_iter().find_map(|stored| {
            let targets: Vec<Target> = serde_json::from_str(&stored.targets).ok()?;
            let target = targets.iter().find(is_it)?.clone();
            Some((stored.name.into(), target))
        }))
    }

    async fn kills(&self, parcel: &Parcel, payloads: bool) -> Result<HashMap<KillmailId, ToldKill>, Error> {
        let ids: BTreeMap<_, _> =
            parcel.alerts.iter().map(|alert| (alert.of.killmail_id, alert.of.killmail_time)).collect();
        let kills = self.store.told_kills(&ids.into_iter().collect::<Vec<_>>(), payloads).await?;
        Ok(kills.into_iter().map(|kill| (kill.killmail_id, kill)).collect())
    }

    /// Keeps what was refused. While the store is away it waits.
    async fn keep(&self, parcel: &Parcel, count: usize, status: Option<u16>, error: &str) -> Result<(), Error> {
        let Some(letters) = &self.letters else { return Ok(()) };
        let refused = Parcel { alerts: parcel.alerts[..count].to_vec(), ..parcel.clone() };
        let health = self.store.health();
        let mut kills = retry::hold(health, "read kills", || self.kills(&refused, true)).await?;
        // A kill that is gone has no bytes to keep.
        let kills = refused.alerts.iter().filter_map(|alert| kills.remove(&alert.of.killmail_id));
        let letters: Vec<_> = kills.map(|kill| letters.letter(kill, status, error)).collect();
        retry::hold(health, "keep dead letters", || self.store.add_dead_letters(&letters)).await.map(drop)
    }
}

impl Letters {
    fn letter(&self, kill: ToldKill, status: Option<u16>, error: &str) -> NewDeadLetter {
        NewDeadLetter {
            pipeline: self.pipeline.clone(),
            source: kill.source,
            group: self.batcher.clone(),
            stage: self.batcher.clone(),
            sinks_done: self.others.clone(),
            class: "permanent".to_owned(),
            error: error.to_owned(),
            sqlstate: None,
            http_status: status,
            killmail_id: Some(kill.killmail_id),
            failed_at: Timestamp::now(),
            payload: kill.payload.into_bytes(),
            program_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..NewDeadLetter::default()
        }
    }
}
