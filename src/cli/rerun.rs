//! Starts pipelines on dead letters: those that run in this process, or those of the files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::Pipeline;
use broadside_engine::topology::{self, RateLimit};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::fleet::Fleet;
use super::statics;
use super::surveillance::{Keeper, Keeping};
use crate::dead_letter::{Replays, Rerun, Source};
use crate::definition::{Definition, environment, select};
use crate::record::Record;
use crate::resources::Resources;

/// The pipelines of a running worker, on its own resources: what they know of prices, profiles and kills of late holds for letters too.
#[derive(Debug)]
pub(super) struct OfFleet {
    pub(super) fleet: Arc<Fleet>,
    pub(super) resources: Resources,
}

#[async_trait]
impl Rerun for OfFleet {
    async fn start(&self, pipeline: &str, source: &Source, rate: Option<u32>) -> Result<Pipeline, String> {
        let member = self.fleet.get(pipeline).ok_or_else(|| format!("pipeline {pipeline} does not run here"))?;
        start(&member.definition, &self.resources, source, rate)
    }

    fn pipelines(&self) -> Vec<String> {
        let definitions = self.fleet.definitions();
        let keeps = definitions.iter().filter(|definition| definition.dead_letters.enabled && has_kills(definition));
        keeps.map(|definition| definition.name.clone()).collect()
    }
}

/// The pipelines of the files, for a command that does it itself.
#[derive(Debug)]
pub(super) struct OfFiles {
    folder: Option<PathBuf>,
    resources: Resources,
    started: Mutex<Started>,
}

#[derive(Debug, Default)]
struct Started {
    definitions: HashMap<String, Definition>,
    has_statics: bool,
    surveillance: Option<Keeping>,
}

impl OfFiles {
    pub(super) fn new(folder: Option<PathBuf>, resources: Resources) -> Self {
        Self { folder, resources, started: Mutex::default() }
    }

    /// Lets go of what was started for the pipelines.
    pub(super) async fn end(self) {
        if let Some(surveillance) = self.started.into_inner().surveillance {
            surveillance.end().await;
        }
    }

    fn read(&self, pipeline: &str) -> Result<Definition, String> {
        let wanted = [pipeline.to_owned()];
        let selection =
            select(&wanted, self.folder.as_deref(), &environment::process).map_err(|error| error.to_string())?;
        let found = selection.definitions.into_iter().next();
        found.ok_or_else(|| format!("there is no pipeline {pipeline}"))
    }
}

#[async_trait]
impl Rerun for OfFiles {
    async fn start(&self, pipeline: &str, source: &Source, rate: Option<u32>) -> Result<Pipeline, String> {
        let mut started = self.started.lock().await;
        if !std::mem::replace(&mut started.has_statics, true) {
            statics::take_up(&self.resources).await;
        }
        if !started.definitions.contains_key(pipeline) {
            started.definitions.insert(pipeline.to_owned(), self.read(pipeline)?);
        }
        let definition = started.definitions[pipeline].clone();
        if started.surveillance.is_none() {
            started.surveillance = Keeper::take_up([&definition], &self.resources).await.map(Keeper::start);
        }
        start(&definition, &self.resources, source, rate)
    }

    fn pipelines(&self) -> Vec<String> {
        Vec::new()
    }
}

fn has_kills(definition: &Definition) -> bool {
    definition.record() == Record::Kills
}

/// Starts a pipeline in the shape of its definition on letters. Its figures are the replay's: the running pipeline's metrics know nothing of it.
fn start(
    definition: &Definition,
    resources: &Resources,
    source: &Source,
    rate: Option<u32>,
) -> Result<Pipeline, String> {
    if !has_kills(definition) {
        return Err(format!("pipeline {} has no kills", definition.name));
    }
    let mut shape = definition.topology.clone();
    let rate = rate.map(|messages| RateLimit { messages, per: std::time::Duration::from_secs(1) });
    shape.source =
        topology::Source { rate_limit: rate.or(shape.source.rate_limit), ..topology::Source::new("dead_letters") };
    (shape.breaker, shape.alert_above) = (None, None);
    source.feeds(&shape, definition.origin());
    let feed = Arc::new(source.clone());
    let components = if source.way().dry_run {
        definition.build_rehearsal(resources, feed)
    } else {
        definition.build_with_source(resources, feed)
    };
    let started = metrics::with_local_recorder(&metrics::NoopRecorder, || Pipeline::start(shape, components));
    started.map_err(|error| format!("failed to start pipeline {}: {error}", definition.name))
}

/// The replays of a worker at work.
#[derive(Debug)]
pub(super) struct Replaying {
    pub(super) replays: Arc<Replays>,
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
}

impl Replaying {
    /// From now on it works on what is ordered and on what is due.
    pub(super) fn start(fleet: Arc<Fleet>, resources: Resources) -> Self {
        let store = resources.store.clone();
        let replays = Arc::new(Replays::new(store, Arc::new(OfFleet { fleet, resources })));
        let stop = CancellationToken::new();
        let (at_work, stopping) = (replays.clone(), stop.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move { at_work.work(&stopping).await }));
        Self { replays, task, stop }
    }

    /// No further letter is handed out; those under way are finished.
    pub(super) fn drain(&self) {
        self.stop.cancel();
    }

    /// Waits until they are: a pipeline's drain is bounded by itself.
    pub(super) async fn ended(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the replay of dead letters did not end well");
        }
    }
}
