//! `dlq stats`: how many there are, and how much they take.

use std::process::ExitCode;

use indicatif::{BinaryBytes, HumanCount};
use jiff::Timestamp;
use serde_json::json;

use super::{failed, times};
use crate::cli::columns::align;
use crate::cli::print;
use crate::store::{DeadLetterState, GroupFilter, GroupState, Store};

/// Say how many letters there are by state, what they take, and how many groups are open.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  broadside dlq stats --json")]
pub struct Args {
    /// As a JSON object.
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let stats = store.dead_letter_stats().await.map_err(failed)?;
    let groups = store.dead_letter_groups(&GroupFilter::default(), now).await.map_err(failed)?;
    let of_state = |state| groups.iter().filter(|group| group.state == state).count();
    let of = |state: DeadLetterState| {
        let found = stats.states.iter().find(|(of, _, _)| *of == state);
        found.map_or((0, 0), |(_, count, bytes)| (*count, *bytes))
    };
    if args.json {
        let states: Vec<_> = DeadLetterState::ALL
            .into_iter()
            .map(|state| json!({"state": state.as_str(), "count": of(state).0, "bytes": of(state).1}))
            .collect();
        let by_state: serde_json::Map<_, _> =
            GroupState::ALL.into_iter().map(|state| (state.as_str().to_owned(), of_state(state).into())).collect();
        let database = store.database_identity().await.map_err(failed)?;
        let stats = json!({"states": states, "bytes": stats.bytes(), "oldest_open": stats.oldest_open, "groups": by_state, "database": database});
        print(&stats.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["state", "letters", "payloads"].map(String::from)];
    rows.extend(DeadLetterState::ALL.into_iter().map(|state| {
        let (count, bytes) = of(state);
        [state.as_str().to_owned(), HumanCount(count.unsigned_abs()).to_string(), size(bytes)]
    }));
    print(&align(&rows));
    let known: Vec<_> = GroupState::ALL
        .into_iter()
        .filter(|state| of_state(*state) > 0)
        .map(|state| format!("{} {}", of_state(state), state.as_str()))
        .collect();
    print(&format!(
        "groups with open letters: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    ));
    if let Some(oldest) = stats.oldest_open {
        print(&format!("the oldest open letter failed last {} ago, at {oldest:.0}", times::ago(oldest, now)));
    }
    Ok(ExitCode::SUCCESS)
}

fn size(bytes: i64) -> String {
    BinaryBytes(bytes.unsigned_abs()).to_string()
}
