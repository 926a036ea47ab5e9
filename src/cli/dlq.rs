//! `dlq`: dead letters, listed, shown, replayed and discarded.

mod replay;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};

use super::opening::open_store;
use super::{Database, Usage, print};
use crate::settings::Settings;
use crate::store::{DeadLetterFilter, DeadLetterState, Error, Settled, Store};

/// Messages that failed: what and why, and what to do about them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside dlq list --stage decode
  broadside dlq show 17
  broadside dlq replay --stage db_insert
  broadside dlq discard --id 17 --reason \"not a killmail\"")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List letters, oldest first: those that are open, unless told otherwise.
    List(List),
    /// Show one, with its payload.
    Show(Show),
    /// Put letters through their pipeline again; sinks that have them already are passed over.
    Replay(Replay),
    /// Give letters up. They are kept, with the reason.
    Discard(Discard),
}

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    pub which: Which,
    /// Only letters in this state; `all`: in any.
    #[arg(long, value_name = "STATE", default_value = "open")]
    pub state: StateOrAll,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The letter's id.
    #[arg(value_name = "ID")]
    pub id: i64,
    /// As a JSON object, with the payload as text.
    #[arg(long)]
    pub json: bool,
    /// The payload alone, byte for byte.
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// The whole payload, not only its first 4 kB.
    #[arg(long)]
    pub full: bool,
}

#[derive(Debug, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    pub selection: Selection,
    /// Letters in this state. `retrying`: those that a replay left behind when it was killed.
    #[arg(long, value_name = "STATE", default_value = "open")]
    pub state: Replayable,
    /// The folder with pipeline files [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Discard {
    #[command(flatten)]
    pub selection: Selection,
    /// Why, for whoever looks at it later.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Narrows down by what letters say.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Which {
    /// Only letters of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Only letters that failed in this stage or sink.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
}

/// Letters to act on: never all of them by an oversight.
#[derive(Debug, Clone, clap::Args)]
pub struct Selection {
    /// These letters.
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    pub ids: Vec<i64>,
    /// Every letter (of the pipeline and stage, when named).
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    #[command(flatten)]
    pub which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateOrAll {
    Open,
    Retrying,
    Replayed,
    Discarded,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Replayable {
    Open,
    Retrying,
}

impl StateOrAll {
    fn state(self) -> Option<DeadLetterState> {
        match self {
            Self::Open => Some(DeadLetterState::Open),
            Self::Retrying => Some(DeadLetterState::Retrying),
            Self::Replayed => Some(DeadLetterState::Replayed),
            Self::Discarded => Some(DeadLetterState::Discarded),
            Self::All => None,
        }
    }
}

/// Does what the arguments say.
///
/// # Errors
/// The database cannot be opened, there is no such letter, or a pipeline cannot be built.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let store = open_store(&args.database.url, true).await?;
    let done = match &args.command {
        Command::List(list) => list_letters(&*store, list).await,
        Command::Show(show) => show_letter(&*store, show).await,
        Command::Replay(replay) => replay::run(&store, replay, &settings).await,
        Command::Discard(discard) => discard_letters(&*store, discard).await,
    };
    store.close().await;
    done
}

async fn list_letters(store: &dyn Store, list: &List) -> anyhow::Result<ExitCode> {
    let filter = DeadLetterFilter {
        states: list.state.state().into_iter().collect(),
        pipeline: list.which.pipeline.clone(),
        stage: list.which.stage.clone(),
        limit: Some(list.limit),
        ..DeadLetterFilter::default()
    };
    let letters = store.dead_letters(&filter).await.map_err(failed)?;
    if list.json {
        letters.iter().for_each(|letter| print(&show::json(letter).to_string()));
    } else if letters.is_empty() {
        print("no dead letters");
    } else {
        print(&show::table(&letters));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_letter(store: &dyn Store, show: &Show) -> anyhow::Result<ExitCode> {
    let filter = DeadLetterFilter { ids: vec![show.id], payload: true, ..DeadLetterFilter::default() };
    let letters = store.dead_letters(&filter).await.map_err(failed)?;
    let Some(letter) = letters.first() else {
        anyhow::bail!("there is no dead letter {}", show.id);
    };
    if show.raw {
        show::raw(&letter.letter.payload)?;
    } else if show.json {
        print(&show::json_with_payload(letter).to_string());
    } else {
        print(&show::page(letter, show.full));
    }
    Ok(ExitCode::SUCCESS)
}

async fn discard_letters(store: &dyn Store, discard: &Discard) -> anyhow::Result<ExitCode> {
    let states = [DeadLetterState::Open];
    let chosen = choose(store, &discard.selection, &states).await?;
    let ids: Vec<i64> = chosen.into_iter().map(|(id, _)| id).collect();
    let reason = Settled::Discarded(&discard.reason);
    let moved = store.settle_dead_letters(&ids, &states, reason).await.map_err(failed)?;
    print(&format!("discarded {}", moved.len()));
    Ok(all_or_some(&discard.selection, moved.len()))
}

/// The letters that are meant, with their pipelines.
async fn choose(
    store: &dyn Store,
    selection: &Selection,
    states: &[DeadLetterState],
) -> anyhow::Result<Vec<(i64, String)>> {
    let Selection { ids, all, which } = selection;
    if ids.is_empty() && !all && which.stage.is_none() && which.pipeline.is_none() {
        return Err(Usage("say which letters: --id, --stage, --pipeline or --all".to_owned()).into());
    }
    let mut filter = DeadLetterFilter {
        pipeline: which.pipeline.clone(),
        stage: which.stage.clone(),
        ids: ids.clone(),
        limit: Some(1000),
        ..DeadLetterFilter::default()
    };
    let mut chosen = Vec::new();
    loop {
        let page = store.dead_letters(&filter).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        let wanted = page.into_iter().filter(|letter| states.contains(&letter.state));
        chosen.extend(wanted.map(|letter| (letter.id, letter.letter.pipeline)));
    }
    Ok(chosen)
}

/// A letter asked for by its id that was not there to act on is a failure; finding nothing by a condition is not.
fn all_or_some(selection: &Selection, acted: usize) -> ExitCode {
    if acted < selection.ids.len() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("failed to read dead letters: {error}")
}

type SharedStore = Arc<dyn Store>;
