//! Where each region of the market stands: written by the market source and the `orders` sink, read by the page, the API and the command line. And the
//! queue of changes to the list, which the source works off.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};

use crate::killmail::RegionId;
use crate::market::Quality;

/// Changes that may wait for the source.
const CHANGES_MAX: usize = 64;
/// Characters; no region's name is that long.
const NAME_MAX: usize = 100;

/// What a region's poller is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RegionState")]
pub enum State {
    /// Not begun yet.
    Starting,
    /// Until the next sweep is due.
    Waiting,
    /// Pages are being read.
    Sweeping,
    /// The last sweep failed: `reason` says why, `next_due` when it is tried again.
    Failing,
    /// It crashed, and is started again at `next_due`.
    Restarting,
}

impl State {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Sweeping => "sweeping",
            Self::Failing => "failing",
            Self::Restarting => "restarting",
        }
    }
}

/// A sweep that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LastSweep {
    pub ended_at: Timestamp,
    pub seconds: f64,
    /// Pages that were sent with their orders.
    pub fetched: u32,
    /// Pages answered with 304.
    pub unchanged: u32,
    /// Pages that had not expired, and were not asked for.
    pub fresh: u32,
    /// Of the pages asked for, the share of 304s: 0 to 1.
    pub share_unchanged: f64,
    /// `whole`, `mixed`, `incomplete`.
    pub quality: &'static str,
    /// Why it is not whole.
    pub reason: Option<String>,
    /// How long after the pages had expired it ended.
    pub lag_seconds: f64,
    pub new: u64,
    pub changed: u64,
    pub closed: u64,
}

/// What the sink made of a sweep so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub new: u64,
    pub changed: u64,
}

/// What the sink made of a sweep's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub quality: Quality,
    /// Why it is not whole.
    pub reason: Option<String>,
    pub open: u64,
    pub closed: u64,
}

/// A region at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Region")]
pub struct Standing {
    pub region_id: RegionId,
    pub name: Option<String>,
    pub pipeline: String,
    pub state: State,
    /// What is wrong, or being waited for.
    pub reason: Option<String>,
    /// When the state began.
    pub since: Timestamp,
    pub pages: u32,
    /// Open orders.
    pub orders: u64,
    pub last_sweep: Option<LastSweep>,
    pub next_due: Option<Timestamp>,
    /// Times that its poller was started again after a crash.
    pub restarts: u32,
    /// Sweeps that failed, since the last that did not.
    pub failures: u32,
    /// Of the sweep under way.
    #[serde(skip)]
    pub tally: Tally,
    /// Of the last sweep, until the poller has taken note.
    #[serde(skip)]
    pub outcome: Option<Outcome>,
}

impl Standing {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(region_id: RegionId, name: Option<String>, pipeline: &str, now: Timestamp) -> Self {
        Self {
            region_id,
            name,
            pipeline: pipeline.to_owned(),
            state: State::Starting,
            reason: None,
            since: now,
            pages: 0,
            orders: 0,
            last_sweep: None,
            next_due: None,
            restarts: 0,
            failures: 0,
            tally: Tally::default(),
            outcome: None,
        }
    }

    /// Enters a state; `since` is as of the change.
    pub fn enter(&mut self, state: State, reason: Option<String>, now: Timestamp) {
        if self.state != state {
            self.since = now;
        }
        (self.state, self.reason) = (state, reason);
    }
}

/// The tokens of ESI's bucket for market orders, as last heard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Tokens {
    pub limit: u32,
    pub window_seconds: f64,
    pub remaining: u32,
    /// By how much the intervals between sweeps are stretched, so that the tokens last: of the largest regions, and of the others. 1: not at all.
    pub stretch_hubs: f64,
    pub stretch_others: f64,
}

/// Which region, as an operator says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Id(RegionId),
    Name(String),
}

impl Which {
    /// From a text: digits are an id. `None`: neither an id nor a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(id) => RegionId::new(id).map(Self::Id),
            Err(_) if text.is_empty() || text.chars().count() > NAME_MAX || text.chars().any(char::is_control) => None,
            Err(_) => Some(Self::Name(text.to_owned())),
        }
    }

    /// The id, if that is how it is said.
    #[must_use]
    pub fn id(&self) -> Option<RegionId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Name(_) => None,
        }
    }
}

