//! The life of one region's poller: sweep, wait until the pages have expired, sweep again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broadside_engine::{Failure, Message};
use jiff::{SignedDuration, Timestamp};
use metrics::{Gauge, counter, gauge};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::calls::Calls;
use super::outside::{Outside, Trouble};
use super::pace::{Load, Rules, Stretch};
use super::sweep::{Came, Ended, Memory, Sweep};
use super::{Config, Wanted};
use crate::books::Books;
use crate::killmail::RegionId;
use crate::market::Page;
use crate::regions::{LastSweep, Regions, Standing, State, Tokens};
use crate::resources::Resources;
use crate::store::{Error, Store, Swept, retry};

/// What all pollers of a pipeline share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pipeline: String,
    /// ESI's address.
    pub(super) url: String,
    pub(super) wanted: Wanted,
    pub(super) stagger: Duration,
    pub(super) budget: broadside_engine::topology::RestartBudget,
    pub(super) rules: Rules,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) store: Arc<dyn Store>,
    pub(super) books: Arc<Books>,
    pub(super) regions: Arc<Regions>,
    /// Calls at once, of all regions.
    pub(super) calls: Calls,
    /// Calls at once of one region: a slow one leaves room for the others.
    pub(super) calls_each: usize,
    pub(super) connected: Gauge,
    sweeps: AtomicU64,
    plan: Mutex<Plan>,
    /// Until when regions whose sweep has not come to its end are not to be asked again: for a poller that begins anew, and noted when the worker stops.
    rests: Mutex<BTreeMap<RegionId, Timestamp>>,
    pub(super) clock: (Instant, Timestamp),
}

#[derive(Debug, Default)]
struct Plan {
    loads: BTreeMap<RegionId, Load>,
    stretch: Stretch,
    /// Seconds that a page took of late, of whatever region.
    per_page: f64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(config: &Config, pipeline: &str, resources: &Resources, outside: Arc<dyn Outside>) -> Self {
        let labels = [("pipeline", pipeline.to_owned()), ("source", "market".to_owned())];
        // There is none yet, which is to be seen.
        counter!("broadside_market_sweeps_total", "quality" => "whole").increment(0);
        Self {
            pipeline: pipeline.to_owned(),
            url: config.url.clone(),
            wanted: config.regions.clone(),
            stagger: config.stagger.0,
            budget: config.budget(),
            rules: Rules::new(config),
            outside,
            store: resources.store.clone(),
            books: resources.books.clone(),
            regions: resources.regions.clone(),
            calls: Calls::new(config.concurrency),
            calls_each: config.concurrency.saturating_sub(2).max(1),
            connected: gauge!("broadside_source_connected", &labels),
            sweeps: AtomicU64::new(0),
            plan: Mutex::default(),
            rests: Mutex::default(),
            clock: (Instant::now(), Timestamp::now()),
        }
    }

    /// The time of day, which does not jump.
    pub(super) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> Timestamp {
        let (then, time) = self.clock;
        let since = SignedDuration::try_from(instant.saturating_duration_since(then)).unwrap_or(SignedDuration::ZERO);
        time.checked_add(since).unwrap_or(time)
    }

