//! Days of history: archives, the day reader against servers that misbehave, the source.

#![allow(clippy::unwrap_used, reason = "tests")]

mod archives;
mod day;
#[allow(dead_code, reason = "each test binary uses its part")]
mod server;
mod source;

use std::fmt::Write as _;
use std::sync::Arc;

use broadside::killmail::{Kill, wire};
use broadside::resources::Resources;
use broadside::store::{self, Store};
use jiff::Timestamp;

async fn resources() -> Resources {
    let store = store::connect("sqlite::memory:", &store::Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    Resources {
        store,
        hub: Arc::default(),
        recent: Arc::default(),
        stored: Arc::default(),
        contact: None,
        clients: Arc::default(),
        feeds: Arc::default(),
        esi: Arc::default(),
        events: false,
    }
}

/// A killmail in ESI's form.
fn killmail(id: i64) -> String {
    format!(
        r#"{{"attackers":[{{"damage_done":{},"final_blow":true}}],"killmail_id":{id},"killmail_time":"2026-01-02T03:04:05Z","solar_system_id":30000142,"victim":{{"damage_taken":1,"items":[],"ship_type_id":587}}}}"#,
        id % 90
    )
}

fn hash(id: i64) -> String {
    format!("{id:040x}")
}

/// A list and a day of killmails.
fn day_of(ids: impl IntoIterator<Item = i64> + Clone) -> (String, String) {
    let object = |value: &dyn Fn(i64) -> String| {
        let mut text = String::from("{");
        for id in ids.clone() {
            let comma = if text.len() > 1 { "," } else { "" };
            write!(text, "{comma}\"{id}\":{}", value(id)).unwrap();
        }
        text + "}"
    };
    (object(&|id| format!("\"{}\"", hash(id))), object(&killmail))
}

async fn store_kills(store: &Arc<dyn Store>, ids: impl IntoIterator<Item = i64>) {
    let kill = |id| {
        let raw = killmail(id).into_bytes();
        let mail = wire::decode(&raw).unwrap();
        Kill { mail: Some(Arc::new(mail)), ..Kill::new(raw.into(), "test", Timestamp::now(), true) }
    };
    let kills: Vec<_> = ids.into_iter().map(kill).collect();
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), false).await.unwrap();
}
