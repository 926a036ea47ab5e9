//! `GET /api/names`.

use std::sync::Arc;

use broadside::killmail::{ConstellationId, GroupId, RegionId, SystemId, TypeId};
use broadside::statics::{Region, Shelf, Statics, System, Type};
use serde_json::json;

use crate::world::World;

fn statics() -> Statics {
    let mut statics = Statics::default();
    let type_id = TypeId::new(587).unwrap();
    let (system_id, region_id) = (SystemId::new(30_000_142).unwrap(), RegionId::new(10_000_002).unwrap());
    let rifter = Type {
        type_id,
        name: "Rifter".into(),
        group_id: GroupId::new(25).unwrap(),
        meta_group_id: None,
        is_on_market: true,
        is_published: true,
        mass: 1.0,
        volume: 1.0,
        base_price: None,
        effects: Box::default(),
        tech_level: None,
        meta_level: None,
        rig_size: None,
        has_heat_damage: None,
    };
    let constellation_id = ConstellationId::new(20_000_020).unwrap();
    let jita = System { system_id, name: "Jita".into(), constellation_id, region_id, security_status: 0.946 };
    statics.types.insert(type_id, rifter);
    statics.systems.insert(system_id, jita);
    statics.regions.insert(region_id, Region { region_id, name: "The Forge".into() });
    statics
}

#[tokio::test]
async fn names_are_those_of_the_static_data_and_what_is_unknown_is_left_out() {
    let shelf = Arc::new(Shelf::default());
    let world = World::with(|state| state.with_statics(shelf.clone())).await;
    let path = "/api/names?types=587,670&systems=30000142,31000001";
    assert_eq!(world.get(path).await.json(), json!({"types": {}, "systems": {}}));
    shelf.put(statics());
    let jita = json!({"name": "Jita", "region": "The Forge", "security_status": 0.946});
    let expected = json!({"types": {"587": "Rifter"}, "systems": {"30000142": jita}});
    assert_eq!(world.get(path).await.json(), expected);
    assert_eq!(world.get("/api/names").await.json(), json!({"types": {}, "systems": {}}));
}

#[tokio::test]
async fn what_is_no_id_is_refused_and_so_are_too_many() {
    let world = World::new().await;
    let many = vec!["1"; 501].join(",");
    for query in ["types=x", "types=0", "systems=-1", "types=1.5", "regions=1", &format!("types={many}")] {
        assert_eq!(world.get(&format!("/api/names?{query}")).await.status, 400, "{query}");
    }
}