    /// How long it is until then; nothing when it is past.
    pub(super) fn until(&self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.now())).unwrap_or_default()
    }

    pub(super) fn next_sweep(&self) -> u64 {
        self.sweeps.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// About how long so many pages take.
    pub(super) fn estimate(&self, pages: u32) -> Duration {
        Duration::from_secs_f64(lock(&self.plan).per_page * f64::from(pages))
    }

    /// Takes a region's needs into the plan; answers by how much its interval is stretched.
    fn plan(&self, region: RegionId, load: Load, per_page: Option<f64>) -> f64 {
        let mut plan = lock(&self.plan);
        plan.loads.insert(region, load);
        if let Some(per_page) = per_page {
            plan.per_page = if plan.per_page == 0.0 { per_page } else { plan.per_page * 0.7 + per_page * 0.3 };
        }
        if let Some(tokens) = self.outside.tokens() {
            let loads: Vec<Load> = plan.loads.values().copied().collect();
            let window = tokens.window.as_secs_f64().max(1.0);
            plan.stretch = Stretch::plan(&loads, f64::from(tokens.limit) / window);
            self.regions.set_tokens(Tokens {
                limit: tokens.limit,
                window_seconds: window,
                remaining: tokens.remaining,
                stretch_hubs: plan.stretch.hubs,
                stretch_others: plan.stretch.others,
            });
        }
        plan.stretch.of(load.pages)
    }

    /// A region is polled no more.
    pub(super) fn forget(&self, region: RegionId) {
        lock(&self.plan).loads.remove(&region);
    }

    /// A page of this region is not to be asked for again before; `None`: that is stored.
    pub(super) fn rests_until(&self, region: RegionId, until: Option<Timestamp>) {
        let mut rests = lock(&self.rests);
        match until {
            Some(until) => {
                let known = rests.entry(region).or_insert(until);
                *known = until.max(*known);
            }
            None => {
                rests.remove(&region);
            }
        }
    }

    /// Until when a region whose sweep was left in the middle rests.
    fn rest_of(&self, region: RegionId) -> Option<Timestamp> {
        lock(&self.rests).get(&region).copied()
    }

    /// Notes what is known of sweeps that were left in the middle.
    pub(super) async fn note_rests(&self) {
        let rests = std::mem::take(&mut *lock(&self.rests));
        for (region, until) in rests {
            if let Err(error) = self.store.rest_region(region, until).await {
                tracing::warn!(%region, %error, "failed to note until when a region rests");
            }
        }
    }

    pub(super) async fn hold<T, F>(&self, what: &'static str, call: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = retry::hold(self.store.health(), what, call).await;
        answer.map_err(|error| Failure::permanent(format!("{what}: {error}")))
    }
}

/// One region.
#[derive(Debug, Clone)]
pub(super) struct Poller {
    pub(super) region: RegionId,
    pub(super) shared: Arc<Shared>,
    pub(super) out: mpsc::Sender<Message<Page>>,
}

impl Poller {
    /// Sweeps for as long as it is polled.
    ///
    /// # Errors
    /// The store refuses, for good, what a region cannot do without.
    pub(super) async fn run(self, delay: Duration) -> Result<Infallible, Failure> {
        sleep(delay).await;
        let rest = self.load().await?;
        let mut due = Instant::now() + rest;
        // When what is known of the pages was overtaken.
        let mut expired = due;
        let mut memory = Memory::default();
        loop {
            self.show(State::Waiting, None, Some(due));
            sleep_until(due).await;
            self.shared.regions.update(self.region, |standing| standing.tally = Default::default());
            self.show(State::Sweeping, None, None);
            let came = Sweep::begin(&self, &mut memory).run().await?;
            memory.note(&came);
            due = match came {
                Came::Ended(ended) => {
                    memory.pages = ended.pages;
                    let due = self.ended(&ended, expired);
                    expired = ended.answered + ended.last_holds;
                    due
                }
                Came::Postponed(wait) => Instant::now() + wait,
                Came::Failed(trouble) => self.failed(&trouble),
            };
        }
    }

    /// Takes what is stored of the region, unless this process has it already; answers how long to wait for the first sweep.
    async fn load(&self) -> Result<Duration, Failure> {
        let (shared, region) = (&*self.shared, self.region);
        let shelf = shared.books.of(region);
        let rows = shared.hold("read the regions of the market", || shared.store.market_regions()).await?;
        let swept = rows.into_iter().find(|swept| swept.region == region);
        if !shelf.book().is_loaded() {
            let open = shared.hold("read open market orders", || shared.store.open_orders(region)).await?;
            let pages = shared.hold("read pages of the market", || shared.store.market_pages(region)).await?;
            shelf.book().load(&open, pages.into_iter().map(|page| (page.number, page.tag, page.orders)));
        }
        let orders = shelf.book().len() as u64;
        shared.regions.update(region, |standing| {
            standing.orders = orders;
            if let Some(Swept { pages, .. }) = &swept {
                standing.pages = *pages;
            }
        });
        let rests = swept.map(|swept| swept.not_before).max(shared.rest_of(region));
        let rest = rests.map(|until| shared.until(until)).filter(|rest| !rest.is_zero());
        Ok(rest.map_or(Duration::ZERO, |rest| rest + shared.rules.margin))
    }

