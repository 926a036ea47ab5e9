//! `profiles add`: a whole file is checked before anything of it is stored.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::HumanCount;

use super::input::{Given, Place};
use super::{File, Usage, failed};
use crate::cli::print;
use crate::cli::progress::{Progress, Unit, rate};
use crate::cli::text::{clean, cut};
use crate::killmail::ProfileId;
use crate::profile::Document;
use crate::store::{NewProfile, Store};

/// Stored in one transaction …
const AT_ONCE: usize = 2_000;
/// … or about so many bytes of them.
const BYTES_AT_ONCE: usize = 8_000_000;
/// Problems and warnings that are told; the others are only counted.
const TOLD: usize = 20;
/// Ids that are looked for together.
const KNOWN_AT_ONCE: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A JSON object, or one a line; `-`: standard input.
    #[arg(value_name = "FILE")]
    pub file: File,
}

/// A file whose documents are all fit to be stored.
#[derive(Debug)]
pub(super) struct Checked {
    given: Given,
    documents: u64,
    /// Of those that take another's place, and where they stand.
    replacing: HashMap<ProfileId, Place>,
    warnings: Told,
}

/// What is said, and how much more there would be to say.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    more: u64,
}

impl Told {
    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < TOLD { self.lines.push(line()) } else { self.more += 1 }
    }

    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        if self.more > 0 {
            let _ = write!(text, "\n… and {} more", HumanCount(self.more));
        }
        text
    }
}

/// Reads the file once.
pub(super) fn check(args: &Args) -> anyhow::Result<Checked> {
    let unreadable = |error: io::Error| Usage(format!("failed to read {}: {error}", args.file.display()));
    let given = Given::open(&args.file).map_err(unreadable)?;
    let (mut documents, mut replacing) = (0, HashMap::new());
    let (mut problems, mut warnings) = (Told::default(), Told::default());
    let read = given.each(|place, text| {
        documents += 1;
        match Document::parse(text) {
            Err(problem) => problems.say(|| format!("{place}{problem}")),
            Ok(document) => {
                if let Some(id) = document.profile_id
                    && let Some(earlier) = replacing.insert(id, place)
                {
                    problems.say(|| format!("{place}at profile_id: found {id} a second time (first in {earlier}above); allowed: each profile once"));
                }
                if document.filter.looks_broad() {
                    let name = cut(&clean(&document.name, false), 40);
                    warnings.say(|| format!("warning: {place}\"{name}\" looks as if nearly every kill matched it: `broadside profiles test` tells how many do"));
                }
            }
        }
        Ok::<(), io::Error>(())
    });
    read.map_err(unreadable)?;
    if problems.lines.is_empty() && documents > 0 {
        return Ok(Checked { given, documents, replacing, warnings });
    }
    let text = if documents == 0 { "there is nothing in it".to_owned() } else { problems.text() };
    Err(Usage(format!("nothing of {} was stored:\n{text}", given.name())).into())
}

/// Stores what was checked.
pub(super) async fn run(store: &dyn Store, checked: Checked) -> anyhow::Result<ExitCode> {
    let Checked { given, documents, replacing, warnings } = checked;
    let asked: Vec<ProfileId> = replacing.keys().copied().collect();
    for ids in asked.chunks(KNOWN_AT_ONCE) {
        let known = store.known_profiles(ids).await.map_err(failed)?;
        if let Some(id) = ids.iter().find(|id| known.binary_search(id).is_err()) {
            let place = replacing.get(id).map(ToString::to_string).unwrap_or_default();
            let problem = format!("{place}at profile_id: found {id}; allowed: the id of a profile that there is");
            return Err(Usage(format!("nothing of {} was stored:\n{problem}", given.name())).into());
        }
    }
    if !warnings.lines.is_empty() {
        eprintln!("{}", warnings.text());
    }
    let (sender, mut pages) = tokio::sync::mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || read(&given, &sender));
    let (mut progress, begun, mut stored) = (Progress::new(Some((documents, Unit::Shares))), Instant::now(), 0);
    while let Some(page) = pages.recv().await {
        let ids = match store.put_profiles(&page).await {
            Ok(ids) => ids,
            Err(error) => {
                progress.finish();
                let (stored, error) = (HumanCount(stored), failed(error));
                anyhow::bail!("{error:#}: of {} documents the first {stored} are stored", HumanCount(documents));
            }
        };
        stored += ids.len() as u64;
        print(&ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        progress.show(stored, &format!("{} stored, {}", HumanCount(stored), rate(stored, begun.elapsed())));
    }
    progress.finish();
    reading.await??;
    Ok(ExitCode::SUCCESS)
}

/// Reads the file again, so many documents at a time; ends early when nobody takes them any more.
fn read(given: &Given, sender: &tokio::sync::mpsc::Sender<Vec<NewProfile>>) -> anyhow::Result<()> {
    let (mut page, mut bytes) = (Vec::with_capacity(AT_ONCE), 0);
    given.each(|place, text| -> anyhow::Result<()> {
        let document =
            Document::parse(text).map_err(|problem| anyhow::anyhow!("the file has changed: {place}{problem}"))?;
        page.push(NewProfile::from(document));
        bytes += text.len();
        if page.len() == AT_ONCE || bytes >= BYTES_AT_ONCE {
            bytes = 0;
            sender.blocking_send(std::mem::replace(&mut page, Vec::with_capacity(AT_ONCE)))?;
        }
        Ok(())
    })?;
    if !page.is_empty() {
        sender.blocking_send(page)?;
    }
    Ok(())
}
