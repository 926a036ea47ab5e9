//! `dlq discard`: letters given up, with a reason.

use std::process::ExitCode;

use indicatif::HumanCount;
use jiff::Timestamp;

use super::chosen::Chosen;
use super::{failed, unreadable};
use crate::cli::{Usage, print};
use crate::store::{DeadLetterState, Settled, Store};

/// Give open letters up. They are kept as discarded, with the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq discard --id 17,18 --reason \"not a killmail\"
  broadside dlq discard --group 0123456789abcdef --reason \"a feed's test\"")]
pub struct Args {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Why, for whoever looks at it later.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Letters that are moved in one go.
const SOME: usize = 1_000;

pub(super) async fn run(store: &dyn Store, args: &Args) -> anyhow::Result<ExitCode> {
    if args.reason.trim().is_empty() {
        return Err(Usage("say why: --reason TEXT".to_owned()).into());
    }
    let open = [DeadLetterState::Open];
    let filter = args.chosen.selection().filter(&open, Timestamp::now()).map_err(unreadable)?;
    let chosen = store.dead_letter_ids(&filter).await.map_err(failed)?;
    let ids: Vec<i64> = chosen.into_iter().map(|(id, _)| id).collect();
    let mut discarded = 0;
    for some in ids.chunks(SOME) {
        let moved = store.settle_dead_letters(some, &open, Settled::Discarded(&args.reason)).await.map_err(failed)?;
        discarded += moved.len();
    }
    print(&format!("discarded {}", HumanCount(discarded as u64)));
    // A letter asked for by its id that was not there to act on is a failure; finding nothing by a condition is not.
    Ok(if discarded < args.chosen.ids.len() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
