//! What every store promises. Each promise is a function on a store with empty tables; [`suite`] names them all for an engine,
//! with those of [`crate::findings`], [`crate::pipeline`] and [`crate::market`].

use std::sync::Arc;

use broadside::killmail::{Form, Kill, KillmailId, SystemId};
use broadside::store::{Change, Error, Store};

use crate::kills::{dated, kill, payload};

/// How an engine lets tests look into its tables.
#[async_trait::async_trait]
pub(crate) trait Look: Send + Sync {
    /// Every row, its columns as text ("NULL" for none) joined by `|`.
    async fn rows(&self, sql: &str) -> Vec<String>;
}

macro_rules! suite {
    ($open:path) => {
        suite!($open: contract: a_kill_is_stored_whole, storing_again_changes_nothing, a_richer_copy_takes_the_place_of_a_poorer_one,
            a_poorer_copy_changes_nothing, a_kill_twice_in_one_call_is_one_kill, large_calls_are_stored_whole, an_impossible_date_names_its_column,
            a_refused_kill_refuses_the_whole_call, events_come_in_order_and_after_a_mark, without_events_none_are_written,
            writers_at_once_lose_nothing, checkpoints_are_kept_and_forgotten,
            a_correction_takes_the_place_of_its_like, what_a_day_lacks_is_told, unfinished_kills_wait_until_they_are_completed,
            any_order_of_copies_ends_in_the_richest);
        suite!($open: findings: what_was_found_is_stored_and_takes_the_place_of_what_came_with_the_kill, what_nobody_found_is_null,
            what_could_not_be_known_is_as_the_feed_says_and_partial, a_kill_that_is_to_be_completed_later_is_partial);
        suite!($open: letters: dead_letters_live_and_end, dead_letters_are_found_by_what_they_say, letters_move_only_from_the_states_that_are_named,
            a_letter_whose_lease_has_passed_is_open, of_many_who_claim_a_letter_one_gets_it, a_letter_that_fails_again_keeps_its_first_failure,
            letters_that_are_due_come_in_their_order, a_payload_is_edited_and_the_first_one_kept, letters_of_another_database_are_imported_once,
            letters_that_fail_alike_are_a_group, a_group_is_acknowledged_fixed_and_comes_back, what_is_old_or_too_much_goes,
            letters_of_an_older_build_are_given_fingerprints, a_database_has_an_identity_that_stays, one_process_at_a_time_keeps_the_letters);
        suite!($open: pipeline: new_kills_go_on_with_their_event_and_known_ones_do_not, bad_kills_become_dead_letters_and_the_others_are_stored,
            a_replay_goes_only_to_the_sinks_that_lack_it, two_replays_never_hand_out_the_same_letter);
        suite!($open: rehearsals: a_rehearsal_tells_the_rows_and_changes_nothing, a_rehearsal_is_refused_as_the_kill_would_be);
        suite!($open: jobs: a_job_moves_only_from_where_it_was_seen, progress_is_kept_of_the_present_epoch_alone,
            who_works_on_the_job_is_alone_and_lookers_are_not, of_those_who_want_to_work_at_once_one_may);
        suite!($open: market: an_order_is_stored_whole, money_is_exact_at_its_extremes, only_what_differs_is_written,
            whatever_of_an_order_changes_is_written, of_an_order_given_twice_the_last_copy_holds,
            a_closed_order_is_opened_again_and_keeps_when_it_was_first_seen, closing_again_changes_nothing_and_names_the_types_again,
            only_orders_that_were_closed_before_then_are_forgotten, an_order_that_moved_belongs_to_the_region_that_had_it_last, large_calls_of_orders_are_stored_whole,
            an_impossible_time_names_its_column_and_its_order, pages_come_back_as_stored_and_vanish_when_there_are_fewer,
            nothing_to_store_is_stored, a_region_rests_before_its_first_sweep_and_after, prices_are_those_of_the_open_orders,
            a_price_is_kept_column_by_column_and_goes_with_its_orders, workers_at_once_on_the_same_orders_lose_nothing);
        suite!($open: alerts: alerts_are_made_with_their_kill_in_the_order_of_the_events, of_a_richer_copy_only_new_matches_are_told,
            a_refused_call_tells_nobody, alerts_are_read_by_target_and_removed, what_is_told_of_a_kill_is_what_is_stored,
            a_target_is_disabled_until_it_is_enabled, one_courier_at_a_time_delivers);
        suite!($open: events: an_event_comes_with_all_that_is_known_of_its_kill, events_are_read_by_system_region_and_profile,
            what_has_no_index_is_looked_for_in_bounded_stretches, events_of_a_kill_that_is_gone_are_passed_over,
            a_stretch_ends_where_it_says_while_events_come);
        suite!($open: offsets: a_client_gets_each_event_of_its_systems_once_and_in_order, what_is_not_committed_is_handed_out_again,
            a_client_begins_where_it_says_and_only_once, offsets_only_rise_and_not_beyond_the_last_event,
            requests_at_once_of_one_client_never_get_the_same_event, hundreds_of_systems_far_behind_are_merged_in_order,
            what_all_have_passed_is_collected_when_it_is_old, what_is_too_old_or_too_much_goes_and_is_told,
            clients_that_are_not_seen_are_forgotten, clients_are_listed_with_their_lag, one_process_at_a_time_collects,
            a_request_that_is_cut_off_costs_no_more_than_its_own_events, what_is_handed_out_to_be_committed_is_not_collected,
            any_course_of_events_goes_as_promised);
        suite!($open: matches: matches_are_stored_with_their_kill, kills_that_are_not_stored_have_no_matches,
            a_richer_copy_has_the_matches_that_it_has_and_those_that_stay_keep_their_time,
            of_a_kill_given_twice_the_matches_of_the_copy_that_stays_are_stored, hundreds_of_matches_a_kill_are_stored_whole,
            what_is_left_of_a_kill_that_was_deleted_by_hand_is_in_nobodys_way);
        suite!($open: statics: static_data_come_back_as_stored, an_import_takes_the_place_of_the_one_before,
            what_esi_told_of_stays_until_an_import_has_it, systems_are_added_with_their_constellations, a_refused_import_changes_nothing,
            imports_at_once_come_one_after_the_other, what_imports_brought_is_told_from_what_esi_told_of,
            a_table_is_not_put_over_an_import_that_it_was_not_read_over, kills_that_were_stored_without_static_data_are_queued_once);
        suite!($open: quotes: quotes_come_back_by_time_and_by_day, of_a_day_the_newest_quote_stays,
            workers_that_store_the_same_quotes_at_once_lose_nothing, quotes_of_old_days_are_forgotten_so_many_at_a_time);
        suite!($open: profiles: a_profile_is_stored_whole_and_replaced_by_its_id, a_profile_that_is_not_there_or_twice_refuses_the_whole_call,
            profiles_are_listed_in_pages_and_by_owner, profiles_in_use_are_loaded_in_pages, changes_come_once_each_as_it_is_now_and_of_what_is_gone_too,
            what_is_written_by_hand_counts_as_a_change, matches_are_counted_and_are_no_change, workers_that_count_matches_at_once_lose_none,
            stored_kills_come_back_newest_first_with_what_was_found);
    };
    ($open:path: $module:ident: $($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let open = $open().await;
            crate::$module::$name(&open.store, &open).await;
        }
    )+};
}
pub(crate) use suite;

