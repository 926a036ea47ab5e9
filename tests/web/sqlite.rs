//! The killfeed over a real SQLite file.

use std::sync::Arc;

use broadside::hub::Hub;
use broadside::killmail::{Kill, wire};
use broadside::store::{self, Change, Options, Store};

use crate::client::Stream;
use crate::world::{HandMade, World};

fn kill(id: i64) -> Kill {
    let raw = format!(
        r#"{{"killmail_id":{id},"killmail_time":"2026-11-20T10:00:00Z","solar_system_id":{},
            "victim":{{"ship_type_id":587,"damage_taken":10,"items":[]}},
            "attackers":[{{"damage_done":10,"final_blow":true,"security_status":-1.5}}]}}"#,
        30_000_001 + id % 5
    );
    let mut kill = Kill::new(raw.into(), "file", "2026-11-20T10:00:01Z".parse().unwrap(), true);
    kill.mail = Some(Arc::new(wire::decode(&kill.raw).unwrap()));
    kill
}

/// As two workers of `db_insert` and the `pubsub` behind them: each batch is published after its commit, whatever the other has published.
async fn insert(store: Arc<dyn Store>, hub: Arc<Hub>, ids: std::ops::Range<i64>) {
    for chunk in ids.collect::<Vec<_>>().chunks(7) {
        let kills: Vec<Kill> = chunk.iter().map(|id| kill(*id)).collect();
        let changes = store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
        assert!(changes.iter().all(|change| matches!(change, Change::New { event_id: Some(_) })), "{changes:?}");
        hub.publish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_over_sqlite_are_complete_and_in_order_while_two_writers_insert() {
    const KILLS: i64 = 1400;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("broadside.db").display());
    let store = store::connect(&url, &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let hub = Arc::new(Hub::default());
    let world = World::over(store.clone(), hub.clone(), Arc::new(HandMade::default())).await;
    assert_eq!(world.get("/readyz").await.status, 200);

    let mut live = Stream::open(world.address, "", None).await;
    let mut one_system = Stream::open(world.address, "?systems=30000003", None).await;
    let writers: Vec<_> = [1..1 + KILLS / 2, 1 + KILLS / 2..1 + KILLS]
        .map(|ids| tokio::spawn(insert(store.clone(), hub.clone(), ids)))
        .into();
    let every: Vec<i64> = (1..=KILLS).collect();
    assert_eq!(live.ids(100).await, every[..100]);
    drop(live);
    for writer in writers {
        writer.await.unwrap();
    }
    let mut resumed = Stream::open(world.address, "", Some(100)).await;
    assert_eq!(resumed.ids(KILLS as usize - 100).await, every[100..]);
    let there = one_system.ids(KILLS as usize / 5).await;
    assert!(there.is_sorted_by(|a, b| a < b));

    let recent = world.get("/api/kills/recent?limit=5").await.json();
    let last = &recent["events"][4];
    assert_eq!(last["event_id"], KILLS);
    assert_eq!(last["killmail"]["killmail_time"], "2026-11-20T10:00:00Z");
    assert_eq!(last["killmail"]["attackers"][0]["security_status"], -1.5);
    world.stop().await;
    store.close().await;
}
