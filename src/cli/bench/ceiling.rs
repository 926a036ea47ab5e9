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
    Ok(took.map(|took| {
        let alone = kills.len() as f64 / took.as_secs_f64();
        let pace = rate(kills.len() as u64, took);
        format!("ceiling: COPY of {} such kills, encoded beforehand, in batches of {batch} on one connection: {pace}; reached {:.2} of it", kills.len(), reached / alone)
    }))
}

pub(super) fn failed(error: store::Error) -> anyhow::Error {
    anyhow::anyhow!("failed to {error}")
}
