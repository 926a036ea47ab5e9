//! Regions by name, added and removed while the pipeline runs.

use broadside::regions::{Change, Which};

use crate::world::{World, id};

const FORGE: i64 = 10_000_002;
const HEIMATAR: i64 = 10_000_030;

#[tokio::test]
async fn regions_are_found_by_name_at_esi_and_added_and_removed_while_others_run() {
    let world = World::new(0.0).await;
    let worker = world.start("regions = [\"heimatar\"]").await;
    world.in_step(&[HEIMATAR]).await;
    assert_eq!(worker.standing(HEIMATAR).and_then(|standing| standing.name).as_deref(), Some("Heimatar"));
    assert!(worker.standing(FORGE).is_none() && world.open(FORGE).await.is_empty());

    let regions = &worker.resources.regions;
    let forge = || Change::Add(Which::parse("The Forge").expect("a name"));
    assert_eq!(regions.change(forge()).await, Ok(id(FORGE)));
    world.in_step(&[FORGE, HEIMATAR]).await;
    assert_eq!(regions.change(Change::Remove(id(HEIMATAR))).await, Ok(id(HEIMATAR)));
    assert!(worker.standing(HEIMATAR).is_none() && worker.standing(FORGE).is_some());
    let nowhere = regions.change(Change::Add(Which::parse("Nowhere").expect("a name"))).await;
    assert_eq!(nowhere.expect_err("no region").to_string(), "ESI names no region \"Nowhere\"");
    worker.stop().await;
}
