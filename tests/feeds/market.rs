//! The simulator's market: pages, tags, windows and tokens as ESI has them.

use std::collections::BTreeSet;
use std::time::Duration;

use broadside::clients::answer::Answer;
use broadside::clients::service::{Manners, Service};
use broadside::killmail::RegionId;
use broadside::market::Order;
use broadside::simulator::{Config, Market, Simulator};
use serde_json::{Value, json};

const FORGE: i64 = 10_000_002;
const MANNERS: Manners = Manners {
    name: "test",
    per_second: None,
    concurrency: 4,
    body_max: 4 * 1024 * 1024,
    call_timeout: Duration::from_secs(100),
    read_timeout: Duration::from_secs(100),
    headers: &[],
};

struct World {
    simulator: Simulator,
    esi: Service,
}

impl World {
    /// The window is longer than a test: it turns when the test says so.
    async fn new(regions: &[(i64, usize)]) -> Self {
        let market = Market { window: Duration::from_secs(3600), regions: regions.to_vec(), ..Market::default() };
        let simulator = Simulator::start(Config { market, ..Config::default() }).await.expect("it listens");
        let esi = Service::new(&simulator.esi_url(), None, &MANNERS).expect("an address");
        Self { simulator, esi }
    }

    async fn page(&self, number: u32, tag: Option<&str>) -> Answer {
        let route = format!("/markets/{FORGE}/orders?order_type=all&page={number}");
        let tag = tag.map(|tag| ("if-none-match".parse().expect("a name"), tag.to_owned()));
        self.esi.get(&route, tag.as_slice()).await.expect("an answer")
    }

    fn orders(&self) -> Vec<Order> {
        self.simulator.orders(RegionId::new(FORGE).expect("an id"))
    }
}

fn text<'a>(answer: &'a Answer, name: &'static str) -> &'a str {
    answer.text(name).unwrap_or_else(|| panic!("no {name}"))
}

fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).expect("an array")
}

fn error(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn a_regions_pages_are_its_orders_each_once() {
    let world = World::new(&[(FORGE, 2_345)]).await;
    let mut found = Vec::new();
    for number in 1..=3 {
        let page = world.page(number, None).await;
        assert_eq!((text(&page, "x-pages"), text(&page, "x-ratelimit-group")), ("3", "market-order"));
        found.extend(rows(&page));
    }
    assert_eq!(found.len(), 2_345);
    for (row, order) in found.iter().zip(world.orders()) {
        let names: Vec<&String> = row.as_object().expect("an object").keys().collect();
        let expected = [
            "duration",
            "is_buy_order",
            "issued",
            "location_id",
            "min_volume",
            "order_id",
            "price",
            "range",
            "system_id",
            "type_id",
            "volume_remain",
            "volume_total",
        ];
        assert_eq!(names, expected);
        assert_eq!(row["order_id"], order.order_id);
        assert_eq!(row["price"].as_f64().map(|price| (price * 100.0).round() as i64), Some(order.price.0));
        assert_eq!((&row["range"], &row["issued"]), (&json!(order.range.to_string()), &json!(order.issued)));
    }
    let beyond = world.page(4, None).await;
    assert_eq!((beyond.status, error(&beyond)), (404, json!({"error": "Requested page does not exist!"})));
}

#[tokio::test]
async fn a_page_that_is_as_it_was_is_not_sent_again() {
    let world = World::new(&[(FORGE, 1_500)]).await;
    let first = world.page(1, None).await;
    let tag = text(&first, "etag").to_owned();
    let again = world.page(1, Some(&tag)).await;
    assert_eq!((again.status, again.body.len(), text(&again, "etag")), (304, 0, tag.as_str()));
    assert_eq!(text(&again, "expires"), text(&first, "expires"));
    assert_ne!(text(&world.page(2, None).await, "etag"), tag, "each page has its own");
    world.simulator.freeze_orders(true);
    world.simulator.next_market_window();
    let frozen = world.page(1, Some(&tag)).await;
    assert_eq!(frozen.status, 304);
    assert_ne!(text(&frozen, "last-modified"), text(&first, "last-modified"), "of the next window all the same");
    world.simulator.freeze_orders(false);
    world.simulator.next_market_window();
    assert_eq!(world.page(1, Some(&tag)).await.status, 200);
}

#[tokio::test]
async fn a_window_changes_two_in_a_hundred_orders() {
    let world = World::new(&[(FORGE, 2_500)]).await;
    let before: BTreeSet<String> = world.orders().iter().map(|order| format!("{order:?}")).collect();
    world.simulator.next_market_window();
    let after: BTreeSet<String> = world.orders().iter().map(|order| format!("{order:?}")).collect();
    let touched = before.difference(&after).count();
    assert!((49..=51).contains(&touched), "{touched} of 2,500");
}

#[tokio::test]
async fn calls_cost_tokens() {
    let world = World::new(&[(FORGE, 0)]).await;
    let empty = world.page(1, None).await;
    assert_eq!((rows(&empty).len(), text(&empty, "x-pages")), (0, "1"));
    let costs = [world.page(1, Some(text(&empty, "etag"))).await, world.page(2, None).await];
    let left = [&empty, &costs[0], &costs[1]].map(|answer| text(answer, "x-ratelimit-remaining").to_owned());
    assert_eq!(left, ["11998", "11997", "11992"]);
    assert_eq!(text(&empty, "x-ratelimit-limit"), "12000/15m");
}

#[tokio::test]
async fn regions_are_listed_and_named() {
    let world = World::new(&Market::default().regions).await;
    let listed = rows(&world.esi.get("/universe/regions", &[]).await.expect("an answer"));
    assert_eq!(listed, world.simulator.regions());
    let names = async |body: &str| world.esi.post_json("/universe/names", body.to_owned()).await.expect("an answer");
    let named = rows(&names("[10000002,10000043]").await);
    assert_eq!(named[1], json!({"category": "region", "id": 10_000_043, "name": "Domain"}));
    for (body, status) in [("[10000002,5]", 404), ("[]", 400), ("[10000002,10000002]", 400)] {
        assert_eq!(names(body).await.status, status, "{body}");
    }
    let ids = world.esi.post_json("/universe/ids", r#"["the forge","nowhere"]"#.to_owned()).await.expect("an answer");
    assert_eq!(error(&ids), json!({"regions": [{"id": FORGE, "name": "The Forge"}]}));
    let unknown = world.esi.get("/markets/1/orders?order_type=all", &[]).await.expect("an answer");
    assert_eq!(unknown.status, 404);
}
