//! A stand-in for the outside: a feed of killmails on loopback that speaks both dialects of wanderer-kills; and, with the same kills,
//! zKillboard's numbered files (below `/r2z2`) and ESI's killmails (below `/esi`). ESI has a small market too, which changes every few seconds; and it and
//! Janice (below `/janice`) know what the made-up things cost.
//!
//! `demo`, `simulate` and the tests use it. It publishes kills at a steady pace once somebody listens, to everyone who
//! does; a client that falls [`BACKLOG`] kills behind is disconnected, and nothing is repeated, as with the real service.
//! [`Faults`] make it misbehave on purpose, and its ledger tells what it published and what it handed over.

mod client;
mod faults;
mod ledger;
mod market;
mod prices;
mod publisher;
mod routes;
mod shelf;
mod supply;
mod things;
mod universe;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::killmail::RegionId;
use crate::market::Order;
pub use faults::Faults;
pub use ledger::Counts;
use ledger::Ledger;
pub use market::Market;
use market::Markets;
use publisher::Audience;
use supply::Supply;
pub use things::statics;

/// Kills that may wait for one client.
pub const BACKLOG: usize = 10_000;
/// How long open streams may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port 0: any free one.
    pub listen: SocketAddr,
    /// Kills a second.
    pub rate: f64,
    /// Stop publishing after so many; the streams stay open.
    pub count: Option<u64>,
    /// The same seed gives the same kills.
    pub seed: u64,
    /// NDJSON(.gz) files of killmails to publish in place of generated ones, once through.
    pub inputs: Vec<PathBuf>,
    /// Give kills from files new ids and the present time.
    pub restamp: bool,
    /// Publish nothing before the first client is there.
    pub wait_for_client: bool,
    /// Keep the ids of what was published and delivered, not only their numbers.
    pub record: bool,
    /// Silence before a comment on the basic stream.
    pub ping_every: Duration,
    /// Between heartbeats of the enhanced stream.
    pub heartbeat_every: Duration,
    pub faults: Faults,
    /// The regions whose orders ESI knows.
    pub market: Market,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            rate: 10.0,
            count: None,
            seed: 1,
            inputs: Vec::new(),
            restamp: false,
            wait_for_client: true,
            record: false,
            ping_every: Duration::from_secs(10),
            heartbeat_every: Duration::from_secs(30),
            faults: Faults::default(),
            market: Market::default(),
        }
    }
}

/// Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("read {path}: {source}")]
    Input { path: String, source: std::io::Error },
    #[error("publish {0} kills a second: a rate above 0 and up to 1,000,000 is needed")]
    Rate(f64),
}

/// A running simulator; it ends when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    audience: Arc<Audience>,
    markets: Arc<Markets>,
    publishing: CancellationToken,
    serving: CancellationToken,
    publisher: AbortOnDropHandle<()>,
    server: AbortOnDropHandle<()>,
}

impl Simulator {
    /// Listens, and begins to publish.
    ///
    /// # Errors
    /// The address is taken, or an input cannot be opened.
    pub async fn start(config: Config) -> Result<Self, Error> {
        if !(config.rate > 0.0 && config.rate <= 1e6) {
            return Err(Error::Rate(config.rate));
        }
        let supply = Supply::open(&config)?;
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (publishing, serving) = (CancellationToken::new(), CancellationToken::new());
        let audience = Arc::new(Audience::new(Ledger::new(config.record)));
        let markets = Arc::new(Markets::new(&config.market, config.seed));
        let app = routes::router(routes::Shared::new(&config, audience.clone(), serving.clone()));
        let app = app.merge(market::routes::router(markets.clone())).merge(prices::router()).merge(universe::router());
        let server: JoinHandle<()> = tokio::spawn(routes::serve(listener, app, serving.clone()));
        let publisher = tokio::spawn(publisher::run(config, supply, audience.clone(), publishing.clone()));
        let (publisher, server) = (AbortOnDropHandle::new(publisher), AbortOnDropHandle::new(server));
        Ok(Self { address, audience, markets, publishing, serving, publisher, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address that a client of the feed is given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base address of the numbered files.
    #[must_use]
    pub fn zkillboard_url(&self) -> String {
        format!("{}/r2z2", self.url())
    }

    /// The base address of ESI.
    #[must_use]
    pub fn esi_url(&self) -> String {
        format!("{}/esi", self.url())
    }

    /// The base address of Janice.
    #[must_use]
    pub fn janice_url(&self) -> String {
        format!("{}/janice", self.url())
    }

    /// How many kills were published and handed over, to how many connections.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.audience.ledger().counts()
    }

    /// Ids of what was published, in order (with [`Config::record`]).
    #[must_use]
    pub fn published(&self) -> Vec<i64> {
        self.audience.ledger().published()
    }

    /// Ids of what was handed to a client whole and unspoilt, repeats included (with [`Config::record`]).
    ///
    /// What was written just before a client hung up counts too.
    #[must_use]
    pub fn delivered(&self) -> Vec<i64> {
        self.audience.ledger().delivered()
    }

    /// The open orders of a region as they are now, in the order of its pages; none of a region that is not there.
    #[must_use]
    pub fn orders(&self, region: RegionId) -> Vec<Order> {
        self.markets.orders(region.get())
    }

    /// The market's regions, ascending.
    #[must_use]
    pub fn regions(&self) -> Vec<i64> {
        self.markets.regions()
    }

    /// How many pages of orders were answered, by status.
    #[must_use]
    pub fn market_answers(&self) -> BTreeMap<u16, u64> {
        self.markets.answers()
    }

    /// From now on orders stay as they are, window after window; or change again.
    pub fn freeze_orders(&self, is_frozen: bool) {
        self.markets.freeze(is_frozen);
    }

    /// Begins the market's next window at once: what was answered before has changed then, whatever its `Expires` said.
    pub fn next_market_window(&self) {
        self.markets.turn();
    }

    /// Whether nothing more will be published.
    #[must_use]
    pub fn has_published_all(&self) -> bool {
        self.publisher.is_finished()
    }

    /// Publishes nothing more; what waits for a client still goes out.
    pub fn stop_publishing(&self) {
        self.publishing.cancel();
    }

    /// Ends every stream and stops listening.
    pub async fn stop(self) {
        self.publishing.cancel();
        self.serving.cancel();
        // A client that does not read cannot hold this up: the rest is aborted with the handle.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.server).await;
    }
}
