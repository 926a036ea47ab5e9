//! The job for people: a table, and a line that changes.

use indicatif::HumanCount;
use serde_json::Value;

use crate::cli::columns::align;
use crate::cli::progress::{Progress, Unit};
use crate::cli::text::clean;

/// Whether somebody has to be at it.
pub(super) fn is_running(status: &Value) -> bool {
    matches!(status["state"].as_str(), Some("processing" | "initializing"))
}

/// State, totals, and a row for each market.
pub(super) fn page(status: &Value) -> String {
    let analytics = &status["analytics"];
    let mut text = format!("state: {}", word(&status["state"]));
    if let Some(market) = status["current_market"].as_i64() {
        text.push_str(&format!(" (market {market})"));
    }
    if let Some(reason) = status["reason"].as_str() {
        text.push_str(&format!(": {}", clean(reason, false)));
    }
    if count(&analytics["total"]) == 0 {
        return text;
    }
    text.push_str(&format!("\n{}\n\n", totals(status)));
    let mut rows = vec![["MARKET", "PRODUCTS", "DONE", "PRICED", "FAILED", "SUCCESS", "LEFT"].map(String::from)];
    for market in status["markets"].as_array().into_iter().flatten() {
        let figure = |name: &str| HumanCount(count(&market[name])).to_string();
        let left = if is_running(status) { eta(&market["eta_minutes"]) } else { "-".to_owned() };
        rows.push([
            market["market_id"].to_string(),
            figure("total"),
            figure("completed"),
            figure("successful"),
            figure("failed"),
            share(&market["success_rate"]),
            left,
        ]);
    }
    text + &align(&rows)
}

/// `21 % of 60,000 products, 98 % priced, 4.21 ms each, 4 min left`.
fn totals(status: &Value) -> String {
    let analytics = &status["analytics"];
    let total = HumanCount(count(&analytics["total"]));
    let mut text = format!("{} of {total} products", share(&status["overall_progress"]));
    if count(&analytics["completed"]) > 0 {
        text.push_str(&format!(", {} priced", share(&analytics["success_rate"])));
    }
    if let Some(each) = analytics["average_milliseconds"].as_f64() {
        text.push_str(&format!(", {each:.2} ms each"));
    }
    if is_running(status) {
        text.push_str(&format!(", {} left", eta(&status["total_eta_minutes"])));
    }
    text
}

fn word(value: &Value) -> String {
    clean(value.as_str().unwrap_or("unknown"), false)
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn share(value: &Value) -> String {
    format!("{:.1} %", value.as_f64().unwrap_or(0.0) * 100.0)
}

/// Minutes as people say them.
fn eta(minutes: &Value) -> String {
    match minutes.as_f64().map(|minutes| minutes * 60.0) {
        None => "-".to_owned(),
        Some(seconds) if seconds < 99.5 => format!("{seconds:.0} s"),
        Some(seconds) if seconds < 99.5 * 60.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Live figures of a run; the bar comes once it is known how long it is.
#[derive(Debug)]
pub(super) struct Watched(Option<Progress>);

impl Watched {
    pub(super) fn new(status: &Value) -> Self {
        let total = count(&status["analytics"]["total"]);
        Self((total > 0).then(|| Progress::new(Some((total, Unit::Told)))))
    }

    pub(super) fn progress(&self) -> Option<&Progress> {
        self.0.as_ref()
    }

    pub(super) fn show(&mut self, status: &Value) {
        if self.0.is_none() {
            *self = Self::new(status);
        }
        let Some(progress) = &mut self.0 else { return };
        let market = status["current_market"].as_i64().map_or(String::new(), |market| format!("market {market}: "));
        progress.show(count(&status["analytics"]["completed"]), &format!("{market}{}", totals(status)));
    }

    pub(super) fn finish(self) {
        if let Some(progress) = self.0 {
            progress.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_shown_with_its_totals_and_a_row_a_market() {
        let status = json!({
            "state": "processing", "current_market": 2, "overall_progress": 0.2105, "total_eta_minutes": 4.4, "reason": null,
            "markets": [{"market_id": 2, "total": 60_000, "completed": 12_630, "successful": 12_600, "failed": 30,
                "success_rate": 0.9976, "eta_minutes": 4.4}],
            "analytics": {"total": 60_000, "completed": 12_630, "success_rate": 0.9976, "average_milliseconds": 4.213},
        });
        let text = page(&status);
        assert!(
            text.starts_with(
                "state: processing (market 2)\n21.1 % of 60,000 products, 99.8 % priced, 4.21 ms each, 4 min left\n"
            ),
            "{text}"
        );
        assert!(text.contains("2       60,000    12,630  12,600  30      99.8 %   4 min"), "{text}");
    }

    #[test]
    fn a_job_that_was_never_started_is_one_line_and_its_reason_is_cleaned() {
        let status = json!({"state": "error", "current_market": null, "reason": "a\u{1b}b", "analytics": {"total": 0}});
        assert_eq!(page(&status), "state: error: a\\u{1b}b");
        assert_eq!([eta(&json!(0.5)), eta(&json!(200.0)), eta(&json!(null))], ["30 s", "3.3 h", "-"]);
    }
}
