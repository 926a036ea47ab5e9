//! A replay: letters that were chosen, through their pipelines one after the other; watched, stopped and told of while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::Pipeline;
use broadside_engine::pipeline::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::reports::Reports;
use super::source::{LEASE, Source, Tally, Way};
use crate::store::{DeadLetterFilter, DeadLetterState, Error, Store, retry};

/// The states of letters that are meant by a replay: those on their way too, because whoever had them may be gone.
pub const REPLAYABLE: [DeadLetterState; 2] = [DeadLetterState::Open, DeadLetterState::Retrying];
/// How often letters on their way are held longer.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Letters that are looked up at once.
const PAGE: usize = 1_000;

/// How letters are sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Plan {
    /// Say what would become of each, and change nothing.
    pub dry_run: bool,
    /// Of a dry run: also the rows that each would write.
    pub diff: bool,
    /// Begin with the raw bytes, at the first stage, whatever is known of them.
    pub from_start: bool,
    /// At most so many a second.
    #[schemars(range(min = 1))]
    pub rate: Option<u32>,
    /// At most so many in all.
    #[schemars(range(min = 1))]
    pub max: Option<u64>,
    /// Stop when so many have failed.
    #[schemars(range(min = 1))]
    pub stop_after_failures: Option<u64>,
}

impl Plan {
    /// Whether its numbers are numbers to work with.
    ///
    /// # Errors
    /// A sentence for whoever asked.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self { rate: Some(0), .. } => Err("rate must be at least 1"),
            Self { max: Some(0), .. } => Err("max must be at least 1"),
            Self { stop_after_failures: Some(0), .. } => Err("stop_after_failures must be at least 1"),
            Self { dry_run: false, diff: true, .. } => Err("diff goes with dry_run: it says what would be written"),
            _ => Ok(()),
        }
    }

    fn way(&self) -> Way {
        Way {
            from: vec![DeadLetterState::Open],
            dry_run: self.dry_run,
            diff: self.diff,
            from_start: self.from_start,
            stop_after_failures: self.stop_after_failures,
        }
    }
}

/// Who can start pipelines on letters.
#[async_trait]
pub trait Rerun: std::fmt::Debug + Send + Sync {
    /// Starts the pipeline of this name on this source, and tells the source what it [feeds](Source::feeds): as it is, or, of a dry run, with what stands in for its
    /// sinks. At most `rate` letters a second.
    ///
    /// # Errors
    /// A sentence: there is no such pipeline here, or it cannot be started.
    async fn start(&self, pipeline: &str, source: &Source, rate: Option<u32>) -> Result<Pipeline, String>;

    /// The pipelines whose letters it can send again.
    fn pipelines(&self) -> Vec<String>;
}

/// Where a replay stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Waits for another one to end, or is at work.
    Running,
    /// All of its letters are settled.
    Finished,
    /// Somebody stopped it, or too many have failed.
    Stopped,
    /// It could not go on.
    Failed,
}

/// A replay, its figures live.
#[derive(Debug)]
pub struct Replay {
    /// Of this process.
    pub id: u64,
    pub plan: Plan,
    /// Letters with their pipelines, ascending.
    letters: Vec<(i64, String)>,
    pub reports: Arc<Reports>,
    live: Mutex<Live>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Live {
    standing: Standing,
    problem: Option<String>,
    /// Of the pipelines that are done.
    done: Tally,
    /// The one that is under way.
    source: Option<Source>,
    /// Of the pipelines' drains: letters that were in flight when the deadline passed.
    abandoned: u64,
}

/// A replay at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Replay")]
pub struct Snapshot {
    pub replay: u64,
    pub state: Standing,
    /// Why it could not go on.
    pub problem: Option<String>,
    #[serde(flatten)]
    pub plan: Plan,
    /// Letters that were chosen.
    pub letters: u64,
    /// Those that are settled.
    pub done: u64,
    /// Went through; of a dry run: would.
    pub succeeded: u64,
    pub same_failure: u64,
    pub new_failure: u64,
    /// Somebody else had them, or they were done.
    pub passed_over: u64,
}

impl Replay {
    /// Of these letters, as far as `max` allows. It does nothing until it is [`run`](Self::run).
    #[must_use]
    pub fn new(id: u64, plan: Plan, mut letters: Vec<(i64, String)>) -> Self {
        letters.truncate(plan.max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX));
        let live =
            Live { standing: Standing::Running, problem: None, done: Tally::default(), source: None, abandoned: 0 };
        let (reports, stop) = (Arc::default(), CancellationToken::new());
        Self { id, plan, letters, reports, live: Mutex::new(live), stop }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let live = self.live();
        let tally = live.done.and(live.source.as_ref().map(Source::tally).unwrap_or_default());
        Snapshot {
            replay: self.id,
            state: live.standing.clone(),
            problem: live.problem.clone(),
            plan: self.plan.clone(),
            letters: self.letters.len() as u64,
            done: tally.replayed + tally.failed() + tally.passed_over,
            succeeded: tally.replayed,
            same_failure: tally.same_failure,
            new_failure: tally.new_failure,
            passed_over: tally.passed_over,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.live().standing != Standing::Running
    }

    /// Letters that were in flight when a drain's deadline passed: they are open again.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.live().abandoned
    }

    /// No further letter is handed out; those under way are finished.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Sends the letters again, and returns when all are settled, or it was stopped.
    pub async fn run(&self, store: &Arc<dyn Store>, rerun: &dyn Rerun) {
        let mut ended = Ok(());
        for (pipeline, ids) in self.by_pipeline() {
            ended = self.one(store, rerun, &pipeline, ids).await;
            if ended.is_err() || self.stop.is_cancelled() {
                break;
            }
        }
        let mut live = self.live();
        live.standing = match &ended {
            Err(_) => Standing::Failed,
            Ok(()) if self.stop.is_cancelled() => Standing::Stopped,
            Ok(()) => Standing::Finished,
        };
        live.problem = ended.err();
        drop(live);
        self.count();
    }

