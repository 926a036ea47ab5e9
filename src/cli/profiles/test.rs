//! `profiles test`: what filters would have matched, and why.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::input::Given;
use super::trial::{Seen, Trial};
use super::{File, Usage, kills};
use crate::cli::opening::open_store;
use crate::cli::progress::{Progress, Unit, rate};
use crate::cli::text::{clean, cut};
use crate::cli::{Database, print};
use crate::definition::environment;
use crate::killmail::{Kill, KillmailId};
use crate::profile::layout::compact;
use crate::profile::{Document, Filter, Subject};
use crate::store::Store;

/// Filters of one file: each is tried on each kill.
const TRIALS_MAX: usize = 1_000;
/// A share of kills above which a profile is hardly of use.
const BROAD: f64 = 0.2;
/// Kills under which nothing is said of rules that never or always held.
const TELLING: u64 = 20;
/// Columns that a rule may take.
const RULE_MAX: usize = 56;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profiles or bare filters: a JSON object, or one a line; `-`: standard input.
    #[arg(value_name = "FILE")]
    pub file: File,
    /// Try them on these kills (files as `backfill` takes them) instead of those that are stored; each counts as received when it happened. The database's
    /// static data tell tags and places; values are zKillboard's.
    #[arg(long, value_name = "KILLS")]
    pub input: Vec<PathBuf>,
    /// At most this many stored kills, newest first.
    #[arg(long, value_name = "N", default_value_t = 10_000, conflicts_with = "input")]
    pub limit: u64,
    /// Only stored kills of the last days.
    #[arg(long, value_name = "N", conflicts_with = "input")]
    pub days: Option<u32>,
    /// Say why this kill matches, or does not, in the place of the first ones.
    #[arg(long = "kill", value_name = "ID", value_delimiter = ',', value_parser = killmail)]
    pub kills: Vec<KillmailId>,
    /// Ids of kills that matched to be named.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub examples: usize,
    /// One JSON object for each filter.
    #[arg(long)]
    pub json: bool,
}

fn killmail(text: &str) -> Result<KillmailId, String> {
    text.parse().ok().and_then(KillmailId::new).ok_or_else(|| "a kill's id is a whole number above 0".to_owned())
}

/// Filters on trial, and the kills' time.
#[derive(Debug)]
struct Court {
    trials: Vec<Trial>,
    asked: Vec<KillmailId>,
    examples: usize,
    kills: u64,
    span: Option<(Timestamp, Timestamp)>,
    unreadable: u64,
    /// Kills of which no value is known.
    unpriced: u64,
}

impl Court {
    fn look(&mut self, kill: &Kill) {
        let (Some(mail), Some(subject)) = (kill.mail.as_deref(), Subject::of(kill)) else { return };
        let time = mail.killmail_time;
        let (from, to) = self.span.unwrap_or((time, time));
        self.span = Some((from.min(time), to.max(time)));
        self.kills += 1;
        self.unpriced += u64::from(kill.values().total.is_none());
        let is_asked = self.asked.contains(&mail.killmail_id);
        for trial in &mut self.trials {
            trial.look(kill, &subject, self.examples);
            if is_asked {
                trial.explain(kill, &subject);
            }
        }
        self.asked.retain(|id| *id != mail.killmail_id);
    }

    fn days(&self) -> Option<f64> {
        let (from, to) = self.span?;
        let days = to.duration_since(from).as_secs_f64() / 86_400.0;
        (days > 0.0).then_some(days)
    }
}