/// A change to the list of regions.
#[derive(Debug)]
pub enum Change {
    Add(Which),
    Remove(RegionId),
}

/// A change that waits, and who is told what came of it: the region, or a sentence that says why not.
#[derive(Debug)]
pub struct Wish {
    pub change: Change,
    pub tell: oneshot::Sender<Result<RegionId, String>>,
}

/// Why a change was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no market pipeline runs here")]
    NoPipeline,
    #[error("too many changes are waiting")]
    Busy,
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug, Default)]
struct Inner {
    standings: BTreeMap<RegionId, Standing>,
    /// What keeps the list from being made: ESI is away, a name is unknown.
    trouble: BTreeMap<String, String>,
    tokens: Option<Tokens>,
    /// Whether a source works off `wishes`.
    is_served: bool,
    wishes: Vec<Wish>,
}

/// All regions of this process.
#[derive(Debug, Default)]
pub struct Regions {
    inner: Mutex<Inner>,
    wished: Notify,
}

impl Regions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by id.
    #[must_use]
    pub fn all(&self) -> Vec<Standing> {
        self.lock().standings.values().cloned().collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, region: RegionId) -> Option<Standing> {
        self.lock().standings.get(&region).cloned()
    }

    /// Puts a region on the board.
    pub fn put(&self, standing: Standing) {
        self.lock().standings.insert(standing.region_id, standing);
    }

    /// Changes a region that is on the board.
    pub fn update(&self, region: RegionId, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.lock().standings.get_mut(&region) {
            change(standing);
        }
    }

    /// Counts what the sink does in the sweep under way.
    pub fn tally(&self, region: RegionId, count: impl FnOnce(&mut Tally)) {
        self.update(region, |standing| count(&mut standing.tally));
    }

    /// Notes what the sink made of a sweep's end.
    pub fn swept(&self, region: RegionId, outcome: Outcome) {
        self.update(region, |standing| standing.outcome = Some(outcome));
    }

    /// Takes a region off the board.
    pub fn remove(&self, region: RegionId) {
        self.lock().standings.remove(&region);
    }

    /// What keeps pipelines from knowing their regions, by pipeline.
    #[must_use]
    pub fn trouble(&self) -> BTreeMap<String, String> {
        self.lock().trouble.clone()
    }

    /// Says what keeps a pipeline from knowing its regions; `None`: nothing any more.
    pub fn set_trouble(&self, pipeline: &str, trouble: Option<String>) {
        let mut inner = self.lock();
        match trouble {
            Some(trouble) => inner.trouble.insert(pipeline.to_owned(), trouble),
            None => inner.trouble.remove(pipeline),
        };
    }

    /// The tokens as last heard.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        self.lock().tokens
    }

    /// Notes the tokens.
    pub fn set_tokens(&self, tokens: Tokens) {
        self.lock().tokens = Some(tokens);
    }

    /// Whether a market pipeline runs: then somebody works off what is asked for.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.lock().is_served
    }

    /// A source begins to work off changes, or ends; what waited then is told so.
    pub fn serve(&self, is_served: bool) {
        let mut inner = self.lock();
        inner.is_served = is_served;
        if !is_served {
            // Dropped, which tells whoever waits.
            inner.wishes.clear();
        }
    }

    /// Asks for a change and waits until the source has made it, or says why not.
    ///
    /// # Errors
    /// Nobody makes changes here, too many wait, or the source refuses.
    pub async fn change(&self, change: Change) -> Result<RegionId, Refusal> {
        let (tell, told) = oneshot::channel();
        {
            let mut inner = self.lock();
            if !inner.is_served {
                return Err(Refusal::NoPipeline);
            }
            if inner.wishes.len() >= CHANGES_MAX {
                return Err(Refusal::Busy);
            }
            inner.wishes.push(Wish { change, tell });
        }
        self.wished.notify_one();
        told.await.map_err(|_| Refusal::NoPipeline)?.map_err(Refusal::Refused)
    }

    /// The changes that wait, as soon as there are some.
    pub async fn wishes(&self) -> Vec<Wish> {
        loop {
            let wished = self.wished.notified();
            let wishes = std::mem::take(&mut self.lock().wishes);
            if !wishes.is_empty() {
                return wishes;
            }
            wished.await;
        }
    }
}