    fn show(&self, state: State, reason: Option<String>, due: Option<Instant>) {
        let (now, due) = (self.shared.now(), due.map(|due| self.shared.at(due)));
        self.shared.regions.update(self.region, |standing| {
            // A trouble is over when a sweep has come to its end.
            let state = if standing.failures > 0 && state == State::Waiting { State::Failing } else { state };
            let reason = reason.or_else(|| standing.reason.take().filter(|_| standing.failures > 0));
            standing.enter(state, reason, now);
            standing.next_due = due;
        });
    }

    /// Notes a sweep that came to its end; answers when the next is due.
    fn ended(&self, ended: &Ended, expired: Instant) -> Instant {
        let (shared, now) = (&*self.shared, Instant::now());
        let asked = ended.fetched + ended.unchanged;
        let seconds = (now - ended.begun).as_secs_f64();
        let every = shared.rules.next(ended.first_holds, ended.last_holds, 1.0).as_secs_f64();
        let load = Load { pages: ended.pages, tokens: f64::from(ended.fetched * 2 + ended.unchanged), every };
        let per_page = (asked > 0).then(|| ended.read.as_secs_f64() / f64::from(asked));
        let stretch = shared.plan(self.region, load, per_page);
        let next = ended.answered + shared.rules.next(ended.first_holds, ended.last_holds, stretch);
        let lag = now.saturating_duration_since(expired).as_secs_f64();
        shared.regions.update(self.region, |standing| note(standing, ended, seconds, lag, shared.now()));
        let region = self.region.to_string();
        gauge!("broadside_market_sweep_seconds", "region" => region.clone()).set(seconds);
        gauge!("broadside_market_lag_seconds", "region" => region).set(lag);
        shared.rests_until(self.region, None);
        next.max(now)
    }

    /// Notes a sweep that failed; answers when it is tried again.
    fn failed(&self, trouble: &Trouble) -> Instant {
        let allowed = if let Trouble::Busy(wait, _) = trouble { *wait } else { Duration::ZERO };
        let due = Instant::now() + self.shared.rules.after_error(allowed);
        counter!("broadside_market_sweeps_total", "quality" => "failed").increment(1);
        let mut is_first = false;
        self.shared.regions.update(self.region, |standing| {
            is_first = standing.failures == 0;
            standing.failures += 1;
        });
        if is_first {
            tracing::warn!(region = %self.region, %trouble, "a sweep of the market failed: it is tried again");
        }
        self.show(State::Failing, Some(trouble.to_string()), Some(due));
        due
    }
}

/// A sweep's end on the board.
fn note(standing: &mut Standing, ended: &Ended, seconds: f64, lag: f64, now: Timestamp) {
    let (tally, outcome) = (std::mem::take(&mut standing.tally), standing.outcome.take());
    let (quality, reason, closed) = match outcome {
        Some(outcome) => {
            standing.orders = outcome.open;
            (outcome.quality.as_str(), outcome.reason, outcome.closed)
        }
        None => ("incomplete", Some("the sink said nothing of it".to_owned()), 0),
    };
    counter!("broadside_market_sweeps_total", "quality" => quality).increment(1);
    if standing.failures > 0 {
        tracing::info!(region = %standing.region_id, failures = standing.failures, "the market is swept again");
    }
    standing.failures = 0;
    standing.pages = ended.pages;
    let asked = ended.fetched + ended.unchanged;
    standing.last_sweep = Some(LastSweep {
        ended_at: now,
        seconds,
        fetched: ended.fetched,
        unchanged: ended.unchanged,
        fresh: ended.fresh,
        share_unchanged: if asked == 0 { 0.0 } else { f64::from(ended.unchanged) / f64::from(asked) },
        quality,
        reason,
        lag_seconds: lag,
        new: tally.new,
        changed: tally.changed,
        closed,
    });
}
