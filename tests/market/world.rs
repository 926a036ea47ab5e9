//! A simulated ESI whose windows last a second, and a worker's pipeline on a file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broadside::definition;
use broadside::killmail::RegionId;
use broadside::market::price::Offer;
use broadside::market::{Cents, Order, Price, Range};
use broadside::regions::Standing;
use broadside::resources::Resources;
use broadside::simulator::{Config, Market, Simulator};
use broadside::store::{self, Options, Store};
use broadside_engine::Pipeline;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use tempfile::TempDir;
use tokio::time::Instant;

/// Three pages, two, and one.
pub(crate) const REGIONS: [(i64, usize); 3] = [(10_000_002, 2_300), (10_000_043, 1_050), (10_000_030, 40)];

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    folder: TempDir,
}

/// A process.
pub(crate) struct Worker {
    pub(crate) resources: Resources,
    pub(crate) store: Arc<dyn Store>,
    pipeline: Pipeline,
}

pub(crate) fn id(region: i64) -> RegionId {
    RegionId::new(region).unwrap()
}

impl World {
    /// `change`: the share of the orders that differ in the next window.
    pub(crate) async fn new(change: f64) -> Self {
        let market = Market { window: Duration::from_secs(1), change, regions: REGIONS.to_vec() };
        let simulator = Simulator::start(Config { market, ..Config::default() }).await.unwrap();
        Self { simulator, folder: tempfile::tempdir().unwrap() }
    }

    /// Starts the pipeline of `pipelines/market.toml`, only quicker.
    pub(crate) async fn start(&self, regions: &str) -> Worker {
        let mut text = include_str!("../../pipelines/market.toml").to_owned();
        for (from, to) in [
            ("stagger = \"100ms\"", "stagger = \"1ms\""),
            ("interval_min = \"30s\"", "interval_min = \"1s\""),
            ("margin = \"2s\"", "margin = \"10ms\""),
            ("regions = \"all\"", regions),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let esi = self.simulator.esi_url();
        let lookup = |name: &str| (name == "ESI_URL").then(|| esi.clone());
        let definition = definition::parse("market", "market.toml", &text, &lookup).unwrap();
        let url = format!("sqlite://{}", self.folder.path().join("broadside.db").display());
        let store = store::connect(&url, &Options::default()).await.unwrap();
        store.migrate().await.unwrap();
        let resources = Resources::new(store.clone());
        let pipeline = definition.build(&resources).unwrap().start(definition.topology.clone()).unwrap();
        Worker { resources, store, pipeline }
    }

    async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("broadside.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Open rows of a region, by id.
    pub(crate) async fn open(&self, region: i64) -> Vec<Order> {
        let sql = "SELECT * FROM market_orders WHERE region_id = ? AND closed_at IS NULL ORDER BY order_id";
        let rows = sqlx::query(sql).bind(region).fetch_all(&mut self.connection().await).await.unwrap();
        rows.iter().map(order).collect()
    }

    /// All times that rows were written or closed.
    pub(crate) async fn times(&self) -> Vec<(i64, String, String, Option<String>)> {
        let sql = "SELECT order_id, first_seen_at, last_seen_at, closed_at FROM market_orders ORDER BY order_id";
        sqlx::query_as(sql).fetch_all(&mut self.connection().await).await.unwrap()
    }

    /// The simulator's orders of a region, by id.
    pub(crate) fn orders(&self, region: i64) -> Vec<Order> {
        let mut orders = self.simulator.orders(id(region));
        orders.sort_by_key(|order| order.order_id);
        orders
    }

    /// Waits until the open rows of these regions are the simulator's orders.
    pub(crate) async fn in_step(&self, regions: &[i64]) {
        until("the rows are ESI's orders", async || {
            for region in regions {
                if self.open(*region).await != self.orders(*region) {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

impl Worker {
    pub(crate) fn standing(&self, region: i64) -> Option<Standing> {
        self.resources.regions.get(id(region))
    }

    /// Waits until each of these regions has been swept since then.
    pub(crate) async fn swept(&self, regions: &[i64], since: jiff::Timestamp) {
        let ended = |region: &i64| self.standing(*region)?.last_sweep.map(|sweep| sweep.ended_at);
        let is_since = |region: &i64| ended(region).is_some_and(|ended| ended > since);
        until("every region is swept", async || regions.iter().all(is_since)).await;
    }

    pub(crate) async fn stop(self) {
        self.pipeline.drain();
        let report = self.pipeline.finished().await;
        assert_eq!((report.ledger.imbalance(), report.deadline_passed, report.source_failure), (0, false, None));
        self.store.close().await;
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(100);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        ticks.tick().await;
    }
}

fn order(row: &sqlx::sqlite::SqliteRow) -> Order {
    Order {
        order_id: row.get("order_id"),
        type_id: row.get("type_id"),
        location_id: row.get("location_id"),
        system_id: row.get("system_id"),
        volume_total: row.get("volume_total"),
        volume_remain: row.get("volume_remain"),
        min_volume: row.get("min_volume"),
        price: Cents(row.get("price")),
        is_buy_order: row.get("is_buy_order"),
        duration: row.get("duration"),
        issued: row.get::<&str, _>("issued").parse().unwrap(),
        range: Range::parse(row.get("range")).unwrap(),
    }
}

/// What types cost by these orders.
pub(crate) fn prices(orders: &[Order]) -> Vec<Price> {
    let mut offers: BTreeMap<i64, Vec<Offer>> = BTreeMap::new();
    for order in orders {
        let Order { is_buy_order, price, volume_remain, .. } = *order;
        offers.entry(order.type_id).or_default().push(Offer { is_buy_order, price, volume_remain });
    }
    offers.into_iter().filter_map(|(type_id, offers)| Price::of(type_id, &offers)).collect()
}