/// Prints what came of each filter.
///
/// # Errors
/// A filter, kills or the database cannot be read.
pub(super) async fn run(args: Args, database: &Database) -> anyhow::Result<ExitCode> {
    let trials = read(&args)?;
    let (asked, examples) = (args.kills.clone(), args.examples);
    let mut court = Court { trials, asked, examples, kills: 0, span: None, unreadable: 0, unpriced: 0 };
    let store = open_store(&database.url, true).await?;
    let heard = hear(&*store, &args, &mut court).await;
    store.close().await;
    heard?;
    for id in &court.asked {
        eprintln!("there is no kill {id}");
    }
    for trial in &court.trials {
        if args.json { print(&value(trial, &court).to_string()) } else { print(&text(trial, &court)) }
    }
    Ok(if court.asked.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn hear(store: &dyn Store, args: &Args, court: &mut Court) -> anyhow::Result<()> {
    let (mut progress, begun) =
        (Progress::new((args.input.is_empty()).then_some((args.limit, Unit::Shares))), Instant::now());
    let mut show = |kills: u64| {
        if kills.is_multiple_of(1_000) {
            progress.show(kills, &format!("{} kills, {}", HumanCount(kills), rate(kills, begun.elapsed())));
        }
    };
    if args.input.is_empty() {
        kills::stored(store, args.limit, args.days, |kill, seen| {
            court.look(kill);
            show(seen);
        })
        .await?;
        for id in court.asked.clone() {
            if let Some(kill) = kills::one(store, id).await?
                && let Some(subject) = Subject::of(&kill)
            {
                court.trials.iter_mut().for_each(|trial| trial.explain(&kill, &subject));
                court.asked.retain(|asked| *asked != id);
            }
        }
    } else {
        let statics = store.load_statics().await.map_err(super::failed)?.1;
        if statics.is_empty() {
            eprintln!(
                "the database has no static data: tags, regions and classes are unknown (`broadside sde import` brings them)"
            );
        }
        for path in &args.input {
            let mut take = |kill: &Kill| {
                court.look(kill);
                show(court.kills);
            };
            let unreadable = kills::given(path, &statics, &mut take)?;
            court.unreadable += unreadable;
        }
    }
    progress.finish();
    Ok(())
}

/// Profiles and bare filters.
fn read(args: &Args) -> anyhow::Result<Vec<Trial>> {
    let unreadable = |error: std::io::Error| Usage(format!("failed to read {}: {error}", args.file.display()));
    let given = Given::open(&args.file).map_err(unreadable)?;
    let mut trials = Vec::new();
    given.each(|place, text| -> anyhow::Result<()> {
        let wrong = |problem| Usage(format!("failed to read {}: {place}{problem}", given.name()));
        let is_profile = serde_json::from_str::<serde_json::Map<String, Value>>(text)
            .is_ok_and(|members| !members.contains_key("condition") && !members.contains_key("field"));
        let trial = if is_profile {
            let document = Document::parse(text).map_err(wrong)?;
            Trial::new(Some(document.name), place.line(), document.filter, &document.filter_json)
        } else {
            Trial::new(None, place.line(), Filter::parse(text).map_err(wrong)?, &compact(text))
        };
        trials.push(trial);
        anyhow::ensure!(trials.len() <= TRIALS_MAX, Usage(format!("at most {TRIALS_MAX} filters are tried at once")));
        Ok(())
    })?;
    anyhow::ensure!(!trials.is_empty(), Usage(format!("there is nothing in {}", given.name())));
    Ok(trials)
}

fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

fn warnings(trial: &Trial) -> Vec<String> {
    let mut warnings = Vec::new();
    let matched = share(trial.matched(), trial.kills);
    if matched > BROAD {
        warnings.push(format!("it matches {:.0} % of all kills: hardly of use as a profile", matched * 100.0));
    }
    if trial.kills < TELLING {
        return warnings;
    }
    for (label, held) in trial.labels.iter().zip(&trial.held).skip(1).filter(|(label, _)| label.contains(' ')) {
        let rule = cut(&clean(label, false), RULE_MAX);
        if *held == 0 {
            warnings.push(format!("this rule never held: {rule}"));
        } else if *held == trial.kills {
            warnings.push(format!("this rule always held: {rule}"));
        }
    }
    warnings
}

/// How a tree is drawn.
struct Drawing {
    holds: &'static str,
    fails: &'static str,
    branch: &'static str,
    last: &'static str,
    bar: &'static str,
    decides: &'static str,
}

const LINES: Drawing =
    Drawing { holds: "✓ ", fails: "✗ ", branch: "├─ ", last: "└─ ", bar: "│  ", decides: "◄ " };
const ASCII: Drawing = Drawing { holds: "[x] ", fails: "[ ] ", branch: "|- ", last: "`- ", bar: "|  ", decides: "<- " };

/// Plain characters where the locale, or who asks for plain output, wants them.
fn drawing() -> &'static Drawing {
    let set = |name: &str| environment::process(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let is_utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
    if set("NO_COLOR").is_none() && (is_utf8 || locale.is_empty()) { &LINES } else { &ASCII }
}

fn text(trial: &Trial, court: &Court) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", title(trial));
    let (matched, kills) = (trial.matched(), trial.kills);
    let span = court.span.map_or(String::new(), |(from, to)| format!(" of {from:.0} to {to:.0}"));
    let _ = writeln!(out, "{} kills{span}", HumanCount(kills));
    if court.unreadable > 0 {
        let _ = writeln!(out, "{} records could not be read", HumanCount(court.unreadable));
    }
    if court.unpriced > 0 {
        let _ = writeln!(out, "of {} no value is known", HumanCount(court.unpriced));
    }
    let a_day = court.days().map_or(String::new(), |days| format!(", {:.1} a day", matched as f64 / days));
    let _ = writeln!(out, "{} matched: {}{a_day}", HumanCount(matched), percent(matched, kills));
    if !trial.examples.is_empty() {
        let ids: Vec<String> = trial.examples.iter().map(ToString::to_string).collect();
        // Six of them fit in 80 columns.
        let lines: Vec<String> = ids.chunks(6).map(|some| some.join(" ")).collect();
        let _ = writeln!(out, "such as {}", lines.join("\n        "));
    }
    let rows = tree(trial, |at| {
        (String::new(), format!("{:>9} {:>7}", HumanCount(trial.held[at]).to_string(), percent(trial.held[at], kills)))
    });
    let _ = write!(out, "\nhow often each rule held\n{rows}");
    let asked = trial.asked.iter().map(|seen| (seen, seen.distance == 0));
    let (matching, missing) =
        (trial.matching.iter().map(|seen| (seen, true)), trial.missing.iter().map(|seen| (seen, false)));
    let shown: Vec<_> =
        if trial.asked.is_empty() { matching.take(1).chain(missing.take(2)).collect() } else { asked.collect() };
    for (seen, matches) in shown {
        let how = match (matches, seen.distance) {
            (true, _) => "matches".to_owned(),
            (false, 1) => "does not match: one rule keeps it from it".to_owned(),
            (false, distance) => format!("does not match: {distance} rules keep it from it"),
        };
        let _ = write!(
            out,
            "\nkill {} {how} ({} decides)\n{}",
            seen.killmail_id,
            drawing().decides.trim(),
            why(trial, seen)
        );
    }
    for warning in warnings(trial) {
        let _ = writeln!(out, "\nwarning: {warning}");
    }
    out
}

fn title(trial: &Trial) -> String {
    let line = trial.line.map_or(String::new(), |line| format!(" (line {line})"));
    let name = trial.name.as_ref().map_or("a filter".to_owned(), |name| format!("\"{}\"", clean(name, false)));
    format!("{name}{line}")
}

fn percent(count: u64, of: u64) -> String {
    format!("{:.2} %", share(count, of) * 100.0)
}

fn why(trial: &Trial, seen: &Seen) -> String {
    let drawing = drawing();
    tree(trial, |at| {
        let node = &seen.nodes[at];
        let mark = if node.holds { drawing.holds } else { drawing.fails };
        let found = if node.found.is_empty() { String::new() } else { cut(&clean(&node.found, false), 40) };
        (mark.to_owned(), format!("{}{found}", if node.decides { drawing.decides } else { "" }))
    })
}

/// The rules, each with what is said in front of it and behind it.
fn tree(trial: &Trial, said: impl Fn(usize) -> (String, String)) -> String {
    let mut rows = Vec::new();
    draw(trial, &trial.root, ("", ""), &said, &mut rows);
    let width = rows.iter().map(|(rule, _)| crate::cli::text::width(rule)).max().unwrap_or(0);
    let mut out = String::new();
    for (rule, behind) in rows {
        let blanks = " ".repeat(width - crate::cli::text::width(&rule));
        let _ = writeln!(out, "{}", format!("  {rule}{blanks}  {behind}").trim_end());
    }
    out
}

fn draw(
    trial: &Trial,
    node: &crate::profile::Node,
    (own, below): (&str, &str),
    said: &impl Fn(usize) -> (String, String),
    rows: &mut Vec<(String, String)>,
) {
    let at = rows.len();
    let (front, behind) = said(at);
    rows.push((format!("{own}{front}{}", cut(&clean(&trial.labels[at], false), RULE_MAX)), behind));
    let (nodes, drawing) = (node.below(), drawing());
    for (index, inner) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let (branch, bar) = if is_last { (drawing.last, "   ") } else { (drawing.branch, drawing.bar) };
        draw(trial, inner, (&format!("{below}{branch}"), &format!("{below}{bar}")), said, rows);
    }
}

