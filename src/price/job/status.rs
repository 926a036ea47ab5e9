//! The job as it is shown: shares, averages, and how long it will take.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Job, Market, Pace};

/// What `GET /api/cache/prices/status` answers. Rates and progress are from 0 to 1; a rate of nothing is 0.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PriceJob")]
pub struct Status {
    /// `idle`, `initializing`, `processing`, `paused`, `completed`, `error`.
    pub state: &'static str,
    pub current_market: Option<i64>,
    pub markets: Vec<MarketStatus>,
    pub overall_progress: f64,
    /// Until all markets are done; `None` before anything is known.
    pub total_eta_minutes: Option<f64>,
    pub analytics: Analytics,
    /// Why it is in this state, where nobody asked for it.
    pub reason: Option<String>,
    pub started_at: Option<Timestamp>,
    pub changed_at: Option<Timestamp>,
}

/// One market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct MarketStatus {
    pub market_id: i64,
    pub total: u64,
    /// Successful ones and failed ones.
    pub completed: u64,
    pub successful: u64,
    pub failed: u64,
    /// Of those that are completed.
    pub success_rate: f64,
    pub eta_minutes: Option<f64>,
}

/// Figures over the whole run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Analytics {
    pub total: u64,
    pub completed: u64,
    pub successful: u64,
    pub failed: u64,
    pub success_rate: f64,
    /// Time spent, pauses left out.
    pub seconds: f64,
    pub average_milliseconds: Option<f64>,
    pub markets: Vec<MarketAnalytics>,
}

/// The same of one market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct MarketAnalytics {
    pub market_id: i64,
    pub success_rate: f64,
    pub seconds: f64,
    pub average_milliseconds: Option<f64>,
}

/// What only the worker knows that is at it.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Of the current market.
    pub here: Pace,
    /// Of all.
    pub all: Pace,
    /// Since the last progress.
    pub waited: f64,
}

impl Outlook {
    /// From what is kept of the job.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let current = job.current_market();
        let here = job.markets.iter().find(|market| Some(market.market_id) == current);
        let all = sum(&job.markets, Market::completed);
        let seconds = job.markets.iter().map(|market| market.seconds).fold(0.0, |sum, seconds| sum + seconds);
        let since = |market: &Market| Pace::since(market.completed(), market.seconds);
        Self { here: here.map_or_else(|| Pace::since(0, 0.0), since), all: Pace::since(all, seconds), waited: 0.0 }
    }
}

impl Status {
    /// The job with what is known of its pace.
    #[must_use]
    pub fn new(job: &Job, outlook: &Outlook) -> Self {
        let current = job.current_market();
        let markets: Vec<_> = job.markets.iter().map(|market| of_market(job, market, current, outlook)).collect();
        let (total, completed) = (sum(&job.markets, |m| m.total), sum(&job.markets, Market::completed));
        let is_done = job.state == super::State::Completed;
        Self {
            state: job.state.as_str(),
            current_market: current,
            overall_progress: if is_done { 1.0 } else { rate(completed, total) },
            total_eta_minutes: markets
                .iter()
                .map(|market| market.eta_minutes)
                .sum::<Option<f64>>()
                .filter(|_| total > 0),
            markets,
            analytics: analytics(&job.markets),
            reason: job.reason.clone(),
            started_at: job.started_at,
            changed_at: job.changed_at,
        }
    }
}

fn of_market(job: &Job, market: &Market, current: Option<i64>, outlook: &Outlook) -> MarketStatus {
    let is_current = current == Some(market.market_id);
    let eta = match (job.state.is_begun(), market.remaining()) {
        (_, 0) => Some(0.0),
        (false, _) => None,
        (true, remaining) => seconds_left(market, remaining, is_current, outlook),
    };
    MarketStatus {
        market_id: market.market_id,
        total: market.total,
        completed: market.completed(),
        successful: market.successful,
        failed: market.failed,
        success_rate: rate(market.successful, market.completed()),
        eta_minutes: eta.map(|seconds| seconds / 60.0),
    }
}

