//! Tasks beside the pipelines that depend on what they are made of: who completes kills, who forgets prices, who delivers alerts, who keeps profiles in step.

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::completion::Completion;
use super::pauses;
use super::statics;
use super::surveillance::{Keeper, Keeping};
use super::upkeep::{forget_prices, keep_partitions, prices_kept};
use crate::courier;
use crate::definition::Definition;
use crate::resources::Resources;

/// Those at work for the pipelines that run.
#[derive(Debug)]
pub(super) struct Attendance {
    /// Cancelled when the worker's drain begins.
    leaving: CancellationToken,
    upkeep: Upkeep,
    courier: Option<Courier>,
    surveillance: Option<Keeping>,
}

/// Who delivers alerts, and the word that ends it.
#[derive(Debug)]
struct Courier {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
}

impl Attendance {
    /// Nobody yet, but for who keeps the profiles.
    pub(super) fn new(keeper: Option<Keeper>, leaving: CancellationToken) -> Self {
        Self { leaving, upkeep: Upkeep(Vec::new()), courier: None, surveillance: keeper.map(Keeper::start) }
    }

    /// What kills need before the first of them comes: the profiles. Those that are kept already stay.
    pub(super) async fn prepare(&mut self, definitions: &[Arc<Definition>], resources: &Resources) {
        if self.surveillance.is_none() {
            let definitions: Vec<&Definition> = definitions.iter().map(|definition| &**definition).collect();
            let keeper = Keeper::take_up(definitions, resources).await;
            self.surveillance = keeper.map(Keeper::start);
        }
    }

    /// Ends those who attended other pipelines, and starts those who attend these. What one leaves half done, the next begins again.
    pub(super) async fn renew(&mut self, definitions: &[Arc<Definition>], resources: &Resources) -> anyhow::Result<()> {
        self.upkeep = Upkeep(Vec::new());
        self.end_courier().await;
        if let Some(keep) = prices_kept(definitions) {
            self.upkeep.attend(forget_prices(resources.store.clone(), keep));
        }
        if let Some(completion) = Completion::new(definitions, resources) {
            self.upkeep.attend(completion.run());
        }
        for (base, esi) in resources.esi.all() {
            self.upkeep.attend(pauses::keep(resources.store.clone(), base, esi));
        }
        self.courier = Courier::start(definitions, resources, self.leaving.child_token())?;
        Ok(())
    }

    async fn end_courier(&mut self) {
        if let Some(Courier { task, stop }) = self.courier.take() {
            stop.cancel();
            // It bounds its end by itself.
            if let Err(error) = task.await {
                tracing::warn!(%error, "the delivery of alerts did not end well");
            }
        }
    }

    /// Ends all of them, those within their bounds who have something to finish.
    pub(super) async fn end(mut self) {
        drop(self.upkeep.0.drain(..));
        self.end_courier().await;
        if let Some(surveillance) = self.surveillance {
            surveillance.end().await;
        }
    }
}

/// Nobody reloads: they attend until the end.
pub(super) async fn attend(attendance: Attendance, stop: CancellationToken) -> Attendance {
    stop.cancelled().await;
    attendance
}

/// Tasks that a worker has whatever its pipelines are; they end with it.
#[derive(Debug)]
pub(super) struct Upkeep(Vec<AbortOnDropHandle<()>>);

impl Upkeep {
    pub(super) fn new(resources: &Resources) -> Self {
        let mut upkeep = Self(Vec::new());
        upkeep.attend(keep_partitions(resources.store.clone()));
        upkeep.attend(statics::keep(resources.store.clone(), resources.statics.clone()));
        upkeep
    }

    pub(super) fn attend(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }
}

impl Courier {
    /// For the first pipeline that tells of matches; `None`: there is none.
    fn start(
        definitions: &[Arc<Definition>],
        resources: &Resources,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let telling = definitions.iter().find_map(|definition| Some((definition, definition.webhook()?)));
        let Some((definition, (batcher, settings))) = telling else { return Ok(None) };
        let others = definition.sinks.keys().filter(|other| *other != batcher);
        let letters = courier::Letters {
            pipeline: definition.name.clone(),
            batcher: batcher.to_owned(),
            others: others.cloned().collect(),
        };
        let parts = courier::Parts {
            store: resources.store.clone(),
            surveillance: resources.surveillance.clone(),
            shelf: resources.statics.clone(),
            desk: resources.desk.clone(),
            contact: resources.contact.clone(),
            letters: definition.dead_letters.enabled.then_some(letters),
            drain_deadline: definition.topology.drain_deadline,
        };
        let courier = courier::Courier::new(settings, parts).context("failed to prepare the delivery of alerts")?;
        let task = AbortOnDropHandle::new(tokio::spawn(courier.run(stop.clone())));
        Ok(Some(Self { task, stop }))
    }
}
