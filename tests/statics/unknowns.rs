//! What ESI is asked of types and systems that the static data lack, and what becomes of its answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broadside::clients::esi::Esi;
use broadside::killmail::{SystemId, TypeId};
use broadside::simulator::{self, Simulator};
use broadside::statics::{Shelf, Type};
use broadside::store::{self, Options, Store};
use broadside::unknowns::{Learned, Unknown, Unknowns};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::files::{Folder, read};
use crate::server::{Reply, Request, Server};

struct World {
    store: Arc<dyn Store>,
    shelf: Arc<Shelf>,
    unknowns: Unknowns,
    server: Server,
    esi: Esi,
}

impl World {
    /// With imported static data, and an ESI that answers so.
    async fn new(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let world = Self::empty(handler).await;
        world
            .store
            .replace_statics(&read(Folder::fuzzwork().path()).unwrap(), "a test", Timestamp::now())
            .await
            .unwrap();
        let (version, statics) = world.store.load_statics().await.unwrap();
        world.shelf.replace(version, statics);
        world
    }

    async fn empty(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let store = store::connect("sqlite::memory:", &Options::default()).await.unwrap();
        store.migrate().await.unwrap();
        let shelf = Arc::<Shelf>::default();
        let server = Server::start(handler).await;
        let esi = Esi::new(&server.url(), None).unwrap();
        Self { unknowns: Unknowns::new(store.clone(), shelf.clone()), store, shelf, server, esi }
    }

    async fn learn(&self, types: &[i64], systems: &[i64]) -> Learned {
        self.learn_within(types, systems, Duration::from_secs(100)).await
    }

    async fn learn_within(&self, types: &[i64], systems: &[i64], time: Duration) -> Learned {
        let types: Vec<_> = types.iter().filter_map(|id| TypeId::new(*id)).collect();
        let systems: Vec<_> = systems.iter().filter_map(|id| SystemId::new(*id)).collect();
        self.unknowns.learn(&self.esi, &types, &systems, Instant::now() + time).await
    }

    fn paths(&self) -> BTreeSet<String> {
        self.server.requests().iter().map(|request| request.path().to_owned()).collect()
    }
}

fn universe(request: &Request, _: usize) -> Reply {
    let body = match request.path() {
        "/esi/universe/types/90001" => {
            r#"{"type_id":90001,"name":"New Railgun","description":"…","group_id":74,"published":true,"mass":500.0,"volume":5.0,"market_group_id":564,
                "dogma_attributes":[{"attribute_id":422,"value":2.0},{"attribute_id":1692,"value":2.0},{"attribute_id":9,"value":1.0}],
                "dogma_effects":[{"effect_id":42,"is_default":true},{"effect_id":12,"is_default":false}]}"#
        }
        "/esi/universe/types/90002" => {
            r#"{"type_id":90002,"name":"New Thing","description":"","group_id":5000,"published":false}"#
        }
        "/esi/universe/types/90003" => {
            r#"{"type_id":1,"name":"another","description":"","group_id":25,"published":true}"#
        }
        "/esi/universe/groups/5000" => {
            r#"{"group_id":5000,"name":"New Group","category_id":7,"published":true,"types":[90002]}"#
        }
        "/esi/universe/systems/30009000" => {
            r#"{"system_id":30009000,"name":"Newly","constellation_id":20009000,"security_status":-0.25,"position":{"x":1.0,"y":1.0,"z":1.0}}"#
        }
        "/esi/universe/constellations/20009000" => {
            r#"{"constellation_id":20009000,"name":"New Stars","region_id":10000002,"systems":[30009000]}"#
        }
        _ => return Reply::new(404, r#"{"error":"not found"}"#),
    };
    Reply::new(200, body)
}

fn unknown_type(id: i64) -> Unknown {
    Unknown::Type(TypeId::new(id).unwrap())
}

