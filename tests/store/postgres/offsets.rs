//! Clients of the killfeed, with several workers on one database.

use super::open;
use super::queries::plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_of_one_client_at_two_workers_never_get_the_same_event() {
    let open = open().await;
    crate::offsets::at_once(&[open.store.clone(), open.another().await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_at_a_time_collects() {
    let open = open().await;
    let other = open.another().await;
    let claim = open.store.claim_collection().await.unwrap().expect("nobody has it");
    assert!(other.claim_collection().await.unwrap().is_none());
    claim.release().await;
    assert!(other.claim_collection().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_events_of_many_systems_are_read_from_an_index() {
    let open = open().await;
    open.execute(
        "INSERT INTO killmail_events (system_id, killmail_id, killmail_time, created_at)
            SELECT 1 + id % 500, id, now(), now() FROM generate_series(1, 20000) id; ANALYZE",
    )
    .await;
    let sql = "SELECT e.event_id FROM unnest(ARRAY[1, 2, 3]::bigint[], ARRAY[19000, 19500, 19990]::bigint[]) AS head (system, after)
        CROSS JOIN LATERAL (SELECT * FROM killmail_events WHERE system_id = head.system AND event_id > head.after AND event_id <= 20000
            ORDER BY event_id LIMIT 2) AS e";
    let nodes = plan(&open, sql).await;
    assert!(nodes.iter().any(|(kind, _, _)| kind.starts_with("Index")), "{nodes:?}");
    assert!(nodes.iter().all(|(kind, _, rows)| kind != "Seq Scan" && kind != "Sort" && *rows <= 6.0), "{nodes:?}");
}
