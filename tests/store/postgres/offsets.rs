//! Clients of the killfeed, with several workers on one database.

use broadside::store::{Begin, Commit, Month};

use super::open;
use super::queries::plan;
use crate::offsets::{ask, happen, ids};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_not_passed_the_events_of_a_month_that_is_dropped_is_told() {
    let open = open().await;
    let early = ask("map", &[1, 2], Begin::Now, 9, Commit::Auto);
    open.store.hand_out(&early).await.unwrap();
    let events = happen(&open.store, &[1, 1, 3]).await;
    open.store.drop_partitions(Month::parse("2022-01").unwrap()).await.unwrap();
    let handed = open.store.hand_out(&early).await.unwrap();
    assert_eq!((ids(&handed), handed.gap), (vec![], Some(events[1] + 1)), "nothing is left");
    let late = ask("late", &[1, 3], Begin::Now, 9, Commit::Auto);
    assert_eq!(open.store.hand_out(&late).await.unwrap().gap, None);
    let next = happen(&open.store, &[1, 3]).await;
    assert!(next[0] > events[2]);
    for ask in [&early, &late] {
        let handed = open.store.hand_out(ask).await.unwrap();
        assert_eq!((handed.events[0].event_id, handed.gap), (next[0], None));
    }
}