pub(crate) type Shared = Arc<dyn Store>;

async fn insert(store: &Shared, kills: &[Kill]) -> Vec<Change> {
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap()
}

pub(crate) async fn a_kill_is_stored_whole(store: &Shared, look: &dyn Look) {
    let changes = insert(store, &[kill(5, Form::Package, 2)]).await;
    assert!(matches!(changes[..], [Change::New { event_id: Some(_) }]), "{changes:?}");
    let raw = "SELECT killmail_time, solar_system_id, source, received_at, payload FROM killmails_raw";
    let expected = format!("2021-11-30T00:00:00Z|30000144|file|2021-11-30T01:00:00.000Z|{}", payload(5, Form::Package));
    assert_eq!(look.rows(raw).await, [expected]);
    let enriched =
        "SELECT victim_character_id, attacker_count, total_value, fitted_value, price_source, module_tags, npc, solo,
        enrichment_status FROM killmails_enriched";
    assert_eq!(look.rows(enriched).await, ["7|2|123456|NULL|zkb|[]|0|NULL|complete"]);
    let participants =
        "SELECT position, is_victim, character_id, weapon_type_id, damage_done, final_blow, security_status
        FROM killmail_participants ORDER BY position";
    let expected = ["0|1|7|NULL|NULL|0|NULL", "1|0|90000001|2873|10|1|-1.5", "2|0|90000002|2873|20|0|-1.5"];
    assert_eq!(look.rows(participants).await, expected);
}

