//! What every store promises of static data.

use std::sync::Arc;

use broadside::killmail::{
    CategoryId, ConstellationId, Form, GroupId, Kill, KillmailId, MetaGroupId, RegionId, SystemId, Tagged, TypeId,
};
use broadside::statics::{Constellation, Group, Region, Statics, System, Type};
use broadside::store::{Error, Origins, Queued};
use jiff::{SignedDuration, Timestamp};

use crate::contract::{Look, Shared};
use crate::kills::kill;

fn now() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

fn item(id: i64, name: &str) -> Type {
    Type {
        type_id: TypeId::new(id).unwrap(),
        name: name.into(),
        group_id: GroupId::new(25).unwrap(),
        meta_group_id: None,
        is_on_market: false,
        is_published: true,
        mass: 0.0,
        volume: 0.0,
        base_price: None,
        effects: Box::default(),
        tech_level: None,
        meta_level: None,
        rig_size: None,
        has_heat_damage: None,
    }
}

fn types(types: impl IntoIterator<Item = Type>) -> Statics {
    let group =
        Group { group_id: GroupId::new(25).unwrap(), category_id: CategoryId::new(6).unwrap(), name: "Frigate".into() };
    Statics {
        types: types.into_iter().map(|made| (made.type_id, made)).collect(),
        groups: [(group.group_id, group)].into(),
        ..Statics::default()
    }
}

/// Something of everything, with the extremes of each.
fn world() -> Statics {
    let full = Type {
        meta_group_id: MetaGroupId::new(14),
        is_on_market: true,
        is_published: false,
        mass: 1e35,
        volume: 0.015,
        base_price: Some(9_007_199_254_740_991),
        effects: [11, 2663, 3772].into(),
        tech_level: Some(3),
        meta_level: Some(-1),
        rig_size: Some(2),
        has_heat_damage: Some(true),
        ..item(29_984, "Tengu 'Τέρας' \"☄\", {1,2} \\")
    };
    let least = Type { has_heat_damage: Some(false), base_price: Some(1), ..item(1, "") };
    let (region_id, constellation_id) = (RegionId::new(10_000_002).unwrap(), ConstellationId::new(20_000_020).unwrap());
    let system = System {
        system_id: SystemId::new(30_000_142).unwrap(),
        name: "Jita".into(),
        constellation_id,
        region_id,
        security_status: 0.945_913_116_664_839,
    };
    let constellation = Constellation { constellation_id, region_id, name: "Kimotoro".into() };
    Statics {
        categories: [(CategoryId::new(6).unwrap(), "Ship".into())].into(),
        meta_groups: [(MetaGroupId::new(14).unwrap(), "Tech III".into())].into(),
        systems: [(system.system_id, system)].into(),
        constellations: [(constellation_id, constellation)].into(),
        regions: [(region_id, Region { region_id, name: "The Forge".into() })].into(),
        ..types([full, least, item(587, "Rifter")])
    }
}

pub(crate) async fn static_data_come_back_as_stored(store: &Shared, look: &dyn Look) {
    assert_eq!(store.statics_version().await, Ok(0));
    assert_eq!(store.load_statics().await, Ok((0, Statics::default())));
    assert_eq!(store.last_import().await, Ok(None));
    assert_eq!(store.replace_statics(&world(), "a folder", now()).await, Ok(1));
    assert_eq!(store.load_statics().await, Ok((1, world())));
    let import = store.last_import().await.unwrap().unwrap();
    assert_eq!((import.version, &*import.source, import.imported_at), (1, "a folder", now()));
    assert_eq!((import.counts, import.added), ([3, 1, 1, 1, 1, 1, 1], [0, 0]));
    let columns = "SELECT on_market, published, base_price, tech_level, meta_level, rig_size, heat_damage, source FROM eve_item_types ORDER BY type_id";
    let expected = [
        "0|1|1|NULL|NULL|NULL|0|import",
        "0|1|NULL|NULL|NULL|NULL|NULL|import",
        "1|0|9007199254740991|3|-1|2|1|import",
    ];
    assert_eq!(look.rows(columns).await, expected);
}

