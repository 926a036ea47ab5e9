//! What every store promises of the surveillance profiles that match kills.

use std::sync::Arc;

use broadside::killmail::{Form, Kill, ProfileId};
use broadside::store::{Change, Error};

use crate::contract::{Look, Shared};
use crate::kills::{dated, kill};

const ALL: &str = "SELECT killmail_id, profile_id FROM profile_matches ORDER BY 1, 2";

/// The kill, matched by these profiles.
pub(crate) fn matched(kill: Kill, profiles: &[i64]) -> Kill {
    Kill { matches: Some(profiles.iter().copied().filter_map(ProfileId::new).collect()), ..kill }
}

async fn insert(store: &Shared, kills: &[Kill]) -> Vec<Change> {
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap()
}

pub(crate) async fn matches_are_stored_with_their_kill(store: &Shared, look: &dyn Look) {
    let kills = [matched(kill(1, Form::Esi, 1), &[3, 7]), kill(2, Form::Esi, 1), matched(kill(3, Form::Esi, 1), &[])];
    insert(store, &kills).await;
    assert_eq!(look.rows(ALL).await, ["1|3", "1|7"]);
    let row = "SELECT killmail_time FROM profile_matches JOIN killmails_enriched USING (killmail_id, killmail_time)
        WHERE matched_at = enriched_at";
    assert_eq!(look.rows(row).await.len(), 2);
}

pub(crate) async fn kills_that_are_not_stored_have_no_matches(store: &Shared, look: &dyn Look) {
    insert(store, &[matched(kill(1, Form::Package, 1), &[3])]).await;
    let copies = [matched(kill(1, Form::Package, 1), &[4]), matched(kill(1, Form::Feed, 1), &[5])];
    assert_eq!(insert(store, &copies).await, [Change::Same, Change::Same]);
    let (good, bad) = (matched(kill(2, Form::Esi, 1), &[6]), matched(dated(3, "1999-01-01T00:00:00Z"), &[6]));
    let refused = store.insert_kills(&[&good, &bad], true).await;
    assert!(matches!(refused, Err(Error::Data { .. })), "{refused:?}");
    assert_eq!(look.rows(ALL).await, ["1|3"]);
}

pub(crate) async fn a_richer_copy_has_the_matches_that_it_has_and_those_that_stay_keep_their_time(
    store: &Shared,
    look: &dyn Look,
) {
    let times = "SELECT killmail_id, profile_id, matched_at FROM profile_matches ORDER BY 1, 2";
    insert(store, &[matched(kill(1, Form::Feed, 1), &[3, 7]), matched(kill(2, Form::Feed, 1), &[3])]).await;
    let before = look.rows(times).await;
    let unmatched = Kill { matches: None, ..kill(2, Form::Esi, 1) };
    let new = matched(kill(3, Form::Esi, 1), &[1]);
    let changes = insert(store, &[matched(kill(1, Form::Package, 1), &[7, 9]), unmatched, new]).await;
    assert!(matches!(changes[..], [Change::Richer, Change::Richer, Change::New { .. }]), "{changes:?}");
    assert_eq!(look.rows(ALL).await, ["1|7", "1|9", "2|3", "3|1"]);
    let after = look.rows(times).await;
    assert_eq!((&after[0], &after[2]), (&before[1], &before[2]), "those stay");
    let revised = Kill { revises: true, ..matched(kill(1, Form::Package, 1), &[]) };
    assert_eq!(insert(store, &[revised]).await, [Change::Richer]);
    assert_eq!(look.rows(ALL).await, ["2|3", "3|1"]);
}

pub(crate) async fn of_a_kill_given_twice_the_matches_of_the_copy_that_stays_are_stored(
    store: &Shared,
    look: &dyn Look,
) {
    let copies = [matched(kill(1, Form::Feed, 1), &[1, 2]), matched(kill(1, Form::Package, 1), &[2, 3])];
    insert(store, &copies).await;
    assert_eq!(look.rows(ALL).await, ["1|2", "1|3"]);
}

pub(crate) async fn hundreds_of_matches_a_kill_are_stored_whole(store: &Shared, look: &dyn Look) {
    let profiles: Vec<i64> = (1..=700).map(|id| id * 3).collect();
    let kills: Vec<Kill> = (1..=20).map(|id| matched(kill(id, Form::Esi, 1), &profiles)).collect();
    insert(store, &kills).await;
    let counted = "SELECT count(*), min(profile_id), max(profile_id), cast(sum(profile_id) AS bigint) FROM profile_matches GROUP BY killmail_id";
    let all: Arc<str> = format!("700|3|2100|{}", profiles.iter().sum::<i64>()).into();
    assert_eq!(look.rows(counted).await, vec![&*all; 20]);
}

pub(crate) async fn what_is_left_of_a_kill_that_was_deleted_by_hand_is_in_nobodys_way(store: &Shared, look: &dyn Look) {
    insert(store, &[matched(kill(1, Form::Esi, 1), &[3, 7])]).await;
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants"] {
        look.rows(&format!("DELETE FROM {table} WHERE killmail_id = 1")).await;
    }
    let changes = insert(store, &[matched(kill(1, Form::Esi, 1), &[7, 8])]).await;
    assert!(matches!(changes[..], [Change::New { .. }]), "{changes:?}");
    assert!(look.rows(ALL).await.ends_with(&["1|7".to_owned(), "1|8".to_owned()]));
}
