//! `profiles`: surveillance profiles, listed, added, changed, and tried on kills.

mod add;
mod input;
mod kills;
mod test;
mod trial;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::opening::open_store;
use super::{Database, Usage, print};
use crate::killmail::ProfileId;
use crate::profile::layout::laid_out;
use crate::profile::schema;
use crate::settings::Settings;
use crate::store::{Error, Store, Which};

/// Surveillance profiles: what users watch for. Running workers take up a change within a second.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside profiles test watch.json --input kills.ndjson.gz
  broadside profiles add watch.json
  broadside profiles list --json
  broadside profiles disable 17")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List profiles, by id.
    #[command(after_help = "Example: broadside profiles list --owner intel --json")]
    List(List),
    /// Print one as a document that `add` accepts. URLs are masked unless told otherwise.
    #[command(after_help = "Example: broadside profiles show 17")]
    Show(Show),
    /// Store profiles: all of a file, or none when one of them is not as it must be. Prints their ids, in order.
    #[command(after_help = "Examples:
  echo '{\"name\": \"Solo\", \"filter\": {\"field\": \"solo\", \"operator\": \"eq\", \"value\": true}}' | broadside profiles add -
  broadside profiles show 17 --reveal > watch.json && $EDITOR watch.json && broadside profiles add watch.json

A document with a profile_id takes the place of that profile. Of more than 2,000 documents (or 8 MB) so many are stored together: should the database fail in
between, the ids that were printed are those that are stored.")]
    Add(add::Args),
    /// Remove profiles. What they matched stays.
    #[command(after_help = "Example: broadside profiles remove 17 18")]
    Remove(Ids),
    /// Put profiles to use.
    #[command(after_help = "Example: broadside profiles enable 17")]
    Enable(Ids),
    /// Put profiles out of use; they are kept.
    #[command(after_help = "Example: broadside profiles disable 17")]
    Disable(Ids),
    /// Try filters on kills: how many match, and why. Nothing is stored.
    #[command(after_help = "Examples:
  broadside profiles test watch.json                                   on the newest kills that are stored
  broadside profiles test watch.json --days 7 --limit 1000000
  broadside profiles test watch.json --input kills.ndjson.gz --json
  broadside profiles test watch.json --kill 128000001                  why that kill matches, or not")]
    Test(test::Args),
    /// Print the JSON Schema of a document: what editors complete and other programs check by.
    #[command(after_help = "Example: broadside profiles schema > profile.schema.json")]
    Schema,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those of this owner.
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Only ids above this one.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub after: i64,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The profile's id.
    #[arg(value_name = "ID", value_parser = id)]
    pub id: ProfileId,
    /// With whole URLs: they may hold secrets.
    #[arg(long)]
    pub reveal: bool,
}

#[derive(Debug, clap::Args)]
pub struct Ids {
    /// Their ids.
    #[arg(value_name = "ID", required = true, value_parser = id)]
    pub ids: Vec<ProfileId>,
}

/// A file of documents; `-`: standard input.
type File = PathBuf;

fn id(text: &str) -> Result<ProfileId, String> {
    text.parse().ok().and_then(ProfileId::new).ok_or_else(|| "a profile's id is a whole number above 0".to_owned())
}

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// Does what the arguments say.
///
/// # Errors
/// The database cannot be opened, a document is not as it must be, or a profile is not there.
pub async fn run(args: Args, _settings: Settings) -> anyhow::Result<ExitCode> {
    // What needs no database must not make one.
    match args.command {
        Command::Schema => {
            print(&serde_json::to_string_pretty(&schema::schema())?);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Test(test) => return test::run(test, &args.database).await,
        _ => {}
    }
    let given = if let Command::Add(add) = &args.command { Some(add::check(add)?) } else { None };
    let store = open_store(&args.database.url, true).await?;
    let done = match (&args.command, given) {
        (Command::List(list), _) => list_profiles(&*store, list).await,
        (Command::Show(show), _) => show_profile(&*store, show).await,
        (Command::Remove(ids), _) => act(&ids.ids, "removed", store.remove_profiles(&ids.ids)).await,
        (Command::Enable(ids), _) => act(&ids.ids, "enabled", store.enable_profiles(&ids.ids, true)).await,
        (Command::Disable(ids), _) => act(&ids.ids, "disabled", store.enable_profiles(&ids.ids, false)).await,
        (_, Some(given)) => add::run(&*store, given).await,
        (Command::Add(_) | Command::Test(_) | Command::Schema, None) => Ok(ExitCode::SUCCESS),
    };
    store.close().await;
    done
}

async fn list_profiles(store: &dyn Store, list: &List) -> anyhow::Result<ExitCode> {
    let (mut after, mut left, mut shown) = (list.after, list.limit, Vec::new());
    loop {
        // One more than is shown tells whether there are more.
        let limit = Some(left.min(PAGE).saturating_add(1));
        let which = Which { owner: list.owner.clone(), after, limit, ..Which::default() };
        let mut page = store.profiles(&which).await.map_err(failed)?;
        let is_last = page.len() <= left.min(PAGE) as usize;
        page.truncate(left.min(PAGE) as usize);
        left -= page.len() as u32;
        after = page.last().map_or(after, |profile| profile.profile_id.get());
        if list.json {
            page.iter().for_each(|profile| print(&escaped(&view::json(profile))));
        } else {
            shown.extend(page);
        }
        if is_last || left == 0 {
            if !list.json {
                print(if shown.is_empty() { "no profiles".to_owned() } else { view::table(&shown) }.as_str());
            }
            if !is_last {
                eprintln!("there are more: --after {after}");
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn show_profile(store: &dyn Store, show: &Show) -> anyhow::Result<ExitCode> {
    let which = Which { ids: vec![show.id], ..Which::default() };
    let profiles = store.profiles(&which).await.map_err(failed)?;
    let Some(profile) = profiles.first() else { anyhow::bail!("there is no profile {}", show.id) };
    let document = serde_json::to_string(&profile.written(show.reveal))?;
    print(&escaped(&laid_out(&document)));
    if !show.reveal && profile.targets != "[]" {
        eprintln!("URLs are masked, and `add` refuses them so: --reveal prints them");
    }
    Ok(ExitCode::SUCCESS)
}

/// JSON that is fit for a terminal, and still says the same: what could steer it stands as an escape.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        let mut units = [0; 2];
        if character == '\n' || super::text::clean(character.encode_utf8(&mut [0; 4]), false).chars().eq([character]) {
            out.push(character);
        } else {
            character.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// A profile that was named and is not there is a failure; the others were acted on.
async fn act(
    ids: &[ProfileId],
    what: &str,
    acting: impl Future<Output = Result<Vec<ProfileId>, Error>>,
) -> anyhow::Result<ExitCode> {
    let acted = acting.await.map_err(failed)?;
    acted.iter().for_each(|id| print(&format!("{what} {id}")));
    let missing: Vec<String> = ids.iter().filter(|id| !acted.contains(id)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("there is no profile {}", missing.join(", "));
    Ok(ExitCode::FAILURE)
}

fn failed(error: Error) -> anyhow::Error {
    match error {
        Error::Data { message, .. } => Usage(message).into(),
        error => anyhow::anyhow!("failed to reach the profiles: {error}"),
    }
}