#[tokio::test]
async fn new_types_and_systems_are_learned_with_what_they_belong_to_and_kept() {
    let world = World::new(universe).await;
    assert_eq!(world.learn(&[90_001, 90_002, 587], &[30_009_000, 30_000_142]).await, Learned::default());
    let known = world.shelf.current();
    let railgun = &known.types[&TypeId::new(90_001).unwrap()];
    assert_eq!((&*railgun.name, &*railgun.effects), ("New Railgun", &[12, 42][..]));
    assert_eq!((railgun.tech_level, railgun.meta_group_id.map(|id| id.get())), (Some(2), Some(2)));
    assert_eq!((railgun.has_heat_damage, railgun.is_on_market, railgun.base_price), (Some(false), true, None));
    assert_eq!(&*known.group(TypeId::new(90_002).unwrap()).unwrap().name, "New Group");
    let system = &known.systems[&SystemId::new(30_009_000).unwrap()];
    assert_eq!((system.region_id.get(), system.security_status), (10_000_002, -0.25));
    let (version, stored) = world.store.load_statics().await.unwrap();
    assert_eq!((version, &stored), (2, &*known));
    assert_eq!(world.shelf.version(), Some(2), "it need not be loaded again");
    assert_eq!(world.server.count(), 5, "{:?}", world.paths());
    world.learn(&[90_001, 90_002], &[30_009_000]).await;
    assert_eq!(world.server.count(), 5, "what is on the shelf is not asked for");
}

#[tokio::test]
async fn what_esi_does_not_know_is_asked_for_once() {
    let world = World::new(universe).await;
    let never = Learned { never: [unknown_type(90_009)].into(), ..Learned::default() };
    assert_eq!(world.learn(&[90_009, 587], &[]).await, never);
    assert_eq!(world.learn(&[90_009], &[]).await, never);
    assert_eq!(world.server.count(), 1);
    assert_eq!(world.store.statics_version().await, Ok(1));
}

#[tokio::test]
async fn what_several_lack_at_once_is_asked_for_once() {
    let world = World::new(universe).await;
    let (types, systems) = ([90_001, 90_002], [30_009_000]);
    let all = futures::future::join_all((0..20).map(|_| world.learn(&types, &systems))).await;
    assert!(all.iter().all(|learned| *learned == Learned::default()));
    assert_eq!(world.server.count(), 5, "{:?}", world.paths());
}

#[tokio::test]
async fn an_esi_that_fails_is_left_alone_and_the_kill_may_try_later() {
    let world = World::new(|_, _| Reply::new(400, "{}")).await;
    let later = Learned { later: [unknown_type(90_001)].into(), ..Learned::default() };
    assert_eq!(world.learn(&[90_001], &[]).await, later);
    assert_eq!(world.learn(&[90_001], &[]).await, later);
    assert_eq!(world.server.count(), 1, "for a while nobody waits for it");
}

#[tokio::test]
async fn nobody_waits_past_the_deadline_and_the_answer_is_there_the_next_time() {
    let world = World::new(|request, n| universe(request, n).slow(Duration::from_secs(600))).await;
    let started = std::time::Instant::now();
    let learned = world.learn_within(&[90_001], &[30_009_000], Duration::from_millis(50)).await;
    assert_eq!(learned.later.len(), 2);
    assert!(started.elapsed() < Duration::from_secs(300), "far less than the answer takes");
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    let world = World::new(universe).await;
    let learned = world.learn(&[90_003], &[]).await;
    assert_eq!(learned.later, [unknown_type(90_003)].into());
    assert_eq!(world.shelf.current().types.len(), 3);
}

#[tokio::test]
async fn without_any_import_nothing_is_asked() {
    let world = World::empty(universe).await;
    let learned = world.learn(&[90_001], &[30_009_000]).await;
    assert_eq!((learned.never.len(), learned.later.len()), (2, 0));
    assert_eq!(world.server.count(), 0);
}

#[tokio::test]
async fn what_made_up_kills_are_made_of_is_learned_from_the_simulator() {
    let world = World::new(universe).await;
    let simulator = Simulator::start(simulator::Config::default()).await.unwrap();
    let esi = Esi::new(&simulator.esi_url(), None).unwrap();
    let known = world.shelf.current();
    let things = simulator::statics();
    let types: Vec<_> = things.types.keys().copied().filter(|id| !known.types.contains_key(id)).collect();
    let systems: Vec<_> = things.systems.keys().copied().filter(|id| !known.systems.contains_key(id)).collect();
    let learned = world.unknowns.learn(&esi, &types, &systems, Instant::now() + Duration::from_secs(300)).await;
    assert_eq!(learned, Learned::default());
    let known = world.shelf.current();
    for id in &types {
        // ESI does not tell of base prices.
        assert_eq!(known.types[id], Type { base_price: None, ..things.types[id].clone() });
        assert_eq!(known.category(*id), things.category(*id));
    }
    assert!(!systems.is_empty() && systems.iter().all(|id| known.systems[id] == things.systems[id]));
}
