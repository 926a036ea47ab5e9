//! What storing a kill would change, told without changing it.

use broadside::killmail::Form;
use broadside::store::{Change, Error, RowChange};

use crate::contract::{Look, Shared};
use crate::kills::{dated, kill};

/// Tables with how many rows come, change and go.
fn counts(rows: &[RowChange]) -> Vec<(String, [usize; 3])> {
    let mut counts: Vec<(String, [usize; 3])> = Vec::new();
    for row in rows {
        let kind = match (&row.before, &row.after) {
            (None, _) => 0,
            (Some(_), Some(_)) => 1,
            (Some(_), None) => 2,
        };
        match counts.last_mut().filter(|(table, _)| *table == row.table) {
            Some((_, of)) => of[kind] += 1,
            None => {
                let mut of = [0; 3];
                of[kind] = 1;
                counts.push((row.table.clone(), of));
            }
        }
    }
    counts
}

fn expected(of: &[(&str, [usize; 3])]) -> Vec<(String, [usize; 3])> {
    of.iter().map(|(table, counts)| ((*table).to_owned(), *counts)).collect()
}

async fn stored(look: &dyn Look) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants", "killmail_events", "refreshes"] {
        all.extend(look.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).await);
    }
    all
}

pub(crate) async fn a_rehearsal_tells_the_rows_and_changes_nothing(store: &Shared, look: &dyn Look) {
    let poor = kill(1, Form::Feed, 3);
    let new = store.rehearse_kill(&poor).await.unwrap();
    assert_eq!(new.change, Change::New { event_id: None });
    let all_new = expected(&[
        ("killmails_raw", [1, 0, 0]),
        ("killmails_enriched", [1, 0, 0]),
        ("killmail_participants", [4, 0, 0]),
    ]);
    assert_eq!(counts(&new.rows), all_new);
    assert_eq!(stored(look).await, Vec::<String>::new(), "nothing was stored");

    store.insert_kills(&[&poor], true).await.unwrap();
    let before = stored(look).await;
    let richer = store.rehearse_kill(&kill(1, Form::Package, 2)).await.unwrap();
    assert_eq!(richer.change, Change::Richer);
    let changed = expected(&[
        ("killmails_raw", [0, 1, 0]),
        ("killmails_enriched", [0, 1, 0]),
        ("killmail_participants", [0, 0, 1]),
    ]);
    assert_eq!(counts(&richer.rows), changed, "{:?}", richer.rows);
    let raw = richer.rows[0].after.as_ref().unwrap();
    assert!(raw.contains_key("payload_bytes") && !raw.contains_key("payload"), "{raw:?}");
    let same = store.rehearse_kill(&poor).await.unwrap();
    assert_eq!((same.change, same.rows), (Change::Same, Vec::new()));
    assert_eq!(stored(look).await, before);
}

pub(crate) async fn a_rehearsal_is_refused_as_the_kill_would_be(store: &Shared, look: &dyn Look) {
    let bad = dated(1, "1999-01-01T00:00:00Z");
    let refused = store.rehearse_kill(&bad).await.unwrap_err();
    assert!(matches!(refused, Error::Data { .. }), "{refused}");
    assert_eq!(refused, store.insert_kills(&[&bad], false).await.unwrap_err());
    assert_eq!(stored(look).await, Vec::<String>::new());
    // the store is as fit as before
    store.insert_kills(&[&kill(2, Form::Esi, 1)], true).await.unwrap();
    assert!(store.rehearse_kill(&kill(3, Form::Esi, 1)).await.is_ok());
}
