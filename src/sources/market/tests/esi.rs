//! ESI as a test would have it: regions with their pages, caches that hold for as long as they say, and faults. It keeps account of every call, and of each that came
//! before the page had expired.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use broadside::clients::esi::{Paged, Tokens};
use broadside::killmail::RegionId;
use broadside::market::{Cents, Order, Range, wire};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Outside, Trouble};

/// ESI's windows begin at a multiple of their length after this (seconds since 1970).
const EPOCH: i64 = 1_767_225_600;
/// How long the list of regions holds.
pub(super) const LIST_HOLDS: Duration = Duration::from_secs(6 * 3600);

/// What a page says of when it expires.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expires {
    /// With its window, all of which are so long; `Last-Modified` is the beginning.
    Window(Duration),
    /// So long after the answer; `Last-Modified` is when it was asked for.
    In(Duration),
    /// Nothing that could be read.
    Unsaid,
}

/// What becomes of a call instead.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Failed,
    Busy(Duration),
    Missing,
    Panic,
    /// This body, with headers as if nothing were wrong.
    Body(&'static str),
}

/// A region.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) pages: Vec<Vec<Order>>,
    /// `X-Pages`, when it is not how many there are.
    pub(super) announced: Option<u32>,
    pub(super) expires: Expires,
    /// Of single pages.
    pub(super) expires_of: BTreeMap<u32, Expires>,
    /// `Last-Modified`, when it is not what [`Expires`] says; of single pages too.
    pub(super) modified: Option<i64>,
    pub(super) modified_of: BTreeMap<u32, i64>,
    /// For the next calls of a page, one after the other.
    pub(super) faults: BTreeMap<u32, VecDeque<Fault>>,
    /// How long a call takes.
    pub(super) takes: Duration,
}

impl Region {
    /// Pages with so many orders each, whose ids are those from `region × 1000` on; windows of five minutes.
    pub(super) fn new(region: i64, pages: &[usize]) -> Self {
        let mut ids = region * 1000..;
        let pages = pages.iter().map(|size| ids.by_ref().take(*size).map(order).collect()).collect();
        Self {
            pages,
            announced: None,
            expires: Expires::Window(Duration::from_secs(300)),
            expires_of: BTreeMap::new(),
            modified: None,
            modified_of: BTreeMap::new(),
            faults: BTreeMap::new(),
            takes: Duration::from_millis(50),
        }
    }

    pub(super) fn fault(&mut self, page: u32, faults: impl IntoIterator<Item = Fault>) {
        self.faults.entry(page).or_default().extend(faults);
    }

    /// All orders, by id.
    pub(super) fn orders(&self) -> Vec<Order> {
        let by_id: BTreeMap<i64, &Order> = self.pages.iter().flatten().map(|order| (order.order_id, order)).collect();
        by_id.into_values().cloned().collect()
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Since the fake was made.
    pub(super) at: Duration,
    pub(super) region: i64,
    pub(super) page: u32,
    pub(super) is_tagged: bool,
    /// 0: the answer was not waited for, or there was none.
    pub(super) status: u16,
    /// How long the answer holds, if it said so.
    pub(super) holds: Option<Duration>,
}

/// The fake.
#[derive(Debug)]
pub(super) struct Esi {
    start: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    regions: BTreeMap<i64, Region>,
    names: HashMap<RegionId, String>,
    is_away: bool,
    tokens: Option<Tokens>,
    calls: Vec<Call>,
    lists: usize,
    running: BTreeMap<i64, usize>,
    most: usize,
    most_of: BTreeMap<i64, usize>,
    expires: HashMap<(i64, u32), Instant>,
    early: Vec<String>,
}

/// Counts a call that is under way.
struct Running<'a>(&'a Esi, i64);

impl<'a> Running<'a> {
    fn new(esi: &'a Esi, region: i64) -> Self {
        let mut inner = esi.lock();
        *inner.running.entry(region).or_default() += 1;
        let (all, own) = (inner.running.values().sum::<usize>(), inner.running[&region]);
        inner.most = inner.most.max(all);
        let most_of = inner.most_of.entry(region).or_default();
        *most_of = own.max(*most_of);
        Self(esi, region)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock().running.entry(self.1).or_default() -= 1;
    }
}

impl Esi {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn put(&self, region: i64, called: &str, orders: Region) {
        let mut inner = self.lock();
        inner.regions.insert(region, orders);
        inner.names.insert(id(region), called.to_owned());
    }

    /// Changes a region.
    pub(super) fn change<R>(&self, region: i64, change: impl FnOnce(&mut Region) -> R) -> R {
        change(self.lock().regions.get_mut(&region).expect("a region"))
    }

    pub(super) fn orders(&self, region: i64) -> Vec<Order> {
        self.change(region, |region| region.orders())
    }

