//! `sde tags`: the rules by which kills are tagged, and what they make of given kills.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::archive::{Archive, Record};
use crate::cli::opening::open_store;
use crate::cli::{Database, Usage, print};
use crate::killmail::{Item, Killmail, wire};
use crate::stages::tag::Config;
use crate::statics::{self, Statics};
use crate::tags::modules::Role;
use crate::tags::{Found, Tagger};

/// Kills read at a time.
const AT_ONCE: usize = 1000;

/// What of the tags is to be shown.
#[derive(Debug, clap::Args)]
pub struct Tags {
    /// Kills to tag: files as `backfill` takes them. Without any, the table of rules is printed.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the table of ship classes, not that of module tags.
    #[arg(long, conflicts_with = "files")]
    pub ships: bool,
    /// Only the summary, not what was found of each kill.
    #[arg(long, requires = "files")]
    pub summary: bool,
    /// Another table of module tags.
    #[arg(long, value_name = "CSV")]
    pub rules: Option<PathBuf>,
    /// Another table of ship classes.
    #[arg(long, value_name = "CSV")]
    pub ship_rules: Option<PathBuf>,
    /// Static data that are in no database yet: a folder or zip, as `sde import` takes them.
    #[arg(long, value_name = "PATH", requires = "files")]
    pub data: Option<PathBuf>,
}

/// Prints the table, or what is found of kills: one JSON object a line, the summary last.
///
/// # Errors
/// A table, static data or kills cannot be read.
pub(super) async fn run(args: Tags, database: &Database) -> anyhow::Result<ExitCode> {
    let config = Config { rules: args.rules.clone(), ships: args.ship_rules.clone(), ..Config::default() };
    let tagger = config.tagger().map_err(Usage)?;
    if args.files.is_empty() {
        print(if args.ships { tagger.ships.text() } else { tagger.modules.text() });
        return Ok(ExitCode::SUCCESS);
    }
    let statics = statics(&args, database).await?;
    tokio::task::spawn_blocking(move || tag(&args, &tagger, &statics)).await?
}

async fn statics(args: &Tags, database: &Database) -> anyhow::Result<Statics> {
    let statics = match &args.data {
        Some(path) => {
            let path = path.clone();
            let read = move || statics::read::Found::at(&path).and_then(|found| found.read(&Arc::default()));
            tokio::task::spawn_blocking(read).await?.map_err(|problem| anyhow::anyhow!("failed to {problem}"))?
        }
        None => {
            let store = open_store(&database.url, false).await?;
            let loaded = store.load_statics().await;
            store.close().await;
            loaded.map_err(|error| anyhow::anyhow!("failed to {error}"))?.1
        }
    };
    if statics.is_empty() {
        return Err(Usage(
            "the database has no static data: `broadside sde import`, or name some with --data".to_owned(),
        )
        .into());
    }
    Ok(statics)
}