/// A market's own pace, once a tenth of it is known; else that of all.
fn seconds_left(market: &Market, remaining: u64, is_current: bool, outlook: &Outlook) -> Option<f64> {
    let own = outlook.here.seconds_each().filter(|_| is_current && market.completed() * 10 >= market.total);
    let left = remaining as f64 * own.or_else(|| outlook.all.seconds_each())?;
    // Progress comes in steps: part of the present one is over.
    let over = if is_current { outlook.waited.min(outlook.all.last_step()) } else { 0.0 };
    Some((left - over).max(0.0))
}

fn analytics(markets: &[Market]) -> Analytics {
    let (completed, successful) = (sum(markets, Market::completed), sum(markets, |market| market.successful));
    let seconds: f64 = markets.iter().map(|market| market.seconds).fold(0.0, |sum, seconds| sum + seconds);
    let of_market = |market: &Market| MarketAnalytics {
        market_id: market.market_id,
        success_rate: rate(market.successful, market.completed()),
        seconds: market.seconds,
        average_milliseconds: average(market.seconds, market.completed()),
    };
    Analytics {
        total: sum(markets, |market| market.total),
        completed,
        successful,
        failed: sum(markets, |market| market.failed),
        success_rate: rate(successful, completed),
        seconds,
        average_milliseconds: average(seconds, completed),
        markets: markets.iter().map(of_market).collect(),
    }
}

fn sum(markets: &[Market], of: impl Fn(&Market) -> u64) -> u64 {
    markets.iter().map(of).sum()
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn average(seconds: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| seconds * 1000.0 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn job(state: State) -> Job {
        let first = Market { successful: 90, failed: 10, seconds: 50.0, ..Market::new(2, 100) };
        let second = Market { successful: 20, seconds: 20.0, ..Market::new(115, 100) };
        Job { state, markets: vec![first, second, Market::new(3, 200)], ..Job::default() }
    }

    #[test]
    fn shares_and_estimates_are_by_market_and_over_all() {
        let job = job(State::Processing);
        let status = Status::new(&job, &Outlook::of(&job));
        assert_eq!((status.state, status.current_market, status.overall_progress), ("processing", Some(115), 0.3));
        assert_eq!(status.markets[0].success_rate, 0.9);
        // 1 s each here; over all, 70 s for 120.
        let etas: Vec<_> =
            status.markets.iter().map(|market| market.eta_minutes.map(|eta| (eta * 60.0).round())).collect();
        assert_eq!(etas, [Some(0.0), Some(80.0), Some(117.0)]);
        assert_eq!(status.total_eta_minutes.map(|eta| (eta * 60.0).round()), Some(197.0));
        assert_eq!(status.analytics.average_milliseconds.map(f64::round), Some(583.0));
        assert_eq!(status.analytics.markets[2].average_milliseconds, None);
    }

    #[test]
    fn the_part_of_a_step_that_is_over_is_taken_off_and_no_more() {
        let job = job(State::Processing);
        let mut outlook = Outlook::of(&job);
        outlook.all.note(130, 75.0);
        let left = |waited: f64| {
            let status = Status::new(&job, &Outlook { waited, ..outlook.clone() });
            status.markets[1].eta_minutes.map(|eta| (eta * 60.0).round())
        };
        assert_eq!((left(0.0), left(3.0), left(500.0)), (Some(80.0), Some(77.0), Some(75.0)));
    }

    #[test]
    fn a_job_that_does_not_run_has_no_estimate_and_one_that_is_done_is_whole() {
        let idle = job(State::Idle);
        let status = Status::new(&idle, &Outlook::of(&idle));
        assert_eq!((status.current_market, status.total_eta_minutes), (None, None));
        let empty = Job { state: State::Completed, ..Job::default() };
        let status = Status::new(&empty, &Outlook::of(&empty));
        assert_eq!((status.overall_progress, status.total_eta_minutes), (1.0, None));
        let text = serde_json::to_value(&status).expect("JSON");
        assert_eq!(text["analytics"]["success_rate"], 0.0);
    }
}
