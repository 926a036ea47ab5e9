//! `prices`: the price cache job, shown and told what to do: through the worker that runs, else in the database; and done right here where there is no worker.

mod foreground;
mod view;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use self::view::Watched;
use super::market::url;
use super::opening::open_store;
use super::progress::Progress;
use super::signals::Signals;
use super::text::clean;
use super::{Database, Usage, print};
use crate::clients::address;
use crate::clients::worker::{Error, Worker};
use crate::price::job::{Action, Job, Outlook, Status};
use crate::price_job::{self, Refusal};
use crate::settings::Settings;
use crate::store::Store;

/// The price cache job: keeps what Janice says of every product, so that kills are priced without waiting.
///
/// It is worked on by one process at a time. Progress is in the database: a run that was paused or killed goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside prices status
  JANICE_API_KEY=… broadside prices start
  broadside prices pause --worker http://127.0.0.1:4010")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, global = true, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show how far it is. With no worker running: what the database knows.
    #[command(after_help = "Example:
  broadside prices status --json")]
    Status(Show),
    /// Begin anew. With no worker running, this process does it.
    #[command(after_help = "Example:
  JANICE_API_KEY=… broadside prices start --database sqlite://broadside.db")]
    Start(Run),
    /// Go on where it was paused or interrupted. With no worker running, this process does it.
    #[command(after_help = "Example:
  broadside prices resume --detach")]
    Resume(Run),
    /// Interrupt it, to be resumed.
    #[command(after_help = "Example:
  broadside prices pause")]
    Pause(Show),
    /// End it; its figures stay until the next start.
    #[command(after_help = "Example:
  broadside prices stop")]
    Stop(Show),
    /// Forget its figures, when it does not run.
    #[command(after_help = "Example:
  broadside prices reset")]
    Reset(Show),
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Leave it to the running worker, and return at once.
    #[arg(long)]
    pub detach: bool,
    /// The folder with prices.toml, where there is no worker [default: pipelines, or the shipped one where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// One JSON object at the end.
    #[arg(long)]
    pub json: bool,
}

/// Does what the arguments say.
///
/// # Errors
/// It is not legal now, something that it needs is not there, or neither worker nor database answers.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let url = url(args.worker.as_deref());
    let worker = Worker::new(&url, settings.contact.as_deref(), settings.api_token.as_deref());
    let worker = worker.map_err(|error| Usage(format!("failed to {error}")))?;
    let asked = Asked { worker, url, database: args.database, settings };
    match &args.command {
        Command::Status(show) => asked.status(show).await,
        Command::Pause(show) => asked.change(Action::Pause, show).await,
        Command::Stop(show) => asked.change(Action::Stop, show).await,
        Command::Reset(show) => asked.change(Action::Reset, show).await,
        Command::Start(run) => asked.work(Action::Start, run).await,
        Command::Resume(run) => asked.work(Action::Resume, run).await,
    }
}

/// Whom to ask.
struct Asked {
    worker: Worker,
    url: String,
    database: Database,
    settings: Settings,
}

impl Asked {
    async fn status(&self, show: &Show) -> anyhow::Result<ExitCode> {
        let status = match self.worker.prices().await {
            Ok(status) => status,
            Err(error) if error.is_away() => {
                let away = self.away(&error);
                let store = self.store().await.with_context(|| away.clone())?;
                let job = price_job::look(&*store).await;
                store.close().await;
                eprintln!("{away}; this is what the database knows");
                of(&job.map_err(|error| anyhow::anyhow!("failed to {error}"))?)?
            }
            Err(error) => return Err(self.failed(&error)),
        };
        tell(&status, show.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn change(&self, action: Action, show: &Show) -> anyhow::Result<ExitCode> {
        let status = match self.worker.tell_prices(action.as_str()).await {
            Ok(status) => status,
            Err(error) if error.is_away() => {
                let away = self.away(&error);
                let store = self.store().await.with_context(|| away.clone())?;
                let job = price_job::change(&*store, action).await;
                store.close().await;
                eprintln!("{away}; this was done in the database alone");
                of(&job.map_err(refused)?)?
            }
            Err(error) => return Err(self.failed(&error)),
        };
        tell(&status, show.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn work(&self, action: Action, run: &Run) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::listen()?;
        match self.worker.tell_prices(action.as_str()).await {
            Ok(status) if run.detach => {
                tell(&status, run.json);
                Ok(ExitCode::SUCCESS)
            }
            Ok(status) => self.watch(status, &mut signals, run.json).await,
            Err(error) if error.is_away() && run.detach => {
                Err(Usage(format!("{}: there is nobody to leave it to", self.away(&error))).into())
            }
            Err(error) if error.is_away() => {
                eprintln!("{}; this process does it", self.away(&error));
                let status = foreground::work(action, run, &self.database.url, &self.settings, &mut signals).await?;
                Ok(ended(&status, run.json))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Shows what the worker is at, until it is done or the operator has seen enough.
    async fn watch(&self, mut status: Value, signals: &mut Signals, json: bool) -> anyhow::Result<ExitCode> {
        let mut watched = Watched::new(&status);
        let mut every = tokio::time::interval(watched.every());
        while view::is_running(&status) {
            tokio::select! {
                _ = every.tick() => {
                    match self.worker.prices().await {
                        Ok(now) => status = now,
                        Err(error) => {
                            watched.finish();
                            return Err(self.failed(&error));
                        }
                    }
                    watched.show(&status);
                }
                _ = signals.next() => {
                    watched.finish();
                    tell(&status, json);
                    eprintln!("the worker goes on with it: `broadside prices status` shows how far it is, `broadside prices pause` pauses it");
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        watched.finish();
        Ok(ended(&status, json))
    }

    async fn store(&self) -> anyhow::Result<std::sync::Arc<dyn Store>> {
        let url = &self.database.url;
        let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        let path = path.map(|path| path.split('?').next().unwrap_or_default());
        // A database that is not there would be made.
        if let Some(path) = path.filter(|path| *path != ":memory:" && !Path::new(path).exists()) {
            anyhow::bail!("there is no database {path}");
        }
        open_store(url, false).await
    }

    fn away(&self, error: &Error) -> String {
        format!("no worker at {}: failed to {}", address::shown(&self.url), clean(&error.to_string(), false))
    }

    fn failed(&self, error: &Error) -> anyhow::Error {
        let reason = clean(&error.to_string(), false);
        anyhow::anyhow!("the worker at {}: failed to {reason}", address::shown(&self.url))
    }
}

/// How a run ended, for whoever waited for it: a broken one failed.
fn ended(status: &Value, json: bool) -> ExitCode {
    tell(status, json);
    match status["state"].as_str() {
        Some("error") => ExitCode::FAILURE,
        Some("paused") => {
            eprintln!("`broadside prices resume` goes on from here");
            ExitCode::SUCCESS
        }
        _ => ExitCode::SUCCESS,
    }
}

fn tell(status: &Value, json: bool) {
    print(&if json { status.to_string() } else { view::page(status) });
}

/// As a worker would answer.
fn of(job: &Job) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(Status::new(job, &Outlook::of(job)))?)
}

fn refused(refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Store(error) => anyhow::anyhow!("failed to {error}"),
        refusal => anyhow::anyhow!("{refusal}"),
    }
}

impl Watched {
    fn every(&self) -> Duration {
        self.progress().map_or(Duration::from_secs(1), Progress::every)
    }
}
