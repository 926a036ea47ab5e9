//! A whole market pipeline on tokio's paused clock: the source with a made-up ESI, the stage and the sink as they are, a store in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broadside::market::{Page, Part};
use broadside::memory_store::MemoryStore;
use broadside::regions::{Refusal, Standing, Which};
use broadside::resources::Resources;
use broadside::{regions, sinks, stages};
use broadside_engine::pipeline::{Pipeline, Report};
use broadside_engine::topology::{Batcher, Processor, Source, Topology};
use broadside_engine::{Batch, Components, Failure, Message, Sink};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::esi::{Call, Esi, Region, id};
use super::{Config, Market, Shared, Wanted};

/// Sweeps of a region that the pipeline may hold at once in these tests, in pages.
pub(super) const IN_FLIGHT: usize = 48;

/// What becomes of a page at the sink instead of being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fails,
    /// Gone without a word, as when a worker is abandoned with it.
    Dropped,
}

/// A sink that stands before the real one, and does with some pages as it is told.
pub(super) struct Gate {
    sink: Arc<dyn Sink<Page>>,
    fates: Mutex<Vec<(i64, u32, Fate)>>,
    is_open: watch::Sender<bool>,
}

impl Gate {
    /// The next time that this page of a region comes along (0: the end of a sweep).
    pub(super) fn next(&self, region: i64, page: u32, fate: Fate) {
        self.fates.lock().expect("no panic while held").push((region, page, fate));
    }

    /// All are stored from now on.
    pub(super) fn forget(&self) {
        self.fates.lock().expect("no panic while held").clear();
    }

    /// While it is shut, nothing is settled.
    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    fn fate(&self, page: &Page) -> Option<Fate> {
        let number = match &page.part {
            Part::Orders { number, .. } | Part::Unchanged { number, .. } => *number,
            Part::End(_) => 0,
        };
        let mut fates = self.fates.lock().expect("no panic while held");
        let is_it =
            |(region, page_number, _): &(i64, u32, Fate)| (*region, *page_number) == (page.region.get(), number);
        fates.iter().position(is_it).map(|place| fates.remove(place).2)
    }
}

#[async_trait]
impl Sink<Page> for Gate {
    async fn deliver(&self, batch: &Batch, messages: &mut [Message<Page>]) -> Result<(), Failure> {
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
        let fates: Vec<Option<Fate>> = messages.iter().map(|message| self.fate(&message.payload)).collect();
        if fates.iter().all(Option::is_none) {
            return self.sink.deliver(batch, messages).await;
        }
        for (message, fate) in messages.iter_mut().zip(fates) {
            match fate {
                None => self.sink.deliver(batch, std::slice::from_mut(message)).await?,
                Some(Fate::Fails) => message.fail(Failure::permanent("store market orders: told to fail")),
                Some(Fate::Dropped) => *message = Message::new(message.payload.clone()),
            }
        }
        Ok(())
    }
}

pub(super) struct World {
    pub(super) esi: Arc<Esi>,
    pub(super) store: Arc<MemoryStore>,
    /// Of the process that runs.
    pub(super) resources: Resources,
    pub(super) gate: Arc<Gate>,
    pub(super) config: Config,
    pub(super) sink_workers: usize,
    clock: (Instant, Timestamp),
    pipeline: Option<Pipeline>,
}

impl World {
    /// These regions, with so many orders on each page; they are polled by id.
    pub(super) fn new(regions: &[(i64, &[usize])]) -> Self {
        let esi = Esi::new();
        for (region, pages) in regions {
            esi.put(*region, &format!("Region {region}"), Region::new(*region, pages));
        }
        let wanted = regions.iter().map(|(region, _)| Which::Id(id(*region))).collect();
        let store = Arc::<MemoryStore>::default();
        let (resources, gate) = process(&store);
        Self {
            esi,
            store,
            resources,
            gate,
            config: Config { regions: Wanted::Some(wanted), ..Config::default() },
            sink_workers: 2,
            clock: (Instant::now(), Timestamp::now()),
            pipeline: None,
        }
    }

    /// The same, running.
    pub(super) fn running(regions: &[(i64, &[usize])]) -> Self {
        let mut world = Self::new(regions);
        world.start();
        world
    }

