//! Between two feeds: what the one sent to nobody, the other still has.

use std::collections::BTreeSet;

use broadside::simulator::{Config, Simulator};
use rand::RngExt;

use crate::program::{Running, World};
use crate::tables::Tables;
use crate::{drawing, until};

/// Kills a second: fewer than the numbered files may be asked for, or the end would take long.
const RATE: f64 = 6.0;

fn start(world: &World, feed: &Simulator, database: &str) -> Running {
    let urls = [("WANDERER_URL", feed.url()), ("ZKILLBOARD_URL", feed.zkillboard_url()), ("ESI_URL", feed.esi_url())];
    let arguments = ["run", "kills", "--listen", "127.0.0.1:0", "--database", database];
    let mut worker = world.start(&arguments, &urls.each_ref().map(|(name, url)| (*name, url.as_str())));
    worker.err("page=");
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_killed_reads_up_what_the_live_feed_sent_meanwhile() {
    let (world, mut random) = (World::new(), drawing());
    let database = format!("sqlite://{}", world.path("kills.db").display());
    let config = Config { rate: RATE, seed: random.random(), record: true, ..Config::default() };
    let feed = Simulator::start(config).await.expect("a free port");
    for death in 0..3 {
        let worker = start(&world, &feed, &database);
        let mut tables = Tables::open(&database).await;
        let moment = tables.stored().await + random.random_range(3..10);
        until("so many more are stored", async || tables.stored().await >= moment).await;
        worker.signal("KILL");
        worker.wait();
        tables.are_sound(&format!("after death {death}")).await;
        let missed = feed.published().len() + random.random_range(2..8);
        until("some more are published", async || feed.published().len() >= missed).await;
    }
    let worker = start(&world, &feed, &database);
    let mut tables = Tables::open(&database).await;
    feed.stop_publishing();
    until("everything is stored", async || {
        feed.has_published_all() && tables.stored().await as usize >= feed.published().len()
    })
    .await;
    worker.signal("TERM");
    let done = worker.wait();
    assert_eq!(done.code, 0, "{}", done.err);
    tables.are_sound("in the end").await;
    let stored: BTreeSet<_> = tables.ids("killmails_raw.killmail_id").await.into_iter().collect();
    let published: BTreeSet<_> = feed.published().into_iter().collect();
    assert_eq!(stored, published);
    let without_items = "SELECT count(*) FROM killmails_raw WHERE form = 0";
    assert_eq!(tables.numbers(without_items).await, [[0]]);
}
