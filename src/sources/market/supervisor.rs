//! The source: runs the pollers, each in a task behind a fence of its own, and hands on what they read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::supervision::{Crew, Restarts, guarded};
use broadside_engine::{Demand, Failure, Flow, Message, Source};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::list::{List, one};
use super::poller::{Poller, Shared};
use crate::killmail::RegionId;
use crate::market::Page;
use crate::regions::{Change, Standing, State, Wish};

/// Pages that wait to be handed on.
const WAITING_MAX: usize = 8;
/// Between two tries to learn which regions there are: at first, and at most.
const LIST_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));
/// A list that was learnt is looked at again: the game gets a new region every few years.
const LIST_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// A poller that ended; `None`: it was told to.
type End = (RegionId, Option<Failure>);

/// What a task came to.
#[derive(Debug)]
enum Done {
    Polled(End),
    Listed(Result<(List, Vec<String>), String>),
    /// A wish with its region looked up, if it is one to add.
    LookedUp(Wish, Option<Result<(RegionId, Option<String>), String>>),
}

/// All pollers of a pipeline.
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    out: mpsc::Sender<Message<Page>>,
    pages: mpsc::Receiver<Message<Page>>,
    crew: Crew<Done>,
    polled: BTreeMap<RegionId, Polled>,
    /// Taken out while running: another look at the list does not bring them back.
    removed: BTreeSet<RegionId>,
    is_begun: bool,
    is_listing: bool,
    list_due: Pin<Box<Sleep>>,
    list_wait: Duration,
    is_looking_up: bool,
    wishes: VecDeque<Wish>,
    /// When the poller that was started last begins.
    last_start: Instant,
}

struct Polled {
    stop: CancellationToken,
    restarts: Restarts,
}

