//! The market as people read it: a table of 80 columns, its total, and what is wrong.

use std::cmp::Reverse;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::text::{clean, cut, width};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns of a name in a line of its own.
const NAME_MAX: usize = 24;
/// The longest word for a state.
const STATE_MAX: usize = 10;
/// As the worker has it, of a sweep.
const INCOMPLETE: &str = "incomplete";
/// Lines on what is wrong.
const PROBLEMS_MAX: usize = 100;
const HEAD: [&str; 10] = ["REGION", "ID", "STATE", "ORDERS", "PAGES", "304", "TOOK", "AGO", "NEXT", "RST"];
/// Blanks before each column; numbers, which are to the right, need no more than one.
const GAPS: [usize; 10] = [0, 2, 2, 2, 1, 1, 1, 1, 1, 1];
/// Where text is, to the left.
const TEXTS: [usize; 2] = [0, 2];

/// A worker's answer, or the database's in the same form. What it lacks is shown as `-`.
#[derive(Debug)]
pub(super) struct Status {
    values: Vec<Value>,
    regions: Vec<Region>,
    tokens: Option<Tokens>,
    trouble: Vec<(String, String)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Region {
    region_id: i64,
    name: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    failures: u64,
    pages: u32,
    orders: u64,
    last_sweep: Option<Sweep>,
    next_due: Option<Timestamp>,
    restarts: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sweep {
    ended_at: Option<Timestamp>,
    seconds: f64,
    fetched: u64,
    unchanged: u64,
    share_unchanged: Option<f64>,
    quality: String,
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    limit: u64,
    remaining: u64,
    stretch_hubs: f64,
    stretch_others: f64,
}

impl Region {
    /// What is wrong with it.
    fn problem(&self) -> Option<String> {
        let why = |reason: &Option<String>| reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        let incomplete = self.last_sweep.as_ref().filter(|sweep| sweep.quality == INCOMPLETE);
        if self.is_failing() {
            return Some(why(&self.reason));
        }
        incomplete.map(|sweep| format!("{INCOMPLETE}: {}", why(&sweep.reason)))
    }

    fn is_failing(&self) -> bool {
        // One that is being tried again has failed so far.
        self.failures > 0 || matches!(self.state.as_deref(), Some("failing" | "restarting"))
    }

    fn name(&self) -> String {
        match self.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => clean(name, false),
            None => format!("region {}", self.region_id),
        }
    }

    fn cells(&self, now: Timestamp) -> [String; 10] {
        let dash = || "-".to_owned();
        let sweep = self.last_sweep.as_ref();
        let swept = sweep.and_then(|sweep| sweep.ended_at);
        let left = self.next_due.map(|due| seconds(now, due));
        [
            self.name(),
            self.region_id.to_string(),
            self.state.as_deref().map_or_else(dash, |state| cut(&clean(state, false), STATE_MAX)),
            count(self.orders),
            count(self.pages.into()),
            sweep.and_then(|sweep| sweep.share_unchanged).map_or_else(dash, percent),
            swept.and(sweep).map_or_else(dash, |sweep| span(sweep.seconds)),
            swept.map_or_else(dash, |at| span(seconds(at, now))),
            left.map_or_else(dash, |left| if left <= 0.0 { "now".to_owned() } else { span(left) }),
            self.restarts.map_or_else(dash, |restarts| count(restarts.into())),
        ]
    }
}

impl Status {
    /// From `GET /api/market`; failing regions first, then by their orders.
    pub(super) fn of(answer: &Value) -> Self {
        let values = answer["regions"].as_array().cloned().unwrap_or_default();
        // One that cannot be read is as good as one of which nothing is known.
        let mut all: Vec<(Region, Value)> =
            values.into_iter().map(|value| (Region::deserialize(&value).unwrap_or_default(), value)).collect();
        all.sort_by_key(|(region, _)| (!region.is_failing(), Reverse(region.orders), region.region_id));
        let (regions, values) = all.into_iter().unzip();
        let trouble = answer["trouble"].as_object().into_iter().flatten();
        let trouble = trouble.map(|(name, why)| (name.clone(), why.as_str().unwrap_or_default().to_owned()));
        let tokens = Option::deserialize(&answer["tokens"]).unwrap_or_default();
        Self { values, regions, tokens, trouble: trouble.collect() }
    }

