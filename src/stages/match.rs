//! Finds the surveillance profiles that match a kill, among all that are in use ([`crate::surveillance`]).
//!
//! It works with what the stages before it found, so it stands after `tag` and `price`; a kill whose items or prices come later is matched again when it is
//! completed. CPU work of microseconds: nothing is waited for, and nothing is allocated but a kill's own list of matches. Without profiles it costs nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use broadside_engine::{Message, Stage};
use metrics::{Counter, Histogram, counter, histogram};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::{Kill, ProfileId};
use crate::profile::{Buffers, Subject};
use crate::resources::Resources;
use crate::surveillance::{Scratch, Surveillance};

/// What `match` may be told: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The stage.
    pub fn build(&self, resources: &Resources) -> impl Stage<Kill> + use<> {
        Matcher::new(resources.surveillance.clone())
    }
}

/// Matches kills: the stage, and whoever completes kills later.
#[derive(Debug)]
pub struct Matcher {
    surveillance: Arc<Surveillance>,
    /// What workers match with, between two groups: as many as have worked at once.
    benches: Mutex<Vec<Bench>>,
    nothing: Arc<[ProfileId]>,
    seconds: Histogram,
    matches: Counter,
    scanned: Counter,
    evaluated: Counter,
}

/// What is used again from kill to kill.
#[derive(Debug, Default)]
struct Bench {
    buffers: Buffers,
    scratch: Scratch,
    found: Vec<ProfileId>,
}

impl Matcher {
    /// Among these profiles.
    #[must_use]
    pub fn new(surveillance: Arc<Surveillance>) -> Self {
        Self {
            surveillance,
            benches: Mutex::default(),
            nothing: Arc::default(),
            seconds: histogram!("broadside_profile_match_seconds"),
            matches: counter!("broadside_profile_matches_total"),
            scanned: counter!("broadside_profile_candidates_total"),
            evaluated: counter!("broadside_profile_evaluations_total"),
        }
    }

    /// Notes on each kill which profiles match it; what was not decoded stays as it is.
    pub fn match_all<'k>(&self, kills: impl Iterator<Item = &'k mut Kill>) {
        if self.surveillance.counts().profiles == 0 {
            let decoded = kills.filter(|kill| kill.mail.is_some());
            decoded.for_each(|kill| kill.matches = Some(self.nothing.clone()));
            return;
        }
        let mut bench = self.benches().pop().unwrap_or_default();
        kills.for_each(|kill| self.match_one(kill, &mut bench));
        self.scanned.increment(std::mem::take(&mut bench.scratch.scanned));
        self.evaluated.increment(std::mem::take(&mut bench.scratch.evaluated));
        self.benches().push(bench);
    }

    fn match_one(&self, kill: &mut Kill, bench: &mut Bench) {
        let started = Instant::now();
        let Bench { buffers, scratch, found } = bench;
        let Some(subject) = Subject::with(kill, buffers) else { return };
        found.clear();
        self.surveillance.matches(&subject, scratch, found);
        *buffers = subject.buffers();
        found.sort_unstable();
        kill.matches = Some(if found.is_empty() { self.nothing.clone() } else { Arc::from(found.as_slice()) });
        self.matches.increment(found.len() as u64);
        self.seconds.record(started.elapsed());
    }

    fn benches(&self) -> std::sync::MutexGuard<'_, Vec<Bench>> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Stage<Kill> for Matcher {
    async fn process(&self, messages: &mut [Message<Kill>]) {
        self.match_all(messages.iter_mut().map(|message| &mut message.payload));
    }
}
