//! Reads the bytes of a kill: the first stage of every kills pipeline.
//!
//! Takes every shape that [`wire`] knows. What it cannot read fails as invalid with the field or the byte
//! where it went wrong, and its raw bytes stay as they came.

use std::sync::{Arc, Mutex, PoisonError};

use broadside_engine::stage::{self, Stage};
use broadside_engine::{Failure, Message};
use jiff::SignedDuration;
use metrics::{Histogram, histogram};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::{Kill, wire};

/// Nothing to set: the bounds are part of the format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The stage of this pipeline. It also records how old kills are when they come in.
    pub fn build(&self, pipeline: &str) -> impl Stage<Kill> + use<> {
        let lags = Lags { pipeline: pipeline.to_owned(), by_source: Mutex::default() };
        stage::each(move |message: &mut Message<Kill>| decode(message, Some(&lags)))
    }

    /// The same, recording nothing.
    pub fn rehearse(&self) -> impl Stage<Kill> + use<> {
        stage::each(|message: &mut Message<Kill>| decode(message, None))
    }
}

fn decode(message: &mut Message<Kill>, lags: Option<&Lags>) {
    let kill = &mut message.payload;
    match wire::decode(&kill.raw) {
        Ok(mail) => {
            if let Some(lags) = lags {
                lags.record(kill.source, kill.received_at.duration_since(mail.killmail_time));
            }
            kill.mail = Some(Arc::new(mail));
        }
        Err(error) => message.fail(Failure::invalid(error.to_string())),
    }
}

/// The age of kills as they come in, by feed: a handful of names, fixed in the code.
struct Lags {
    pipeline: String,
    by_source: Mutex<Vec<(&'static str, Histogram)>>,
}

impl Lags {
    fn record(&self, source: &'static str, lag: SignedDuration) {
        let mut known = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|(name, _)| *name == source).unwrap_or_else(|| {
            let pipeline = self.pipeline.clone();
            known
                .push((source, histogram!("broadside_source_lag_seconds", "pipeline" => pipeline, "source" => source)));
            known.len() - 1
        });
        known[at].1.record(lag.as_secs_f64().max(0.0));
    }
}