pub(crate) async fn an_import_takes_the_place_of_the_one_before(store: &Shared, _look: &dyn Look) {
    store.replace_statics(&world(), "first", now()).await.unwrap();
    let second = types([item(587, "Rifter, renamed"), item(588, "new")]);
    assert_eq!(store.replace_statics(&second, "second", now()).await, Ok(2));
    assert_eq!(store.load_statics().await, Ok((2, second)));
    assert_eq!(&*store.last_import().await.unwrap().unwrap().source, "second");
}

pub(crate) async fn what_esi_told_of_stays_until_an_import_has_it(store: &Shared, look: &dyn Look) {
    store.replace_statics(&types([item(587, "Rifter")]), "first", now()).await.unwrap();
    let found = types([item(600, "told"), item(601, "told"), item(587, "not taken")]);
    assert_eq!(store.add_statics(&found, now()).await, Ok(Some(2)));
    assert_eq!(store.statics_version().await, Ok(2));
    assert_eq!(store.add_statics(&found, now()).await, Ok(None), "they are there");
    assert_eq!(store.statics_version().await, Ok(2));
    assert_eq!(store.last_import().await.unwrap().unwrap().added, [2, 0]);
    store.replace_statics(&types([item(587, "Rifter"), item(601, "imported")]), "second", now()).await.unwrap();
    let named = look.rows("SELECT type_id, name, source FROM eve_item_types ORDER BY type_id").await;
    assert_eq!(named, ["587|Rifter|import", "600|told|esi", "601|imported|import"]);
    assert_eq!(store.last_import().await.unwrap().unwrap().added, [1, 0]);
    store.replace_statics(&types([item(587, "Rifter")]), "third", now()).await.unwrap();
    let named = look.rows("SELECT type_id FROM eve_item_types ORDER BY type_id").await;
    assert_eq!(named, ["587", "600"], "what an import had, its successor may take away");
    let kinds = look.rows("SELECT version, kind, types FROM eve_imports ORDER BY version").await;
    assert_eq!(kinds, ["1|import|1", "2|esi|2", "3|import|2", "4|import|1"]);
}

pub(crate) async fn systems_are_added_with_their_constellations(store: &Shared, _look: &dyn Look) {
    store.replace_statics(&types([item(587, "Rifter")]), "first", now()).await.unwrap();
    let all = world();
    let found =
        Statics { systems: all.systems.clone(), constellations: all.constellations.clone(), ..Statics::default() };
    assert_eq!(store.add_statics(&found, now()).await, Ok(Some(2)));
    let (_, stored) = store.load_statics().await.unwrap();
    assert_eq!((&stored.systems, &stored.constellations), (&all.systems, &all.constellations));
    assert_eq!(store.last_import().await.unwrap().unwrap().added, [0, 1]);
}

pub(crate) async fn a_refused_import_changes_nothing(store: &Shared, _look: &dyn Look) {
    store.replace_statics(&world(), "first", now()).await.unwrap();
    // SQLite keeps no NaN, PostgreSQL no NUL in a text.
    let bad = Type { mass: f64::NAN, ..item(588, "bad\0") };
    let refused = store.replace_statics(&types([item(587, "Rifter, renamed"), bad]), "second", now()).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(store.load_statics().await, Ok((1, world())));
}

pub(crate) async fn imports_at_once_come_one_after_the_other(store: &Shared, _look: &dyn Look) {
    let many = |name: &str| types((1..=2_000).map(|id| item(id, name)));
    let (one, other, third) = (many("one"), many("other"), many("third"));
    let found = types([item(9_000, "told")]);
    let done = tokio::join!(
        store.replace_statics(&one, "one", now()),
        store.replace_statics(&other, "other", now()),
        store.add_statics(&found, now()),
        store.replace_statics(&third, "third", now()),
    );
    let mut versions = [done.0.unwrap(), done.1.unwrap(), done.2.unwrap().unwrap(), done.3.unwrap()];
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
    let (version, stored) = store.load_statics().await.unwrap();
    assert_eq!((version, stored.types.len()), (4, 2_001));
    let last = store.last_import().await.unwrap().unwrap().source;
    assert!(stored.types.values().all(|made| *made.name == *last || &*made.name == "told"), "of one import, whole");
}

