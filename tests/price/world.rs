//! Janice, MutaMarket and ESI on one server, a store in memory, a few thousand types, and kills to price.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broadside::appraisal::{Janice, Mutamarket};
use broadside::duration::Span;
use broadside::killmail::sample::Sampler;
use broadside::killmail::{CategoryId, Form, GroupId, Item, Kill, Killmail, MetaGroupId, TypeId, Victim, wire};
use broadside::resources::Resources;
use broadside::stages::price::Config;
use broadside::statics::{Group, Statics, Type};
use broadside_engine::{Message, Stage};
use jiff::Timestamp;

use crate::memory_store::MemoryStore;
use crate::server::{Reply, Request, Server};

/// What Janice does next.
pub(crate) type Janitor = Arc<Mutex<Box<dyn Fn(&[i64]) -> Reply + Send>>>;

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) resources: Resources,
    pub(crate) server: Server,
    pub(crate) janice: Janitor,
    /// Pages of each abyssal type, as they are sent.
    pub(crate) modules: Arc<Mutex<BTreeMap<i64, Vec<String>>>>,
}

pub(crate) fn id(id: i64) -> TypeId {
    TypeId::new(id).unwrap()
}

/// Janice has no line of types that are divisible by 10, and no price of those that end in 1; a type costs 1.01 ISK times its id.
pub(crate) fn row(type_id: i64) -> Option<String> {
    let price =
        if type_id % 10 == 1 { "0".to_owned() } else { format!("{}.{:02}", type_id * 101 / 100, type_id * 101 % 100) };
    let sides = format!(r#"{{"buyPrice":0.5,"splitPrice":0.75,"sellPrice":{price}}}"#);
    (type_id % 10 != 0)
        .then(|| format!(r#"{{"itemType":{{"eid":{type_id}}},"immediatePrices":{sides},"top5AveragePrices":{sides}}}"#))
}

pub(crate) fn rows(ids: &[i64]) -> Reply {
    Reply::new(200, format!("[{}]", ids.iter().filter_map(|id| row(*id)).collect::<Vec<_>>().join(",")))
}

/// Types 1 to `count`, all published, those not divisible by 7 on the market; 90,001 to 90,009 are abyssal, 91,000 is a SKIN.
/// Types divisible by 30 have a base price of 5 ISK.
fn statics(count: i64) -> Statics {
    let mut statics = Statics::default();
    for (group, category) in [(25, 6), (1950, 91)] {
        let (group_id, category_id) = (GroupId::new(group).unwrap(), CategoryId::new(category).unwrap());
        statics.groups.insert(group_id, Group { group_id, category_id, name: "a group".into() });
    }
    for number in (1..=count).chain(90_001..90_010).chain([91_000]) {
        let is_abyssal = (90_001..90_010).contains(&number);
        let kind = Type {
            type_id: id(number),
            name: "a type".into(),
            group_id: GroupId::new(if number == 91_000 { 1950 } else { 25 }).unwrap(),
            meta_group_id: is_abyssal.then(|| MetaGroupId::new(15).unwrap()),
            is_on_market: number % 7 != 0 && !is_abyssal,
            is_published: true,
            mass: 1.0,
            volume: 1.0,
            base_price: (number % 30 == 0).then_some(500),
            effects: Box::default(),
            tech_level: None,
            meta_level: None,
            rig_size: None,
            has_heat_damage: None,
        };
        statics.types.insert(kind.type_id, kind);
    }
    statics
}

impl World {
    pub(crate) async fn new(types: i64) -> Self {
        let store = Arc::new(MemoryStore::default());
        let janice: Janitor = Arc::new(Mutex::new(Box::new(rows)));
        let modules: Arc<Mutex<BTreeMap<i64, Vec<String>>>> = Arc::default();
        let (asked, listed) = (janice.clone(), modules.clone());
        let server = Server::start(move |request, _| answer(request, &asked, &listed)).await;
        let resources = Resources::new(store.clone());
        resources.statics.put(statics(types));
        Self { store, resources, server, janice, modules }
    }

    /// From now on Janice does this.
    pub(crate) fn janice(&self, does: impl Fn(&[i64]) -> Reply + Send + 'static) {
        *self.janice.lock().unwrap() = Box::new(does);
    }

    pub(crate) fn config(&self, max_wait: Span) -> Config {
        let url = self.server.url();
        Config {
            max_wait,
            janice: Janice { url: url.clone(), key: "key".into(), ..Janice::default() },
            mutamarket: Mutamarket { url: url.clone(), ..Mutamarket::default() },
            esi: url,
            ..Config::default()
        }
    }

    pub(crate) fn stage(&self, max_wait: Span) -> impl Stage<Kill> + use<> {
        self.config(max_wait).build("test", &self.resources)
    }

    /// As after a restart: the store is the same, nothing else.
    pub(crate) fn restarted(self) -> Self {
        let resources = Resources { statics: self.resources.statics.clone(), ..Resources::new(self.store.clone()) };
        Self { resources, ..self }
    }

    /// Requests whose path holds this.
    pub(crate) fn asked(&self, part: &str) -> usize {
        self.requests(part).len()
    }

    pub(crate) fn requests(&self, part: &str) -> Vec<Request> {
        self.server.requests().into_iter().filter(|request| request.path().contains(part)).collect()
    }
}

fn answer(request: &Request, janice: &Janitor, modules: &Mutex<BTreeMap<i64, Vec<String>>>) -> Reply {
    let path = request.path();
    if path.contains("/pricer") {
        let ids: Vec<i64> = request.body.lines().map(|line| line.parse().unwrap()).collect();
        assert!(ids.len() <= 500 && request.head.contains("x-apikey: key"), "{} lines", ids.len());
        return janice.lock().unwrap()(&ids);
    }
    if path.contains("/markets/prices") {
        let rows: Vec<String> = (1..=200)
            .map(|n| format!(r#"{{"type_id":{},"average_price":{n}.25,"adjusted_price":1}}"#, n * 20))
            .collect();
        let now = Timestamp::now();
        let date = |at: Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let reply = Reply::new(200, format!("[{}]", rows.join(",")));
        return reply.with("date", date(now)).with("expires", date(now + jiff::SignedDuration::from_hours(1)));
    }
    let (kind, page) = path.rsplit('/').next().unwrap().split_once("?page=").unwrap();
    let (kind, page): (i64, usize) = (kind.parse().unwrap(), page.parse().unwrap());
    let pages = modules.lock().unwrap();
    match pages.get(&kind).and_then(|pages| pages.get(page - 1)) {
        Some(body) => Reply::new(200, body.clone()),
        None => Reply::new(404, r#"{"message":"Not Found"}"#),
    }
}

pub(crate) fn item(type_id: i64, quantity: i64) -> Item {
    Item {
        flag: 5,
        item_type_id: id(type_id),
        quantity_destroyed: Some(quantity),
        quantity_dropped: None,
        singleton: 0,
        items: Vec::new(),
    }
}

/// A kill of this ship with one of each of these types, a minute ago.
pub(crate) fn kill(ship: i64, types: &[i64]) -> Kill {
    let now = Timestamp::now();
    dated(ship, types, now - jiff::SignedDuration::from_mins(1))
}

pub(crate) fn dated(ship: i64, types: &[i64], time: Timestamp) -> Kill {
    let sample = Sampler::new(1).next(time);
    let text = sample.esi_json();
    let mut kill = Kill::new(text.clone().into(), "test", Timestamp::now(), true);
    let mail = wire::decode(text.as_bytes()).unwrap();
    let items = types.iter().map(|type_id| item(*type_id, 1)).collect();
    let victim = Victim { ship_type_id: TypeId::new(ship), items, ..Victim::default() };
    kill.mail = Some(Arc::new(Killmail { victim, killmail_time: time, form: Form::Esi, ..mail }));
    kill
}

pub(crate) async fn run(stage: &dyn Stage<Kill>, kills: Vec<Kill>) -> Vec<Message<Kill>> {
    let mut messages: Vec<_> = kills.into_iter().map(Message::new).collect();
    stage.process(&mut messages).await;
    assert!(messages.iter().all(Message::is_active), "no kill fails for its price");
    messages
}

/// Total, source, and whether it is to be priced again, of one kill.
pub(crate) async fn one(stage: &dyn Stage<Kill>, kill: Kill) -> (Option<i64>, String, bool) {
    let messages = run(stage, vec![kill]).await;
    let kill = &messages[0].payload;
    let worth = kill.worth.as_ref().unwrap();
    (worth.total, worth.source.clone(), kill.refresh)
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(100), async {
        let mut every = tokio::time::interval(Duration::from_millis(2));
        while !holds() {
            every.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