pub(crate) async fn storing_again_changes_nothing(store: &Shared, look: &dyn Look) {
    let kills = [kill(1, Form::Esi, 2), kill(2, Form::Esi, 1)];
    insert(store, &kills).await;
    let before = look.rows("SELECT * FROM killmails_enriched ORDER BY 1").await;
    assert_eq!(insert(store, &kills).await, [Change::Same, Change::Same]);
    assert_eq!(look.rows("SELECT * FROM killmails_enriched ORDER BY 1").await, before);
    assert_eq!(store.count_kills().await, Ok(2));
    assert_eq!(store.events_after(0, &[], 10).await.unwrap().len(), 2);
}

pub(crate) async fn a_richer_copy_takes_the_place_of_a_poorer_one(store: &Shared, look: &dyn Look) {
    insert(store, &[kill(1, Form::Feed, 3), kill(2, Form::Esi, 1)]).await;
    let changes = insert(store, &[kill(1, Form::Package, 2), kill(3, Form::Esi, 1)]).await;
    assert!(matches!(changes[..], [Change::Richer, Change::New { .. }]), "{changes:?}");
    assert_eq!(look.rows("SELECT payload FROM killmails_raw WHERE killmail_id = 1").await, [payload(1, Form::Package)]);
    assert_eq!(look.rows("SELECT total_value FROM killmails_enriched WHERE killmail_id = 1").await, ["123456"]);
    assert_eq!(
        look.rows("SELECT position FROM killmail_participants WHERE killmail_id = 1 ORDER BY 1").await,
        ["0", "1", "2"]
    );
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants WHERE killmail_id = 2").await, ["2"]);
    assert_eq!(store.events_after(0, &[], 10).await.unwrap().len(), 3, "a richer copy is no new event");
}

pub(crate) async fn a_correction_takes_the_place_of_its_like(store: &Shared, look: &dyn Look) {
    let revised = |form, attackers| Kill { revises: true, ..kill(1, form, attackers) };
    insert(store, &[kill(1, Form::Package, 2)]).await;
    assert_eq!(insert(store, &[kill(1, Form::Package, 3)]).await, [Change::Same]);
    assert_eq!(insert(store, &[revised(Form::Esi, 3)]).await, [Change::Same], "a correction of a poorer form");
    assert_eq!(insert(store, &[revised(Form::Package, 4)]).await, [Change::Richer]);
    assert_eq!(look.rows("SELECT attacker_count FROM killmails_enriched").await, ["4"]);
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants").await, ["5"]);
    assert_eq!(store.events_after(0, &[], 10).await.unwrap().len(), 1);
}

pub(crate) async fn what_a_day_lacks_is_told(store: &Shared, _look: &dyn Look) {
    insert(store, &[kill(1, Form::Feed, 1), kill(2, Form::Esi, 1), kill(3, Form::Package, 1)]).await;
    let ids: Vec<_> = [4, 3, 2, 1].into_iter().filter_map(KillmailId::new).collect();
    let day = kill(1, Form::Esi, 1).mail.unwrap().killmail_time.to_zoned(jiff::tz::TimeZone::UTC).date();
    let lacking = |form| async move {
        let ids = [4, 3, 2, 1].into_iter().filter_map(KillmailId::new).collect::<Vec<_>>();
        store.lacking(&ids, form, day).await.unwrap()
    };
    assert_eq!(lacking(Form::Feed).await, ids[..1]);
    assert_eq!(lacking(Form::Esi).await, [ids[0], ids[3]]);
    assert_eq!(lacking(Form::Package).await, [ids[0], ids[2], ids[3]]);
    assert!(store.lacking(&[], Form::Feed, day).await.unwrap().is_empty());
}

