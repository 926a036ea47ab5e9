//! `GET /api/pipelines/history`.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_worker_that_has_just_begun_has_pipelines_without_points() {
    let world = World::new().await;
    let history = loop {
        let history = world.get("/api/pipelines/history").await.json();
        if history["pipelines"] != json!([]) {
            break history;
        }
        tokio::task::yield_now().await;
    };
    let kills = json!({
        "name": "kills", "at": [], "received_per_second": [], "settled_per_second": [], "failed_per_second": [],
        "in_flight": [], "p50_seconds": [], "p99_seconds": [], "queues": {},
    });
    assert_eq!(history, json!({"every_seconds": 10, "pipelines": [kills]}));
}

#[tokio::test]
async fn points_can_be_asked_for_from_a_time_on_and_nothing_else() {
    let world = World::new().await;
    assert_eq!(world.get("/api/pipelines/history?since=4102444800").await.status, 200);
    assert_eq!(world.get("/api/pipelines/history?since=18446744073709551615").await.status, 200);
    for query in ["since=-1", "since=x", "until=1", "since=1&since=2"] {
        assert_eq!(world.get(&format!("/api/pipelines/history?{query}")).await.status, 400, "{query}");
    }
}
