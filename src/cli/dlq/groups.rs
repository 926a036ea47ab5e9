//! `dlq groups`: letters that failed alike, and what is said of them.

use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use jiff::Timestamp;

use super::{failed, times};
use crate::cli::columns::align;
use crate::cli::print;
use crate::cli::text::{clean, cut};
use crate::dead_letter::Group;
use crate::store::{DeadLetterGroup, GroupFilter, GroupNote, GroupSaid, GroupState, Store};

/// List groups of letters that failed alike, those first in which a letter failed last; or say of one what is known.
///
/// The trend shows the last 24 hours, by when letters failed last. A group is `regressed` when a letter failed after it was said to be fixed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq groups
  broadside dlq groups --acknowledge 0123456789abcdef --note \"Janice is down\"
  broadside dlq groups --fixed 0123456789abcdef --version 0.2.0
  broadside dlq groups --state regressed --json")]
pub struct Args {
    /// Only groups in this state.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub state: Vec<State>,
    /// Only groups of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Only what failed in this stage or sink.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Only this class: invalid, permanent, transient or panic.
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Also groups without an open letter.
    #[arg(long)]
    pub settled: bool,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Say that somebody knows of this group.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["fixed", "reopen"])]
    pub acknowledge: Option<String>,
    /// Say that the cause of this group is gone.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "reopen")]
    pub fixed: Option<String>,
    /// Take back what was said of this group.
    #[arg(long, value_name = "FINGERPRINT")]
    pub reopen: Option<String>,
    /// The version in which it is fixed [default: this one].
    #[arg(long, value_name = "VERSION", requires = "fixed")]
    pub version: Option<String>,
    /// What else is to be known.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Open,
    Acknowledged,
    Fixed,
    Regressed,
}

impl From<State> for GroupState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Acknowledged => Self::Acknowledged,
            State::Fixed => Self::Fixed,
            State::Regressed => Self::Regressed,
        }
    }
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    if let Some((fingerprint, said)) = said(args) {
        let note = GroupNote { said, note: args.note.clone() };
        if !store.set_dead_letter_group(fingerprint, &note, now).await.map_err(failed)? {
            bail!("there is no group {}", clean(fingerprint, false));
        }
        let filter = GroupFilter { fingerprints: vec![fingerprint.clone()], settled: true, ..GroupFilter::default() };
        return show(&store.dead_letter_groups(&filter, now).await.map_err(failed)?, args.json, now);
    }
    let filter = GroupFilter {
        pipeline: args.pipeline.clone(),
        stage: args.stage.clone(),
        class: args.class.clone(),
        states: args.state.iter().copied().map(GroupState::from).collect(),
        settled: args.settled || args.state.contains(&State::Fixed),
        limit: Some(args.limit),
        ..GroupFilter::default()
    };
    show(&store.dead_letter_groups(&filter, now).await.map_err(failed)?, args.json, now)
}

fn said(args: &Args) -> Option<(&String, GroupSaid)> {
    let version = || args.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let acknowledged = args.acknowledge.as_ref().map(|group| (group, GroupSaid::Acknowledged));
    let fixed = || args.fixed.as_ref().map(|group| (group, GroupSaid::Fixed { version: version() }));
    let open = || args.reopen.as_ref().map(|group| (group, GroupSaid::Open));
    acknowledged.or_else(fixed).or_else(open)
}

fn show(groups: &[DeadLetterGroup], json: bool, now: Timestamp) -> anyhow::Result<ExitCode> {
    if json {
        groups.iter().for_each(|group| print(&serde_json::json!(Group::from(group)).to_string()));
    } else if groups.is_empty() {
        print("no groups");
    } else {
        print(&table(groups, now));
    }
    Ok(ExitCode::SUCCESS)
}

/// Columns of the second line.
const WIDTH: usize = 110;

/// Two lines a group: its figures, and what it is.
fn table(groups: &[DeadLetterGroup], now: Timestamp) -> String {
    let heading = ["group", "state", "open", "kept", "first", "last", "last 24 hours", "sample"].map(String::from);
    let mut rows = vec![heading];
    rows.extend(groups.iter().map(|group| {
        [
            group.fingerprint.clone(),
            group.state.as_str().to_owned(),
            group.open.to_string(),
            group.total.to_string(),
            times::ago(group.first_failed_at, now),
            times::ago(group.last_failed_at, now),
            times::bars(&group.trend),
            group.sample.id.to_string(),
        ]
    }));
    let figures = align(&rows);
    let mut lines = figures.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, group) in lines.zip(groups) {
        text.push_str(&format!("{line}\n  {}\n", cut(&clean(&about(group), false), WIDTH)));
        if let Some(fixed_in) = &group.fixed_in {
            text.push_str(&format!("  fixed in {}\n", cut(&clean(fixed_in, false), WIDTH - 9)));
        }
        if let Some(note) = &group.note {
            text.push_str(&format!("  note: {}\n", cut(&clean(note, false), WIDTH - 6)));
        }
    }
    text
}

fn about(group: &DeadLetterGroup) -> String {
    let letter = &group.sample.letter;
    let status = letter.sqlstate.clone().or(letter.http_status.map(|status| status.to_string()));
    let status = status.map(|status| format!(" {status}")).unwrap_or_default();
    format!("{}/{} {}{status}: {}", letter.pipeline, letter.stage, letter.class, group.sample.error_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::text::width;
    use crate::store::{DeadLetter, NewDeadLetter};

    #[test]
    fn a_group_is_two_lines_that_fit() {
        let letter = NewDeadLetter {
            pipeline: "kills".to_owned(),
            stage: "database".to_owned(),
            class: "invalid".to_owned(),
            sqlstate: Some("23514".to_owned()),
            ..NewDeadLetter::default()
        };
        let sample =
            DeadLetter { id: 1_234_567, error_text: "\u{1b}no <n> ".repeat(99), letter, ..DeadLetter::default() };
        let group = DeadLetterGroup {
            fingerprint: "0123456789abcdef".to_owned(),
            state: GroupState::Acknowledged,
            fixed_in: None,
            changed_at: None,
            note: None,
            open: 10_000,
            total: 1_000_000,
            first_failed_at: Timestamp::UNIX_EPOCH,
            last_failed_at: Timestamp::UNIX_EPOCH,
            trend: vec![3; 24],
            sample,
        };
        let table = table(&[group], Timestamp::UNIX_EPOCH);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.lines().all(|line| width(line) <= 120) && !table.contains('\u{1b}'), "{table}");
        assert!(table.contains("  kills/database invalid 23514: "), "{table}");
    }
}
