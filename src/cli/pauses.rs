//! Pauses that ESI has asked for, kept in the store: a worker that is started in the middle of one waits for its end.

use std::sync::Arc;

use crate::clients::esi::{Addresses, Esi, Pauses};
use crate::store::Store;

/// The checkpoint of an address.
fn name(base: &str) -> String {
    format!("esi pauses {base}")
}

/// Takes up what was kept, before anything is asked.
pub(super) async fn take_up(store: &dyn Store, addresses: &Addresses) {
    for (base, esi) in addresses.all() {
        let kept = store.checkpoint(&name(&base)).await;
        match kept.map(|kept| kept.and_then(|kept| serde_json::from_str::<Pauses>(&kept).ok())) {
            Ok(Some(pauses)) => esi.keep_pauses(&pauses),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "failed to read until when ESI wants to be left alone"),
        }
    }
}

/// Writes down each pause as soon as ESI asks for it, until it is dropped.
pub(super) async fn keep(store: Arc<dyn Store>, base: String, esi: Esi) {
    loop {
        esi.paused().await;
        let Ok(kept) = serde_json::to_string(&esi.pauses()) else { continue };
        if let Err(error) = store.set_checkpoint(&name(&base), Some(&kept)).await {
            tracing::warn!(%error, "failed to keep until when ESI wants to be left alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::memory_store::MemoryStore;

    #[tokio::test]
    async fn a_pause_of_before_holds_in_the_next_process() {
        let store = MemoryStore::default();
        let addresses = || {
            let addresses = Addresses::default();
            addresses.at("http://127.0.0.1:1/esi", None).expect("an address");
            addresses
        };
        let soon = Timestamp::now() + SignedDuration::from_secs(300);
        let over = Timestamp::now() - SignedDuration::from_secs(1);
        let routes = BTreeMap::from([("/markets/*/orders".to_owned(), soon), ("/killmails/*/*".to_owned(), over)]);
        let kept = serde_json::to_string(&Pauses { all: Some(over), routes }).expect("json");
        store.set_checkpoint(&name("http://127.0.0.1:1/esi"), Some(&kept)).await.expect("kept");
        let next = addresses();
        take_up(&store, &next).await;
        let (_, esi) = next.all().remove(0);
        let pauses = esi.pauses();
        assert_eq!((pauses.all, pauses.routes.len()), (None, 1));
        let until = pauses.routes["/markets/*/orders"];
        assert!(until.duration_since(soon).abs() < SignedDuration::from_secs(1), "{until} {soon}");
        store.set_checkpoint(&name("http://127.0.0.1:1/esi"), Some("nonsense")).await.expect("kept");
        let next = addresses();
        take_up(&store, &next).await;
        assert_eq!(next.all().remove(0).1.pauses(), Pauses::default());
    }
}
