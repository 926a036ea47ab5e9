//! `dlq replay`: letters through their own pipeline's stages and sinks.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use broadside_engine::pipeline::Pipeline;
use indicatif::HumanCount;

use super::{Replay, Replayable, SharedStore, choose};
use crate::cli::ending::{self, Ended};
use crate::cli::print;
use crate::cli::signals::Signals;
use crate::cli::statics;
use crate::cli::surveillance::Keeper;
use crate::cli::worker::resources;
use crate::dead_letter::{Source, Tally};
use crate::definition::{Definition, environment, select};
use crate::settings::Settings;
use crate::store::DeadLetterState;

pub(super) async fn run(store: &SharedStore, args: &Replay, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let from = match args.state {
        Replayable::Open => DeadLetterState::Open,
        Replayable::Retrying => DeadLetterState::Retrying,
    };
    let mut by_pipeline: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (id, pipeline) in choose(&**store, &args.selection, &[from]).await? {
        by_pipeline.entry(pipeline).or_default().push(id);
    }
    let (mut ended, mut whole) = (Vec::new(), Tally::default());
    for (name, ids) in by_pipeline {
        let source = Source::new(store.clone(), ids, &[from]);
        ended.push(through(&definition(args, &name)?, store, settings, &source, &mut signals).await?);
        let tally = source.tally();
        whole.replayed += tally.replayed;
        whole.failed += tally.failed;
        whole.passed_over += tally.passed_over;
    }
    let Tally { replayed, failed, passed_over } = whole;
    print(&format!("replayed {}; failed again {}", HumanCount(replayed), HumanCount(failed)));
    if passed_over > 0 {
        print(&format!("passed over {}: another replay has them", HumanCount(passed_over)));
    }
    let asked = args.selection.ids.len() as u64;
    Ok(if failed > 0 || replayed < asked { ExitCode::FAILURE } else { ending::exit_code(&ended) })
}

fn definition(args: &Replay, name: &str) -> anyhow::Result<Definition> {
    let selection = select(&[name.to_owned()], args.pipelines.as_deref(), &environment::process)?;
    selection.definitions.into_iter().next().with_context(|| format!("there is no pipeline {name}"))
}

/// Runs one pipeline on its letters. A signal drains it; a second one ends the process.
async fn through(
    definition: &Definition,
    store: &SharedStore,
    settings: &Settings,
    source: &Source,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    let resources = resources(store.clone(), settings, true);
    statics::take_up(&resources).await;
    let surveillance = Keeper::take_up([definition], &resources).await.map(Keeper::start);
    let mut topology = definition.topology.clone();
    topology.source.name = "dead_letters".to_owned();
    topology.source.concurrency = 1;
    source.feeds(&topology);
    let components = definition.build_with_source(&resources, Arc::new(source.clone()));
    let pipeline = Pipeline::start(topology, components);
    let pipeline = pipeline.with_context(|| format!("failed to start pipeline {}", definition.name))?;
    let mut draining = false;
    let report = loop {
        tokio::select! {
            report = pipeline.finished() => break report,
            caught = signals.next() => {
                if std::mem::replace(&mut draining, true) {
                    std::process::exit(i32::from(caught.exit_code()));
                }
                pipeline.drain();
            }
        }
    };
    if let Some(surveillance) = surveillance {
        surveillance.end().await;
    }
    let left = source.release().await.map_err(|error| anyhow::anyhow!("failed to open letters again: {error}"))?;
    if left > 0 {
        print(&format!("{left} letters were not settled: they are open again"));
    }
    Ok(Ended { pipeline: definition.name.clone(), report })
}