pub(crate) async fn unfinished_kills_wait_until_they_are_completed(store: &Shared, look: &dyn Look) {
    let unfinished = |id| Kill { refresh: true, ..kill(id, Form::Feed, 1) };
    insert(store, &[unfinished(1), kill(2, Form::Feed, 1), unfinished(3), unfinished(4)]).await;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let due = |at| async move {
        let due = store.due_refreshes(at, 10).await.unwrap();
        due.iter().map(|refresh| (refresh.killmail_id.get(), refresh.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(due(later).await, [(1, 0), (3, 0), (4, 0)]);
    let soon = later - jiff::SignedDuration::from_secs(1);
    store.defer_refreshes(&[1, 2, 3].map(|id| KillmailId::new(id).unwrap()), soon).await.unwrap();
    assert_eq!(due(jiff::Timestamp::now()).await, [(4, 0)]);
    assert_eq!(due(later).await[0], (4, 0), "it has been due for longer");
    store.defer_refreshes(&[KillmailId::new(3).unwrap()], jiff::Timestamp::now()).await.unwrap();
    store.postpone_refresh(KillmailId::new(1).unwrap(), Some(later)).await.unwrap();
    store.postpone_refresh(KillmailId::new(4).unwrap(), None).await.unwrap();
    assert_eq!(due(jiff::Timestamp::now()).await, [(3, 0)]);
    assert_eq!(due(later).await, [(3, 0), (1, 1)]);
    assert_eq!(insert(store, &[kill(3, Form::Package, 1)]).await, [Change::Richer]);
    assert_eq!(due(later).await, [(1, 1)], "a completed kill does not wait any more");
    assert_eq!(
        look.rows("SELECT enrichment_status FROM killmails_enriched ORDER BY killmail_id").await,
        ["partial", "partial", "complete", "partial"]
    );
}

pub(crate) async fn a_poorer_copy_changes_nothing(store: &Shared, look: &dyn Look) {
    insert(store, &[kill(1, Form::Package, 2)]).await;
    assert_eq!(insert(store, &[kill(1, Form::Feed, 5)]).await, [Change::Same]);
    assert_eq!(look.rows("SELECT payload FROM killmails_raw").await, [payload(1, Form::Package)]);
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants").await, ["3"]);
}

pub(crate) async fn a_kill_twice_in_one_call_is_one_kill(store: &Shared, look: &dyn Look) {
    let kills = [kill(1, Form::Feed, 1), kill(2, Form::Esi, 1), kill(1, Form::Package, 2), kill(1, Form::Esi, 4)];
    let changes = insert(store, &kills).await;
    assert!(
        matches!(changes[..], [Change::New { .. }, Change::New { .. }, Change::Richer, Change::Same]),
        "{changes:?}"
    );
    assert_eq!(look.rows("SELECT payload FROM killmails_raw WHERE killmail_id = 1").await, [payload(1, Form::Package)]);
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants WHERE killmail_id = 1").await, ["3"]);
    assert_eq!(store.events_after(0, &[], 10).await.unwrap().len(), 2);
}

pub(crate) async fn large_calls_are_stored_whole(store: &Shared, look: &dyn Look) {
    let mut kills: Vec<_> = (1..=1234).map(|id| kill(id, Form::Esi, id as usize % 7)).collect();
    kills.push(kill(2000, Form::Esi, 10_000));
    insert(store, &kills).await;
    assert_eq!(store.count_kills().await, Ok(1235));
    let odd = "SELECT e.killmail_id FROM killmails_enriched e WHERE attacker_count + 1 <>
        (SELECT count(*) FROM killmail_participants p WHERE p.killmail_id = e.killmail_id)";
    assert!(look.rows(odd).await.is_empty());
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants WHERE killmail_id = 2000").await, ["10001"]);
}

pub(crate) async fn an_impossible_date_names_its_column(store: &Shared, _: &dyn Look) {
    for time in ["2003-05-05T23:59:59Z", "2021-12-01T01:00:01Z"] {
        match store.insert_kills(&[&dated(1, time)], true).await {
            Err(Error::Data { column, message, .. }) => {
                assert_eq!(column.as_deref(), Some("killmail_time"));
                assert!(message.contains(time), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        store.insert_kills(&[&dated(1, "2003-05-06T00:00:00Z"), &dated(2, "2021-12-01T01:00:00Z")], true).await.is_ok()
    );
}

pub(crate) async fn a_refused_kill_refuses_the_whole_call(store: &Shared, _: &dyn Look) {
    let mut undecoded = kill(2, Form::Esi, 1);
    undecoded.mail = None;
    let answer = store.insert_kills(&[&kill(1, Form::Esi, 1), &undecoded], true).await;
    assert!(matches!(answer, Err(Error::Data { .. })), "{answer:?}");
    let mut bytes = kill(3, Form::Esi, 1);
    bytes.raw = vec![b'{', 0xff, b'}'].into();
    let answer = store.insert_kills(&[&kill(1, Form::Esi, 1), &bytes], true).await;
    assert!(matches!(answer, Err(Error::Data { .. })), "{answer:?}");
    assert_eq!(store.count_kills().await, Ok(0));
}

pub(crate) async fn events_come_in_order_and_after_a_mark(store: &Shared, _: &dyn Look) {
    assert_eq!(store.event_range().await, Ok(None));
    let changes = insert(store, &(1..=300).map(|id| kill(id, Form::Esi, 1)).collect::<Vec<_>>()).await;
    let given = changes.iter().map(|change| match change {
        Change::New { event_id } => event_id.unwrap(),
        other => panic!("{other:?}"),
    });
    let given: Vec<i64> = given.collect();
    let events = store.events_after(0, &[], 1000).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.event_id).collect::<Vec<_>>(),
        given,
        "ascending, in the order of the call"
    );
    assert_eq!(events[9].payload, payload(10, Form::Esi));
    assert_eq!(store.event_range().await, Ok(Some((given[0], given[299]))));

    let page = store.events_after(given[99], &[], 5).await.unwrap();
    assert_eq!(page.iter().map(|event| event.event_id).collect::<Vec<_>>(), given[100..105]);
    let system = SystemId::new(30_000_143).unwrap();
    let of_system = store.events_after(given[99], &[system, SystemId::new(5).unwrap()], 2).await.unwrap();
    assert_eq!(of_system.iter().map(|event| event.killmail_id.get()).collect::<Vec<_>>(), [103, 106]);
    assert!(of_system.iter().all(|event| event.system_id == system));
}

pub(crate) async fn without_events_none_are_written(store: &Shared, _: &dyn Look) {
    let changes = store.insert_kills(&[&kill(1, Form::Esi, 1)], false).await.unwrap();
    assert_eq!(changes, [Change::New { event_id: None }]);
    assert_eq!(store.event_range().await, Ok(None));
}

pub(crate) async fn writers_at_once_lose_nothing(store: &Shared, look: &dyn Look) {
    // Eight writers, each with its own kills and the same hundred others.
    let tasks = (0..8_i64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut new = 0;
            for batch in 0..5 {
                let own = (0..20).map(|i| 1000 + writer * 100 + batch * 20 + i);
                let common = (0..20).map(|i| 1 + batch * 20 + i);
                let kills: Vec<_> = own.chain(common).map(|id| kill(id, Form::Esi, 2)).collect();
                let changes = insert(&store, &kills).await;
                new += changes.iter().filter(|change| matches!(change, Change::New { .. })).count();
            }
            new
        })
    });
    let mut new = 0;
    for task in tasks.collect::<Vec<_>>() {
        new += task.await.unwrap();
    }
    assert_eq!(new, 900, "each kill is new exactly once");
    assert_eq!(store.count_kills().await, Ok(900));
    assert_eq!(look.rows("SELECT count(*), count(DISTINCT killmail_id) FROM killmail_events").await, ["900|900"]);
    assert_eq!(look.rows("SELECT count(*) FROM killmail_participants").await, ["2700"]);
}

pub(crate) async fn checkpoints_are_kept_and_forgotten(store: &Shared, _: &dyn Look) {
    assert_eq!(store.checkpoint("file:a").await, Ok(None));
    store.set_checkpoint("file:a", Some("1")).await.unwrap();
    store.set_checkpoint("file:a", Some("2")).await.unwrap();
    store.set_checkpoint("file:b", Some("")).await.unwrap();
    assert_eq!(store.checkpoint("file:a").await, Ok(Some("2".to_owned())));
    assert_eq!(store.checkpoint("file:b").await, Ok(Some(String::new())));
    store.set_checkpoint("file:a", None).await.unwrap();
    assert_eq!(store.checkpoint("file:a").await, Ok(None));
}

/// A hundred drawn histories of copies, in calls of drawn sizes, against the rule itself.
pub(crate) async fn any_order_of_copies_ends_in_the_richest(store: &Shared, look: &dyn Look) {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    let forms = [Form::Feed, Form::Esi, Form::Package];
    let histories = proptest::collection::vec(proptest::collection::vec((1..5_i64, 0..3_usize), 1..6), 1..6);
    let mut runner = TestRunner::deterministic();
    for round in 0..100 {
        let calls = histories.new_tree(&mut runner).unwrap().current();
        let mut richest = std::collections::BTreeMap::new();
        for call in &calls {
            let id = |kill: i64| round * 10 + kill;
            let kills: Vec<_> = call.iter().map(|(n, form)| kill(id(*n), forms[*form], 1 + form)).collect();
            insert(store, &kills).await;
            for (n, form) in call {
                let best = richest.entry(id(*n)).or_insert(*form);
                *best = (*best).max(*form);
            }
        }
        let (first, last) = (round * 10, round * 10 + 9);
        let sql = format!(
            "SELECT r.killmail_id, r.payload, count(*) FROM killmails_raw r JOIN killmail_participants USING (killmail_id)
             WHERE r.killmail_id BETWEEN {first} AND {last} GROUP BY r.killmail_id, r.payload ORDER BY 1"
        );
        let expected: Vec<_> =
            richest.iter().map(|(id, form)| format!("{id}|{}|{}", payload(*id, forms[*form]), 2 + form)).collect();
        assert_eq!(look.rows(&sql).await, expected, "after {calls:?}");
    }
}
