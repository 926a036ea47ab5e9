//! Reload: the pipeline files are read again, and what has changed is followed, each thing with as little as it takes.
//!
//! Everything that can be refused is looked at before anything is changed: when a file is wrong, all pipelines go on as they were. One reload at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::attendance::Attendance;
use super::fleet::{Fleet, Member};
use super::worker::check_sources;
use crate::definition::diff::{self, Change, How};
use crate::definition::{Built, Definition, Problem, Problems, environment, fingerprint, select};
use crate::http::{Asked, Reload, ReloadChange, ReloadOutcome, Reloads};
use crate::resources::Resources;
use crate::settings::Settings;

/// Between two looks at the files.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Where the definitions of a worker come from.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Names of pipelines, or files.
    pub(super) wanted: Vec<String>,
    pub(super) folder: Option<PathBuf>,
    /// Whether a change is taken up unasked.
    pub(super) watch: bool,
    /// The text that was read at the start.
    seen: u64,
}

impl Files {
    /// To be made before they are read: what changes from then on is seen.
    pub(super) fn new(wanted: Vec<String>, folder: Option<PathBuf>, watch: bool) -> Self {
        let seen = fingerprint(&wanted, folder.as_deref());
        Self { wanted, folder, watch, seen }
    }

    /// What they say now.
    fn read(&self, settings: &Settings) -> Result<Vec<Definition>, Problems> {
        let selection = select(&self.wanted, self.folder.as_deref(), &environment::process)?.enabled()?;
        check_sources(&selection.definitions, settings)?;
        Ok(selection.definitions)
    }

    fn fingerprint(&self) -> u64 {
        fingerprint(&self.wanted, self.folder.as_deref())
    }
}