    pub(super) fn shared(&self) -> Shared {
        let mut shared = Shared::new(&self.config, "market", &self.resources, self.esi.clone());
        // The real clock stands still.
        shared.clock = self.clock;
        shared
    }

    /// The pipeline begins, as `pipelines/market.toml` has it.
    pub(super) fn start(&mut self) {
        let parse = Processor {
            concurrency: 2,
            max_demand: 4,
            capacity: 16,
            stages: vec!["decode_orders".into()],
            ..Processor::new("parse")
        };
        let store = Batcher {
            batch_size: 10,
            batch_timeout: Duration::from_millis(200),
            eager: true,
            concurrency: self.sink_workers,
            ..Batcher::new("db_upsert")
        };
        let mut topology = Topology::new("market", Source::new("market")).processor(parse).batcher(store);
        topology.in_flight_max = IN_FLIGHT;
        let mut components = Components::new(Market(Arc::new(self.shared())))
            .stage("decode_orders", stages::decode_orders::Config::default().build("market"))
            .partition_by("db_upsert", |page: &Page| page.region.get().unsigned_abs())
            .size_of(Page::size);
        components.sinks.insert("db_upsert".into(), self.gate.clone());
        self.pipeline = Some(Pipeline::start(topology, components).expect("a pipeline"));
    }

    /// The process ends, as it is told to.
    pub(super) async fn stop(&mut self) -> Report {
        let pipeline = self.pipeline.take().expect("it runs");
        pipeline.drain();
        pipeline.finished().await
    }

    /// Another process on the same store.
    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.restart_stopped();
    }

    /// The same, when the one before has ended.
    pub(super) fn restart_stopped(&mut self) {
        (self.resources, self.gate) = process(&self.store);
        self.start();
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        self.pipeline.as_ref().expect("it runs")
    }

    /// Lets time pass until so long after the beginning.
    pub(super) async fn until(&self, seconds: f64) {
        sleep_until(self.clock.0 + Duration::from_secs_f64(seconds)).await;
    }

    pub(super) async fn pass(&self, seconds: f64) {
        sleep_until(Instant::now() + Duration::from_secs_f64(seconds)).await;
    }

    /// How long it has been since the beginning.
    pub(super) fn since(&self) -> Duration {
        self.clock.0.elapsed()
    }

    /// So long after the beginning.
    pub(super) fn at(&self, since: Duration) -> Timestamp {
        self.clock.1 + since
    }

    pub(super) fn standing(&self, region: i64) -> Standing {
        self.resources.regions.get(id(region)).expect("a region that is polled")
    }

    /// What keeps the list of regions from being made.
    pub(super) fn trouble(&self) -> Option<String> {
        self.resources.regions.trouble().remove("market")
    }

    /// Calls since the last look, as `page status`, those of one region.
    pub(super) fn calls(&self, region: i64) -> Vec<(u32, u16)> {
        let calls = self.esi.take_calls().into_iter().filter(|call| call.region == region);
        let mut calls: Vec<_> = calls.map(|Call { page, status, .. }| (page, status)).collect();
        calls.sort_unstable();
        calls
    }

    /// Whether the open rows of a region are the orders that ESI has.
    pub(super) fn is_in_step(&self, region: i64) -> bool {
        self.store.open(id(region)) == self.esi.orders(region)
    }

    pub(super) async fn add(&self, which: &str) -> Result<i64, Refusal> {
        let which = Which::parse(which).expect("an id or a name");
        self.resources.regions.change(regions::Change::Add(which)).await.map(|region| region.get())
    }

    pub(super) async fn remove(&self, region: i64) -> Result<i64, Refusal> {
        self.resources.regions.change(regions::Change::Remove(id(region))).await.map(|region| region.get())
    }
}

fn process(store: &Arc<MemoryStore>) -> (Resources, Arc<Gate>) {
    let resources = Resources::new(store.clone());
    let sink = sinks::orders::Config::default().build(&resources);
    let gate = Gate { sink, fates: Mutex::default(), is_open: watch::Sender::new(true) };
    (resources, Arc::new(gate))
}

/// What holds in every world.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.esi.early(), Vec::<String>::new(), "pages were asked for before they had expired");
            assert!(self.esi.most().0 <= self.config.concurrency, "more calls at once than are allowed");
        }
    }
}