fn tag(args: &Tags, tagger: &Tagger, statics: &Statics) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut summary = Summary::default();
    for file in &args.files {
        let mut archive = Archive::open(file, Arc::default(), 0);
        let mut end = None;
        while end.is_none() {
            let taken = archive.take(AT_ONCE);
            end = taken.end;
            for (position, record) in taken.records {
                let mail = match read(record) {
                    Ok(mail) => mail,
                    Err(error) => {
                        summary.unreadable += 1;
                        eprintln!("{}:{position}: failed to read the kill: {error}", file.display());
                        continue;
                    }
                };
                let found = summary.timed(|| tagger.tag(statics, &mail));
                let items = summary.items(tagger, statics, &mail);
                if !args.summary && writeln!(out, "{}", kill(&mail, &found, items)).is_err() {
                    // Whoever reads it has seen enough.
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        end.unwrap_or(Ok(())).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    }
    writeln!(out, "{}", json!({ "summary": summary.json(statics) })).and_then(|()| out.flush()).context("print")?;
    Ok(ExitCode::SUCCESS)
}

fn read(record: Record) -> Result<Killmail, String> {
    match record {
        Record::Whole(bytes) => wire::decode(&bytes).map_err(|error| error.to_string()),
        Record::TooLarge { bytes, .. } => Err(format!("{bytes} bytes are too many")),
    }
}

fn kill(mail: &Killmail, found: &Found, items: Vec<Value>) -> Value {
    let Found { tagged, lacking } = found;
    let measures = tagged.measures.iter();
    let measures = measures.map(|of| json!({ "mass_balance": of.mass_balance, "usefulness": of.usefulness }));
    json!({
        "killmail_id": mail.killmail_id,
        "solar_system_id": mail.solar_system_id,
        "constellation_id": tagged.constellation_id,
        "region_id": tagged.region_id,
        "security_status": tagged.security_status,
        "system_class": tagged.system_class,
        "ship_type_id": mail.victim.ship_type_id,
        "ship_class": tagged.ship_class.as_deref(),
        "module_tags": tagged.module_tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "npc": tagged.npc,
        "solo": tagged.solo,
        "awox": tagged.awox,
        "points": tagged.points,
        "labels": tagged.labels,
        "unknown_types": lacking.types,
        "unknown_system": lacking.system,
        "items": items,
        "participants": measures.collect::<Vec<_>>(),
    })
}

/// What was found of all kills.
#[derive(Debug, Default)]
struct Summary {
    kills: u64,
    unreadable: u64,
    spent: Duration,
    items: u64,
    by_slot: BTreeMap<String, u64>,
    /// Flags that the table does not have.
    unknown_flags: BTreeMap<i32, u64>,
    unknown_types: BTreeMap<i64, u64>,
    /// Groups of fitted items without rule or reason.
    unruled: BTreeMap<i64, u64>,
}

impl Summary {
    fn timed(&mut self, tag: impl FnOnce() -> Found) -> Found {
        let started = Instant::now();
        let found = tag();
        self.spent += started.elapsed();
        self.kills += 1;
        for unknown in &found.lacking.types {
            *self.unknown_types.entry(unknown.get()).or_default() += 1;
        }
        found
    }

    /// The items of a kill, those that lie in others after them.
    fn items(&mut self, tagger: &Tagger, statics: &Statics, mail: &Killmail) -> Vec<Value> {
        let mut shown = Vec::new();
        for item in &mail.victim.items {
            let role = tagger.modules.role(statics, item);
            if let (Role::Unruled(_), Some(group)) = (role, statics.group(item.item_type_id)) {
                *self.unruled.entry(group.group_id.get()).or_default() += 1;
            }
            shown.push(self.item(tagger, item, role, false));
            shown.extend(item.items.iter().map(|nested| self.item(tagger, nested, Role::Loose, true)));
        }
        shown
    }

    fn item(&mut self, tagger: &Tagger, item: &Item, role: Role, is_nested: bool) -> Value {
        self.items += 1;
        let slot = tagger.modules.place(item.flag);
        match slot {
            Some(slot) => *self.by_slot.entry(slot.to_owned()).or_default() += 1,
            None => *self.unknown_flags.entry(item.flag).or_default() += 1,
        }
        let role_name = match role {
            Role::Fitted(_) | Role::Unruled(_) | Role::Unknown(_) => "fitted",
            Role::Charge => "charge",
            Role::Loose => "loose",
        };
        json!({
            "type_id": item.item_type_id,
            "flag": item.flag,
            "slot": slot,
            "role": role_name,
            "nested": is_nested,
            "tags": tagger.modules.names(role.tags()).iter().map(|tag| &**tag).collect::<Vec<_>>(),
        })
    }

    fn json(&self, statics: &Statics) -> Value {
        let classified: u64 = self.by_slot.values().sum();
        let name = |group: i64| {
            let group = crate::killmail::GroupId::new(group).and_then(|group| statics.groups.get(&group));
            group.map(|group| group.name.to_string())
        };
        let unruled = self.unruled.iter();
        let unruled = unruled.map(|(group, items)| json!({ "group_id": group, "name": name(*group), "items": items }));
        json!({
            "kills": self.kills,
            "unreadable": self.unreadable,
            "items": self.items,
            "items_by_slot": self.by_slot,
            "classified": if self.items == 0 { 1.0 } else { classified as f64 / self.items as f64 },
            "unknown_flags": self.unknown_flags,
            "unknown_types": self.unknown_types,
            "groups_without_rule_or_reason": unruled.collect::<Vec<_>>(),
            "microseconds_a_kill": self.spent.as_secs_f64() * 1e6 / self.kills.max(1) as f64,
        })
    }
}
