//! The job done by this process: the prices pipeline alone, for as long as the run takes.

use anyhow::Context;
use broadside_engine::Pipeline;
use serde_json::Value;

use super::view::{self, Watched};
use super::{Run, refused};
use crate::cli::opening::open_store;
use crate::cli::signals::Signals;
use crate::cli::statics;
use crate::cli::worker::resources;
use crate::definition::{Definition, environment, select};
use crate::price::job::Action;
use crate::resources::Resources;
use crate::settings::Settings;

/// Works until the run is over or paused; answers how it stands then.
pub(super) async fn work(
    action: Action,
    run: &Run,
    database: &str,
    settings: &Settings,
    signals: &mut Signals,
) -> anyhow::Result<Value> {
    let selection = select(&["prices".to_owned()], run.pipelines.as_deref(), &environment::process)?;
    let definition = selection.definitions.into_iter().next().context("there is no prices pipeline")?;
    definition.check_source(settings.contact.as_deref())?;
    let store = open_store(database, true).await?;
    let resources = resources(store.clone(), settings, false);
    statics::take_up(&resources).await;
    let worked = drive(action, &definition, &resources, signals).await;
    store.close().await;
    worked
}

async fn drive(
    action: Action,
    definition: &Definition,
    resources: &Resources,
    signals: &mut Signals,
) -> anyhow::Result<Value> {
    let pipeline = definition.build(resources)?.start(definition.topology.clone());
    let pipeline = pipeline.context("failed to start the pipeline")?;
    let watched = match resources.price_job.act(&*resources.store, action).await {
        Ok(status) => watch(serde_json::to_value(status)?, &pipeline, resources, signals).await,
        Err(refusal) => Err(refused(refusal)),
    };
    pipeline.drain();
    let report = pipeline.finished().await;
    watched?;
    if report.ledger.imbalance() != 0 {
        anyhow::bail!("the ledger does not balance: {}", report.ledger.imbalance());
    }
    status(resources).await
}

/// A first signal pauses, a second one ends the process.
async fn watch(
    mut status: Value,
    pipeline: &Pipeline,
    resources: &Resources,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut watched = Watched::new(&status);
    let mut every = tokio::time::interval(watched.every());
    let mut finished = std::pin::pin!(pipeline.finished());
    while view::is_running(&status) {
        tokio::select! {
            // The source gave up.
            _ = &mut finished => break,
            _ = every.tick() => {
                // While the database is away, the run holds.
                if let Ok(now) = self::status(resources).await {
                    status = now;
                    watched.show(&status);
                }
            }
            _ = signals.next() => break,
        }
    }
    watched.finish();
    if view::is_running(&status) {
        let pause = async {
            // Nothing to pause any more: it has just come to its end.
            let _ = resources.price_job.act(&*resources.store, Action::Pause).await;
        };
        tokio::select! {
            () = pause => {}
            caught = signals.next() => std::process::exit(i32::from(caught.exit_code())),
        }
    }
    Ok(())
}

async fn status(resources: &Resources) -> anyhow::Result<Value> {
    let status = resources.price_job.status(&*resources.store).await;
    let status = status.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    Ok(serde_json::to_value(status)?)
}
