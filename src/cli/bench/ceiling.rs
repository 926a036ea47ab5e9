//! What PostgreSQL can take by itself, beside what the pipeline reached.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use super::super::progress::rate;
use crate::killmail::sample::Sampler;
use crate::killmail::{Kill, wire};
use crate::store::postgres::Scratch;
use crate::store::{self, Store};

/// Made-up kills for the ceiling at most: they are held in memory, some 5 kB each.
const CEILING_KILLS: u64 = 40_000;

/// Made-up kills must not come among real ones.
pub(super) async fn scratch(database: Option<&str>) -> anyhow::Result<Option<Scratch>> {
    match database {
        Some(url) if url.starts_with("postgres") => Ok(Some(Scratch::make(url).await.map_err(failed)?)),
        _ => Ok(None),
    }
}

/// What the database alone can take of such kills, and how much of that was reached.
pub(super) async fn line(
    store: &dyn Store,
    settled: u64,
    batch: usize,
    reached: f64,
) -> anyhow::Result<Option<String>> {
    let mut sampler = Sampler::new(1);
    let now = Timestamp::now();
    let kills = (0..settled.clamp(1_000, CEILING_KILLS)).map(|_| {
        let json = sampler.next(now).package_json();
        let mail = wire::decode(json.as_bytes()).context("failed to read a made-up kill")?;
        Ok(Kill { mail: Some(Arc::new(mail)), ..Kill::new(json.into(), "generator", now, false) })
    });
    let kills = kills.collect::<anyhow::Result<Vec<_>>>()?;
    let took = store.ceiling(&kills, batch).await.map_err(failed)?;
    let Some(took) = took else {
        let sqlite = store.partitions().await.map_err(failed)?.is_empty();
        let why = "ceiling: not measured: COPY is measured over the server's unix socket, which is not to be had here";
        return Ok((!sqlite).then(|| why.to_owned()));
    };
    let (kills, alone) = (kills.len(), kills.len() as f64 / took.as_secs_f64());
    let pace = rate(kills as u64, took);
    let share = reached / alone;
    Ok(Some(format!(
        "ceiling: COPY of {kills} such kills, encoded beforehand, in batches of {batch} on one connection: {pace}; reached {share:.2} of it"
    )))
}

pub(super) fn failed(error: store::Error) -> anyhow::Error {
    anyhow::anyhow!("failed to {error}")
}