/// Asks for a reload whenever the text of a file has changed. The content is looked at, not the time of it: mounted files may be links that are turned to others.
pub(super) async fn watch(files: Files, reloads: Reloads) {
    let mut every = tokio::time::interval(WATCH_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = files.seen;
    loop {
        every.tick().await;
        let now = files.fingerprint();
        if now != seen && reloads.ask().is_some() {
            tracing::info!("a pipeline file has changed");
            seen = now;
        }
    }
}

/// Follows changes of the files.
pub(super) struct Reloader {
    files: Files,
    settings: Settings,
    resources: Resources,
    fleet: Arc<Fleet>,
    attendance: Attendance,
    reloads: Reloads,
}

impl Reloader {
    pub(super) fn new(
        files: Files,
        settings: &Settings,
        resources: &Resources,
        fleet: Arc<Fleet>,
        attendance: Attendance,
        reloads: Reloads,
    ) -> Self {
        let (settings, resources) = (settings.clone(), resources.clone());
        Self { files, settings, resources, fleet, attendance, reloads }
    }

    /// Works off what is asked for until nobody can ask any more; gives back those who attend.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Asked>,
        stop: tokio_util::sync::CancellationToken,
    ) -> Attendance {
        while let Some(Some(asked)) = stop.run_until_cancelled(requests.recv()).await {
            let reload = self.reload().await;
            metrics::counter!("broadside_reloads_total", "result" => reload.outcome.as_str()).increment(1);
            self.reloads.note(reload.clone());
            // who asked may not wait any more
            let _ = asked.send(reload);
        }
        self.attendance
    }

    async fn reload(&mut self) -> Reload {
        let at = Timestamp::now();
        if self.fleet.is_draining() {
            return ended(at, ReloadOutcome::Refused, vec!["the worker is being stopped".to_owned()], &[]);
        }
        let wanted = match self.files.read(&self.settings) {
            Ok(wanted) => wanted,
            Err(Problems(problems)) => return ended(at, ReloadOutcome::Refused, refused(&problems), &[]),
        };
        let running = self.fleet.definitions();
        let changes = diff::changes(running.iter().map(|definition| &**definition), &wanted);
        if changes.is_empty() {
            tracing::info!("reload: nothing has changed");
            return ended(at, ReloadOutcome::Unchanged, Vec::new(), &[]);
        }
        let built = match self.build(&wanted, &changes) {
            Ok(built) => built,
            Err(problem) => return ended(at, ReloadOutcome::Refused, refused(&[problem]), &[]),
        };
        for change in &changes {
            tracing::info!(how = change.how.as_str(), "reload: {change}");
        }
        self.reloads.note(ended(at, ReloadOutcome::Working, Vec::new(), &changes));
        let problems = self.follow(wanted, &changes, built).await;
        let outcome = if problems.is_empty() { ReloadOutcome::Done } else { ReloadOutcome::Failed };
        ended(at, outcome, problems, &changes)
    }

    /// The code of those that are to be started: what it lacks shows now.
    fn build(&self, wanted: &[Definition], changes: &[Change]) -> Result<BTreeMap<String, Built>, Problem> {
        let is_built = |d: &&Definition| matches!(diff::step(changes, &d.name), Some(How::Rebuild | How::Start));
        wanted.iter().filter(is_built).map(|d| Ok((d.name.clone(), d.build(&self.resources)?))).collect()
    }

    /// Numbers first: they take no time. Answers what did not work.
    async fn follow(
        &mut self,
        wanted: Vec<Definition>,
        changes: &[Change],
        built: BTreeMap<String, Built>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let wanted: Vec<Arc<Definition>> = wanted.into_iter().map(Arc::new).collect();
        for definition in wanted.iter().filter(|d| diff::step(changes, &d.name) == Some(How::InPlace)) {
            problems.extend(self.tune(definition));
        }
        if changes.iter().all(|change| change.how == How::InPlace) {
            return problems;
        }
        self.attendance.prepare(&wanted, &self.resources).await;
        for member in self.fleet.members() {
            if diff::step(changes, member.name()) == Some(How::Stop) {
                let name = member.name().to_owned();
                let ended = drained(&member).await;
                self.resources.feeds.forget(&name);
                self.fleet.remove(ended);
            }
        }
        for (name, built) in built {
            if let Some(definition) = wanted.iter().find(|definition| definition.name == name) {
                problems.extend(self.start(definition, built).await);
            }
        }
        self.attendance.renew(&wanted, &self.resources).await.unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "reload");
            problems.push(format!("{error:#}"));
        });
        problems
    }

    fn tune(&self, definition: &Arc<Definition>) -> Option<String> {
        let member = self.fleet.get(&definition.name)?;
        if let Err(error) = member.pipeline.tune(&definition.topology) {
            // the definition was checked, so this is a fault of ours
            tracing::error!(pipeline = definition.name, %error, "failed to change numbers in place");
            return Some(format!("{}: failed to change numbers in place: {error}", definition.name));
        }
        definition.tell_width(&self.resources);
        self.fleet.follow(definition.clone());
        None
    }

    /// Starts it; one of its name is drained first, and its counters go on.
    async fn start(&self, definition: &Arc<Definition>, built: Built) -> Option<String> {
        let topology = definition.topology.clone();
        let started = match self.fleet.get(&definition.name) {
            None => built.start(topology),
            Some(member) => {
                self.fleet.set_restarting(&definition.name, true);
                let ended = drained(&member).await;
                let before = member.pipeline.status();
                self.resources.feeds.forget(&definition.name);
                let started = built.start_after(before, topology);
                if started.is_err() {
                    self.fleet.set_restarting(&definition.name, false);
                }
                if ended.report.deadline_passed {
                    self.fleet.note_abandoned(&definition.name);
                }
                started
            }
        };
        match started {
            Ok(pipeline) => {
                self.fleet.put(definition.clone(), pipeline);
                None
            }
            Err(error) => {
                tracing::error!(pipeline = definition.name, %error, "failed to start the pipeline again");
                Some(format!("{}: failed to start the pipeline: {error}", definition.name))
            }
        }
    }
}

fn ended(at: Timestamp, outcome: ReloadOutcome, problems: Vec<String>, changes: &[Change]) -> Reload {
    Reload { at, outcome, problems, changes: changes.iter().map(shown).collect() }
}

async fn drained(member: &Member) -> super::ending::Ended {
    member.pipeline.drain();
    let ended = member.finished().await;
    // the last figures of groups that may not come again
    broadside_engine::Pipeline::publish(&member.pipeline);
    ended
}

fn refused(problems: &[Problem]) -> Vec<String> {
    let lines: Vec<String> = problems.iter().map(Problem::line).collect();
    for problem in &lines {
        tracing::error!(problem, "reload refused: everything goes on as it was");
    }
    lines
}

fn shown(change: &Change) -> ReloadChange {
    let Change { pipeline, setting, from, to, how } = change.clone();
    ReloadChange { pipeline, setting, from, to, how: how.as_str() }
}