fn value(trial: &Trial, court: &Court) -> Value {
    let (matched, kills) = (trial.matched(), trial.kills);
    let counted = |at: usize| json!({"held": trial.held[at], "share": share(trial.held[at], kills)});
    let seen = |seen: &Seen| {
        let node = |at: usize| {
            let node = &seen.nodes[at];
            let mut value = json!({"holds": node.holds, "decides": node.decides});
            if !node.found.is_empty() {
                value["found"] = node.found.as_str().into();
            }
            value
        };
        let matches = seen.distance == 0;
        json!({"killmail_id": seen.killmail_id, "matches": matches, "rules_in_the_way": seen.distance,
            "tree": rules(trial, &trial.root, &mut 0, &node)})
    };
    let all = |list: &[Seen]| list.iter().map(seen).collect::<Vec<_>>();
    json!({
        "name": trial.name,
        "line": trial.line,
        "kills": kills,
        "unreadable": court.unreadable,
        "without_value": court.unpriced,
        "from": court.span.map(|(from, _)| from),
        "to": court.span.map(|(_, to)| to),
        "matched": matched,
        "share": share(matched, kills),
        "per_day": court.days().map(|days| matched as f64 / days),
        "examples": trial.examples,
        "tree": rules(trial, &trial.root, &mut 0, &counted),
        "asked": all(&trial.asked),
        "matching": all(&trial.matching),
        "missing": all(&trial.missing),
        "warnings": warnings(trial),
    })
}

/// The tree, each node with what is told of it.
fn rules(trial: &Trial, node: &crate::profile::Node, at: &mut usize, told: &dyn Fn(usize) -> Value) -> Value {
    let mut value = told(*at);
    value["rule"] = trial.labels[*at].as_str().into();
    *at += 1;
    let below: Vec<Value> = node.below().iter().map(|node| rules(trial, node, at, told)).collect();
    if !below.is_empty() {
        value["rules"] = below.into();
    }
    value
}