impl Supervisor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (out, pages) = mpsc::channel(WAITING_MAX);
        shared.regions.serve(true);
        Self {
            shared,
            out,
            pages,
            crew: Crew::new(),
            polled: BTreeMap::new(),
            removed: BTreeSet::new(),
            is_begun: false,
            is_listing: false,
            list_due: Box::pin(sleep(Duration::ZERO)),
            list_wait: LIST_WAIT.0,
            is_looking_up: false,
            wishes: VecDeque::new(),
            last_start: Instant::now(),
        }
    }

    /// Starts what is known without asking ESI.
    async fn begin(&mut self) -> Result<(), Failure> {
        let rows = self.shared.hold("read the regions of the market", || self.shared.store.market_regions()).await?;
        let known = self.shared.wanted.known(&rows);
        let pages = |region: &RegionId| rows.iter().find(|row| row.region == *region).map_or(0, |row| row.pages);
        self.add_all(known, pages);
        self.is_begun = true;
        Ok(())
    }

    /// Starts pollers for those that have none, the largest first; of those that have, the names are noted.
    fn add_all(&mut self, list: List, pages: impl Fn(&RegionId) -> u32) {
        let mut list: Vec<_> = list.into_iter().collect();
        list.retain(|(region, _)| !self.removed.contains(region));
        list.sort_by_key(|(region, _)| (std::cmp::Reverse(pages(region)), hub_rank(*region), *region));
        for (region, name) in list {
            self.add(region, name);
        }
    }

    fn add(&mut self, region: RegionId, name: Option<String>) {
        if self.polled.contains_key(&region) {
            self.shared.regions.update(region, |standing| standing.name = name.or(standing.name.take()));
            return;
        }
        let now = Instant::now();
        let start = if self.polled.is_empty() { now } else { now.max(self.last_start + self.shared.stagger) };
        self.last_start = start;
        self.shared.regions.put(Standing::new(region, name, &self.shared.pipeline, self.shared.now()));
        let polled = Polled { stop: CancellationToken::new(), restarts: Restarts::new(self.shared.budget) };
        self.run(region, polled.stop.clone(), start - now);
        self.polled.insert(region, polled);
    }

    fn run(&mut self, region: RegionId, stop: CancellationToken, delay: Duration) {
        let poller = Poller { region, shared: self.shared.clone(), out: self.out.clone() };
        self.crew.spawn(async move {
            let end = stop.run_until_cancelled(guarded(poller.run(delay))).await;
            Done::Polled((region, end.map(ended)))
        });
    }

    fn remove(&mut self, region: RegionId) -> Result<RegionId, String> {
        let polled = self.polled.remove(&region).ok_or_else(|| format!("region {region} is not polled"))?;
        polled.stop.cancel();
        self.removed.insert(region);
        self.shared.regions.remove(region);
        self.shared.books.forget(region);
        self.shared.forget(region);
        tracing::info!(%region, "region removed");
        Ok(region)
    }

    /// A poller ended: it is started again, unless it was told to end.
    fn restart(&mut self, (region, failure): End) {
        let (Some(failure), Some(polled)) = (failure, self.polled.get_mut(&region)) else { return };
        let now = Instant::now();
        let (wait, reason) = match polled.restarts.crashed(now) {
            Some(wait) => (wait, format!("failed to {failure}")),
            None => {
                let rest = self.shared.budget.within;
                polled.restarts = Restarts::new(self.shared.budget);
                (
                    rest,
                    format!("crashed {} times in {rest:?}, at last: failed to {failure}", self.shared.budget.restarts),
                )
            }
        };
        let stop = polled.stop.clone();
        tracing::warn!(%region, %failure, ?wait, "a region's poller crashed: it is started again");
        let (at, due) = (self.shared.now(), self.shared.at(now + wait));
        self.shared.regions.update(region, |standing| {
            standing.restarts += 1;
            standing.failures += 1;
            standing.enter(State::Restarting, Some(reason), at);
            standing.next_due = Some(due);
        });
        // What it left half done is no use to the next.
        self.shared.books.forget(region);
        self.run(region, stop, wait);
    }

    fn list(&mut self) {
        let shared = self.shared.clone();
        self.is_listing = true;
        self.crew.spawn(async move { Done::Listed(shared.wanted.resolve(&shared).await) });
    }

    fn listed(&mut self, list: Result<(List, Vec<String>), String>) {
        self.is_listing = false;
        let wait = match list {
            Ok((list, unknown)) => {
                let trouble = (!unknown.is_empty()).then(|| unknown.join("; "));
                if let Some(trouble) = &trouble {
                    tracing::warn!(trouble, "not every region can be polled");
                }
                let is_open = trouble.is_some() || list.values().any(Option::is_none);
                self.shared.regions.set_trouble(&self.shared.pipeline, trouble);
                self.add_all(list, |_| 0);
                if is_open { LIST_WAIT.1 } else { LIST_AGAIN }
            }
            Err(error) => {
                let wait = self.list_wait;
                self.list_wait = (wait * 2).min(LIST_WAIT.1);
                tracing::warn!(error, ?wait, "failed to learn which regions there are: it is tried again");
                let text = format!("failed to learn which regions there are: {error}");
                self.shared.regions.set_trouble(&self.shared.pipeline, Some(text));
                wait
            }
        };
        self.list_due.as_mut().reset(Instant::now() + wait);
    }

    /// Looks up the region of the next wish.
    fn look_up(&mut self) {
        let Some(wish) = self.wishes.pop_front() else { return };
        let shared = self.shared.clone();
        self.is_looking_up = true;
        self.crew.spawn(async move {
            let found = match &wish.change {
                Change::Add(which) => Some(one(which, &shared).await),
                Change::Remove(_) => None,
            };
            Done::LookedUp(wish, found)
        });
    }

    fn looked_up(&mut self, wish: Wish, found: Option<Result<(RegionId, Option<String>), String>>) {
        self.is_looking_up = false;
        let answer = match (&wish.change, found) {
            (Change::Add(_), Some(Ok((region, name)))) => {
                tracing::info!(%region, name, "region added");
                self.removed.remove(&region);
                self.add(region, name);
                Ok(region)
            }
            (Change::Add(_), Some(Err(error))) => Err(error),
            (Change::Add(_), None) => Err("look the region up: nobody did".to_owned()),
            (Change::Remove(region), _) => self.remove(*region),
        };
        // Whoever asked may have gone.
        let _ = wish.tell.send(answer);
    }

    fn done(&mut self, done: Result<Done, Failure>) {
        match done {
            Ok(Done::Polled(end)) => self.restart(end),
            Ok(Done::Listed(list)) => self.listed(list),
            Ok(Done::LookedUp(wish, found)) => self.looked_up(wish, found),
            // Pollers are fenced; what else there is, is tried again.
            Err(failure) => {
                tracing::error!(%failure, "a task of the market source crashed");
                (self.is_listing, self.is_looking_up) = (false, false);
                self.list_due.as_mut().reset(Instant::now() + LIST_WAIT.0);
            }
        }
    }

    /// Waits for the next thing to do, and does it; what was read is pushed.
    async fn step(&mut self, demand: &mut Demand<Page>) {
        let regions = self.shared.regions.clone();
        if !self.is_looking_up {
            self.look_up();
        }
        tokio::select! {
            Some(page) = self.pages.recv() => demand.push(page),
            Some(done) = self.crew.next() => self.done(done),
            () = self.list_due.as_mut(), if !self.is_listing => self.list(),
            wishes = regions.wishes() => self.wishes.extend(wishes),
        }
    }
}

fn ended(end: Result<Result<Infallible, Failure>, Failure>) -> Failure {
    match end {
        Err(failure) | Ok(Err(failure)) => failure,
        Ok(Ok(never)) => match never {},
    }
}

/// On a first start, the trade hubs come first: The Forge, Domain, Sinq Laison, Heimatar, Metropolis.
fn hub_rank(region: RegionId) -> usize {
    const HUBS: [i64; 5] = [10_000_002, 10_000_043, 10_000_032, 10_000_030, 10_000_042];
    HUBS.iter().position(|hub| *hub == region.get()).unwrap_or(HUBS.len())
}

#[async_trait]
impl Source<Page> for Supervisor {
    async fn pull(&mut self, demand: &mut Demand<Page>) -> Result<Flow, Failure> {
        let mut interrupted = std::pin::pin!(demand.interrupted());
        if !self.is_begun {
            tokio::select! {
                begun = self.begin() => begun?,
                () = &mut interrupted => return Ok(Flow::More),
            }
        }
        while demand.is_empty() {
            tokio::select! {
                biased;
                () = &mut interrupted => return Ok(Flow::More),
                () = self.step(demand) => {}
            }
        }
        while demand.room() > 0
            && let Ok(page) = self.pages.try_recv()
        {
            demand.push(page);
        }
        Ok(Flow::More)
    }

    async fn close(&mut self) {
        self.shared.regions.serve(false);
        self.shared.connected.set(0.0);
        self.crew.end().await;
        self.shared.note_rests().await;
    }
}