    /// Each as it was answered.
    pub(super) fn regions(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// The id of the region of that name.
    pub(super) fn id_of(&self, name: &str) -> Option<i64> {
        let named = |region: &&Region| region.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.regions.iter().find(named).map(|region| region.region_id)
    }

    /// Table, total and problems; no line is wider than a terminal.
    pub(super) fn page(&self, now: Timestamp) -> String {
        let mut lines = if self.regions.is_empty() { vec!["no regions".to_owned()] } else { self.table(now) };
        if !self.regions.is_empty() {
            lines.push(String::new());
            lines.push(self.total());
        }
        lines.extend(self.limits());
        lines.extend(self.problems());
        let lines: Vec<String> = lines.iter().map(|line| cut(line, WIDTH)).collect();
        lines.join("\n")
    }

    fn table(&self, now: Timestamp) -> Vec<String> {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.regions.iter().map(|region| region.cells(now)));
        let mut widths = [0; HEAD.len()];
        for (column, widest) in widths.iter_mut().enumerate() {
            *widest = rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
        }
        let others: usize = widths[1..].iter().chain(&GAPS).sum();
        widths[0] = widths[0].min(WIDTH.saturating_sub(others));
        rows.iter().map(|row| line(row, &widths)).collect()
    }

    fn total(&self) -> String {
        let sweeps = || self.regions.iter().filter_map(|region| region.last_sweep.as_ref());
        let orders = self.regions.iter().fold(0_u64, |sum, region| sum.saturating_add(region.orders));
        let pages = self.regions.iter().map(|region| u64::from(region.pages)).sum();
        let plural = if self.regions.len() == 1 { "" } else { "s" };
        let mut total =
            format!("{} region{plural}, {} orders, {} pages", self.regions.len(), count(orders), count(pages));
        let unchanged = sweeps().map(|sweep| sweep.unchanged as f64).sum::<f64>();
        let asked = unchanged + sweeps().map(|sweep| sweep.fetched as f64).sum::<f64>();
        if asked > 0.0 {
            total += &format!("; 304: {}", percent(unchanged / asked));
        }
        for quality in ["mixed", INCOMPLETE] {
            let found = sweeps().filter(|sweep| sweep.quality == quality).count();
            if found > 0 {
                total += &format!("; {found} {quality}");
            }
        }
        total
    }

    fn limits(&self) -> Option<String> {
        let tokens = self.tokens.as_ref()?;
        let mut line = format!("tokens left: {} of {}", count(tokens.remaining), count(tokens.limit));
        let (hubs, others) = (tokens.stretch_hubs, tokens.stretch_others);
        if hubs > 1.0 || others > 1.0 {
            line += &format!("; intervals stretched {hubs:.1}x (hubs), {others:.1}x");
        }
        Some(line)
    }

    fn problems(&self) -> Vec<String> {
        let trouble = self.trouble.iter().map(|(pipeline, why)| format!("{pipeline}: {why}"));
        let regions = self
            .regions
            .iter()
            .filter_map(|region| Some(format!("{}: {}", cut(&region.name(), NAME_MAX), region.problem()?)));
        let mut problems: Vec<String> = trouble.chain(regions).map(|problem| clean(&problem, false)).collect();
        if problems.len() > PROBLEMS_MAX {
            let more = problems.len() - PROBLEMS_MAX;
            problems.truncate(PROBLEMS_MAX);
            problems.push(format!("and {more} more"));
        }
        if !problems.is_empty() {
            problems.insert(0, String::new());
        }
        problems
    }
}

fn line(row: &[String; 10], widths: &[usize; 10]) -> String {
    let mut text = String::new();
    for (column, (cell, room)) in row.iter().zip(widths).enumerate() {
        let cell = cut(cell, *room);
        let blank = " ".repeat(room - width(&cell));
        text += &" ".repeat(GAPS[column]);
        if TEXTS.contains(&column) {
            text += &cell;
            text += &blank;
        } else {
            text += &blank;
            text += &cell;
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Seven columns at most: `999,999`, `1.23M`.
fn count(number: u64) -> String {
    if number < 1_000_000 {
        return HumanCount(number).to_string();
    }
    let (mut shown, mut unit) = (number as f64 / 1e6, 0);
    while shown >= 999.5 {
        (shown, unit) = (shown / 1e3, unit + 1);
    }
    let digits = if shown < 9.995 { 2 } else { usize::from(shown < 99.95) };
    format!("{shown:.digits$}{}", ["M", "G", "T", "P", "E"][unit.min(4)])
}

/// Four columns at most.
fn percent(share: f64) -> String {
    format!("{:.0}%", (share * 100.0).clamp(0.0, 100.0))
}

/// Four columns at most: `0.4s`, `45s`, `12m`, `36h`, `90d`.
fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        short if short < 9.95 => format!("{short:.1}s"),
        some if some < 99.5 => format!("{some:.0}s"),
        minutes if minutes < 99.5 * 60.0 => format!("{:.0}m", minutes / 60.0),
        hours if hours < 47.5 * 3600.0 => format!("{:.0}h", hours / 3600.0),
        days if days < 999.0 * 86_400.0 => format!("{:.0}d", days / 86_400.0),
        _ => ">2y".to_owned(),
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