pub(crate) async fn what_imports_brought_is_told_from_what_esi_told_of(store: &Shared, _look: &dyn Look) {
    assert_eq!(store.load_origins().await, Ok(Origins::default()));
    store.replace_statics(&types([item(587, "Rifter")]), "first", now()).await.unwrap();
    let world = world();
    let group_id = GroupId::new(26).unwrap();
    let group = Group { group_id, category_id: CategoryId::new(6).unwrap(), name: "Cruiser".into() };
    let told = Statics {
        types: [(TypeId::new(600).unwrap(), Type { group_id, ..item(600, "told") })].into(),
        groups: [(group_id, group)].into(),
        systems: world.systems.clone(),
        constellations: world.constellations.clone(),
        ..Statics::default()
    };
    store.add_statics(&told, now()).await.unwrap();
    let origins = store.load_origins().await.unwrap();
    assert_eq!(origins, Origins { version: 1, imported: types([item(587, "Rifter")]), told });
}

pub(crate) async fn a_table_is_not_put_over_an_import_that_it_was_not_read_over(store: &Shared, _look: &dyn Look) {
    store.replace_statics(&types([item(587, "Rifter")]), "first", now()).await.unwrap();
    store.add_statics(&types([item(600, "told")]), now()).await.unwrap();
    let renamed = types([item(587, "Rifter, renamed")]);
    assert_eq!(store.amend_statics(1, &renamed, "a table", now()).await, Ok(3), "what ESI told of is no import");
    assert_eq!(store.last_import().await.unwrap().unwrap().added, [1, 0], "and stays");
    let before = store.load_statics().await;
    let late = store.amend_statics(1, &types([item(587, "late")]), "late", now()).await;
    assert!(matches!(late, Err(Error::Transient(_))), "{late:?}");
    assert_eq!(store.load_statics().await, before);
}

pub(crate) async fn kills_that_were_stored_without_static_data_are_queued_once(store: &Shared, look: &dyn Look) {
    let tagged = |region_id, is_whole| Some(Arc::new(Tagged { region_id, is_whole, ..Tagged::default() }));
    let with = |id, form, tagged| Kill { tagged, ..kill(id, form, 1) };
    let kills = [
        with(1, Form::Esi, tagged(None, false)),
        with(2, Form::Feed, tagged(None, false)),
        with(3, Form::Package, tagged(None, false)),
        with(4, Form::Package, tagged(Some(10_000_002), false)),
        with(5, Form::Package, tagged(None, true)),
        with(6, Form::Package, None),
        with(7, Form::Package, tagged(None, false)),
        Kill { refresh: true, ..with(8, Form::Package, tagged(None, false)) },
    ];
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), false).await.unwrap();
    let due_at = Timestamp::now() + SignedDuration::from_secs(60);
    let id = KillmailId::new;
    assert_eq!(store.queue_untagged(None, 3, due_at).await, Ok(Queued { queued: 2, next: id(3) }));
    assert_eq!(store.queue_untagged(id(3), 3, due_at).await, Ok(Queued { queued: 0, next: id(6) }));
    assert_eq!(store.queue_untagged(id(6), 3, due_at).await, Ok(Queued { queued: 1, next: None }));
    assert_eq!(store.queue_untagged(None, 100, due_at).await, Ok(Queued::default()), "they wait already");
    let queued = "SELECT killmail_id, killmail_time, attempts FROM refreshes ORDER BY killmail_id";
    let expected = [1, 3, 7, 8].map(|id| format!("{id}|2021-11-30T00:00:00Z|0"));
    assert_eq!(look.rows(queued).await, expected);
    let due = |at| async move { store.due_refreshes(at, 10).await.unwrap().len() };
    assert_eq!((due(Timestamp::now()).await, due(due_at).await), (1, 4), "not before it is time");
    let again = Kill { revises: true, ..with(1, Form::Esi, tagged(Some(10_000_002), true)) };
    store.insert_kills(&[&again], false).await.unwrap();
    assert_eq!(store.queue_untagged(None, 100, due_at).await, Ok(Queued::default()), "what was completed stays so");
}