    fn by_pipeline(&self) -> BTreeMap<String, Vec<i64>> {
        let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (id, pipeline) in &self.letters {
            found.entry(pipeline.clone()).or_default().push(*id);
        }
        found
    }

    /// The letters of one pipeline. Those that another process left behind are waited for, until their lease has passed, and then sent too.
    async fn one(
        &self,
        store: &Arc<dyn Store>,
        rerun: &dyn Rerun,
        pipeline: &str,
        ids: Vec<i64>,
    ) -> Result<(), String> {
        let over = self.pass(store, rerun, pipeline, ids).await?;
        if self.plan.dry_run || over.is_empty() || self.stop.is_cancelled() {
            return Ok(());
        }
        let held = self.wait_for_leases(store, over).await?;
        if held.is_empty() || self.stop.is_cancelled() {
            return Ok(());
        }
        self.live().done.passed_over -= held.len() as u64;
        self.pass(store, rerun, pipeline, held).await.map(drop)
    }

    /// Sends letters through, once; answers those that were passed over.
    async fn pass(
        &self,
        store: &Arc<dyn Store>,
        rerun: &dyn Rerun,
        pipeline: &str,
        ids: Vec<i64>,
    ) -> Result<Vec<i64>, String> {
        let source = Source::new(store.clone(), ids, self.plan.way(), self.reports.clone());
        let running = rerun.start(pipeline, &source, self.plan.rate).await?;
        self.live().source = Some(source.clone());
        let report = drive(&running, &source, &self.stop).await;
        let released = source.release().await;
        if source.has_given_up() {
            self.stop();
        }
        let mut live = self.live();
        live.source = None;
        live.done = live.done.and(source.tally());
        live.abandoned += report.ledger.outcome(broadside_engine::Outcome::Abandoned);
        drop(live);
        released.map_err(|error| format!("failed to open letters again: {error}"))?;
        match report.source_failure {
            Some(failure) => Err(format!("failed to {failure}")),
            None => Ok(source.passed_over()),
        }
    }

    /// Of these letters, those whose lease passes without anybody holding them longer.
    async fn wait_for_leases(&self, store: &Arc<dyn Store>, ids: Vec<i64>) -> Result<Vec<i64>, String> {
        let failed = |error: Error| format!("failed to read dead letters: {error}");
        let held = still_held(store, &ids).await.map_err(failed)?;
        if held.is_empty() {
            return Ok(Vec::new());
        }
        tracing::info!(
            letters = held.len(),
            "another replay has letters, or has left them behind: waiting for their lease to pass"
        );
        let lease = Duration::try_from(LEASE).unwrap_or(RENEW_EVERY);
        tokio::select! {
            () = tokio::time::sleep(lease + Duration::from_secs(1)) => {}
            () = self.stop.cancelled() => return Ok(Vec::new()),
        }
        let after = still_held(store, &held).await.map_err(failed)?;
        Ok(held.into_iter().filter(|id| after.binary_search(id).is_err()).collect())
    }

    fn count(&self) {
        if self.plan.dry_run {
            return;
        }
        let Snapshot { succeeded, same_failure, new_failure, .. } = self.snapshot();
        for (result, count) in [("replayed", succeeded), ("failed", same_failure + new_failure)] {
            metrics::counter!("broadside_replayed_letters_total", "result" => result).increment(count);
        }
    }
}

/// Of these, those that somebody has on their way, ascending.
async fn still_held(store: &Arc<dyn Store>, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let mut held = Vec::new();
    for page in ids.chunks(PAGE) {
        let states = vec![DeadLetterState::Retrying];
        let filter = DeadLetterFilter { ids: page.to_vec(), states, ..DeadLetterFilter::default() };
        let found = retry::hold(store.health(), "read dead letters", || store.dead_letter_ids(&filter)).await?;
        held.extend(found.into_iter().map(|(id, _)| id));
    }
    held.sort_unstable();
    Ok(held)
}

/// Sees a pipeline on letters to its end, and holds what is on its way meanwhile.
pub(super) async fn drive(pipeline: &Pipeline, source: &Source, stop: &CancellationToken) -> Report {
    let mut renew = tokio::time::interval(RENEW_EVERY);
    let mut finished = std::pin::pin!(pipeline.finished());
    loop {
        tokio::select! {
            report = &mut finished => return report,
            _ = renew.tick() => source.renew().await,
            () = stop.cancelled(), if !stop_is_told(pipeline) => pipeline.drain(),
        }
    }
}

fn stop_is_told(pipeline: &Pipeline) -> bool {
    use broadside_engine::pipeline::State;
    matches!(pipeline.status().state, State::Draining | State::Stopped)
}

/// Every letter that a filter means, with its pipeline, ascending.
///
/// # Errors
/// The store cannot say.
pub async fn choose(
    store: &dyn Store,
    filter: &DeadLetterFilter,
    max: Option<u64>,
) -> Result<Vec<(i64, String)>, Error> {
    let mut chosen: Vec<(i64, String)> = Vec::new();
    let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let mut filter = DeadLetterFilter { limit: Some(PAGE as u32 * 10), payload: false, ..filter.clone() };
    loop {
        let page = store.dead_letter_ids(&filter).await?;
        let Some((last, _)) = page.last() else { break };
        filter.after = *last;
        chosen.extend(page);
        if chosen.len() >= max {
            break;
        }
    }
    chosen.truncate(max);
    Ok(chosen)
}