    /// From now on the lists of regions and names fail, or do not.
    pub(super) fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    pub(super) fn set_tokens(&self, tokens: Tokens) {
        self.lock().tokens = Some(tokens);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Calls for pages since the last look.
    pub(super) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Times that the list of regions was asked for.
    pub(super) fn lists(&self) -> usize {
        self.lock().lists
    }

    /// The most calls at once: of all regions, and of each.
    pub(super) fn most(&self) -> (usize, BTreeMap<i64, usize>) {
        let inner = self.lock();
        (inner.most, inner.most_of.clone())
    }

    /// Calls that came before the page had expired.
    pub(super) fn early(&self) -> Vec<String> {
        self.lock().early.clone()
    }

    fn called(&self, region: i64, page: u32, is_tagged: bool) -> (usize, Option<Fault>, Duration) {
        let (now, mut inner) = (Instant::now(), self.lock());
        let at = now - self.start;
        if let Some(until) = inner.expires.get(&(region, page)).filter(|until| now < **until) {
            let text = format!("page {page} of {region} at {at:?}: {:?} too early", *until - now);
            inner.early.push(text);
        }
        inner.calls.push(Call { at, region, page, is_tagged, status: 0, holds: None });
        let place = inner.calls.len() - 1;
        let known = inner.regions.get_mut(&region);
        let fault = known.and_then(|region| region.faults.get_mut(&page)?.pop_front());
        let takes = inner.regions.get(&region).map_or(Duration::ZERO, |region| region.takes);
        (place, fault, takes)
    }

    fn answer(&self, region: i64, page: u32, etag: Option<&str>, fault: Option<&Fault>) -> Result<Paged, Trouble> {
        let (now, mut inner) = (Instant::now(), self.lock());
        let beyond = || Trouble::Beyond(format!("page {page}: HTTP 404"));
        let known = inner.regions.get(&region).ok_or_else(beyond)?;
        let orders = page.checked_sub(1).and_then(|place| known.pages.get(place as usize)).ok_or_else(beyond)?;
        let body = match fault {
            Some(Fault::Body(body)) => (*body).to_owned(),
            _ => format!("[{}]", orders.iter().map(wire::encode).collect::<Vec<_>>().join(",")),
        };
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let new = format!("\"{:x}\"", hasher.finish());
        let since = now - self.start;
        let (expires_in, modified) = match known.expires_of.get(&page).unwrap_or(&known.expires) {
            Expires::Window(window) => {
                let into = Duration::from_nanos((since.as_nanos() % window.as_nanos()) as u64);
                (Some(*window - into), (since - into).as_secs())
            }
            Expires::In(time) => (Some(*time), since.as_secs()),
            Expires::Unsaid => (None, since.as_secs()),
        };
        let modified = known.modified_of.get(&page).copied().or(known.modified).unwrap_or(modified as i64);
        let paged = Paged {
            body: (etag != Some(&new)).then(|| body.into()),
            etag: Some(new),
            last_modified: Timestamp::from_second(EPOCH + modified).ok(),
            pages: Some(known.announced.unwrap_or(known.pages.len() as u32)),
            expires: expires_in.and_then(|time| now.checked_add(time)),
        };
        if let Some(until) = paged.expires {
            inner.expires.insert((region, page), until);
        }
        Ok(paged)
    }
}

#[async_trait]
impl Outside for Esi {
    async fn page(&self, region: RegionId, number: u32, etag: Option<&str>) -> Result<Paged, Trouble> {
        let region = region.get();
        let (place, fault, takes) = self.called(region, number, etag.is_some());
        let _running = Running::new(self, region);
        sleep(takes).await;
        let answer = match &fault {
            Some(Fault::Panic) => panic!("told to panic"),
            Some(Fault::Failed) => Err(Trouble::Failed(format!("fetch page {number}: HTTP 500"))),
            Some(Fault::Busy(wait)) => Err(Trouble::Busy(*wait, "wait: no tokens are left".to_owned())),
            Some(Fault::Missing) => Err(Trouble::Beyond(format!("page {number}: HTTP 404"))),
            fault => self.answer(region, number, etag, fault.as_ref()),
        };
        let status = match &answer {
            Ok(paged) if paged.body.is_none() => 304,
            Ok(_) => 200,
            Err(Trouble::Beyond(_)) => 404,
            Err(Trouble::Busy(..)) => 429,
            Err(Trouble::Failed(_)) => 500,
        };
        if let Some(call) = self.lock().calls.get_mut(place) {
            call.status = status;
            call.holds =
                answer.as_ref().ok().and_then(|paged| Some(paged.expires?.saturating_duration_since(Instant::now())));
        }
        answer
    }

    async fn regions(&self) -> Result<(Vec<RegionId>, Duration), String> {
        let mut inner = self.lock();
        inner.lists += 1;
        if inner.is_away {
            Err("reach ESI: it is away".to_owned())
        } else {
            Ok((inner.regions.keys().map(|region| id(*region)).collect(), LIST_HOLDS))
        }
    }

    async fn names(&self, regions: &[RegionId]) -> Result<HashMap<RegionId, String>, String> {
        let inner = self.lock();
        let name = |region: &RegionId| Some((*region, inner.names.get(region)?.clone()));
        if inner.is_away {
            Err("reach ESI: it is away".to_owned())
        } else {
            Ok(regions.iter().filter_map(name).collect())
        }
    }

    fn tokens(&self) -> Option<Tokens> {
        self.lock().tokens
    }
}

pub(super) fn id(region: i64) -> RegionId {
    RegionId::new(region).expect("an id")
}

pub(super) fn order(order_id: i64) -> Order {
    Order {
        order_id,
        type_id: 34 + order_id % 5,
        location_id: 60_003_760,
        system_id: 30_000_142,
        volume_total: 1_000,
        volume_remain: 1_000,
        min_volume: 1,
        price: Cents(order_id % 1_000 + 1),
        is_buy_order: order_id % 2 == 0,
        duration: 90,
        issued: Timestamp::UNIX_EPOCH,
        range: Range::Region,
    }
}
