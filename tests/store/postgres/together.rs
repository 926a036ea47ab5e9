//! Several workers on one database, with the same kills.

use std::collections::BTreeMap;
use std::time::Duration;

use broadside::killmail::Form;
use broadside::store::{self, Change, Error, Options};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, Executor};

use super::{Open, all_wait_or_have_ended, open};
use crate::contract::Look;
use crate::kills::{dated, kill, payload};
use crate::patient;

const FORMS: [Form; 3] = [Form::Feed, Form::Esi, Form::Package];

/// Three workers bring the same kills in different forms and orders: each kill ends in its richest copy, whole, with one event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_from_several_workers_end_in_the_richest_and_nobody_waits_in_a_circle() {
    let open = open().await;
    let stores = [open.store.clone(), open.another().await, open.another().await];
    let tasks = (0..9_usize).map(|task| {
        let store = stores[task % 3].clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(task as u64);
            let mut richest: BTreeMap<i64, usize> = BTreeMap::new();
            let mut new = 0;
            for _ in 0..25 {
                let drawn: Vec<_> =
                    (0..20).map(|_| (random.random_range(1..=150), random.random_range(0..3))).collect();
                let kills: Vec<_> = drawn.iter().map(|&(id, form)| kill(id, FORMS[form], 1 + form)).collect();
                let changes = store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
                new += changes.iter().filter(|change| matches!(change, Change::New { event_id: Some(_) })).count();
                for (id, form) in drawn {
                    let best = richest.entry(id).or_insert(form);
                    *best = form.max(*best);
                }
            }
            (richest, new)
        })
    });
    let (mut richest, mut new) = (BTreeMap::new(), 0);
    for task in tasks.collect::<Vec<_>>() {
        let (seen, its_new) = task.await.unwrap();
        new += its_new;
        for (id, form) in seen {
            let best = richest.entry(id).or_insert(form);
            *best = form.max(*best);
        }
    }
    assert_eq!(new, richest.len(), "each kill is new to one of them");
    let sql = "SELECT r.killmail_id, r.payload, count(*) FROM killmails_raw r JOIN killmail_participants USING (killmail_id)
        JOIN killmails_enriched e USING (killmail_id) GROUP BY 1, 2, e.attacker_count HAVING count(*) = e.attacker_count + 1 ORDER BY 1";
    let expected: Vec<_> =
        richest.iter().map(|(id, form)| format!("{id}|{}|{}", payload(*id, FORMS[*form]), 2 + form)).collect();
    assert_eq!(open.rows(sql).await, expected);
    let events = open.rows("SELECT count(*), count(DISTINCT killmail_id) FROM killmail_events").await;
    assert_eq!(events, [format!("{0}|{0}", richest.len())]);
}

/// A poor copy is stored, and two workers bring richer ones at the same moment: both have looked, neither has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_richer_copies_at_once_the_richest_stays() {
    for order in [[Form::Esi, Form::Package], [Form::Package, Form::Esi]] {
        let open = open().await;
        open.store.insert_kills(&[&kill(1, Form::Feed, 1)], true).await.unwrap();
        let mut other = open.connection().await;
        let mut held = other.begin().await.unwrap();
        held.execute("SELECT FROM killmails_raw WHERE killmail_id = 1 FOR UPDATE").await.unwrap();
        let mut writers = Vec::new();
        for form in order {
            let store = open.another().await;
            writers.push(tokio::spawn(async move {
                store.insert_kills(&[&kill(1, form, 2)], true).await.unwrap();
            }));
            all_wait_or_have_ended(&open, &writers).await;
        }
        held.rollback().await.unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        let rows = open.rows("SELECT payload FROM killmails_raw").await;
        assert_eq!(rows, [payload(1, Form::Package)], "in the order {order:?}");
        assert_eq!(open.rows("SELECT total_value FROM killmails_enriched").await, ["123456"]);
        assert_eq!(open.rows("SELECT count(*) FROM killmail_participants").await, ["3"]);
    }
}

/// Months are dropped, and made again by the next kill, under workers that store kills in them. As often as shows something: each time makes and
/// removes a hundred files, which a server that waits for its disk does ten times slower.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_dropped_under_workers_without_hurting_them() {
    const CALLS: usize = 25;
    let (open, before) = (open().await, store::Month::parse("2009-01").unwrap());
    let (done, mut seen) = tokio::sync::watch::channel(0);
    let writers = (0..3_i64).map(|writer| {
        let (url, done) = (open.database.url().to_owned(), done.clone());
        tokio::spawn(async move {
            let store = store::connect(&url, &patient()).await.unwrap();
            let mut random = StdRng::seed_from_u64(writer as u64);
            for call in 0..CALLS as i64 {
                let old = ["2007-12-05T00:00:00Z", "2008-01-31T00:00:00Z"].choose(&mut random).unwrap();
                let first = 10_000 * (writer + 1) + 10 * call;
                let kills = [dated(first, old), dated(first + 1, "2021-11-30T00:00:00Z"), dated(first + 2, old)];
                let kills: Vec<_> = kills.iter().collect();
                loop {
                    match store.insert_kills(&kills, true).await {
                        Ok(_) => break,
                        // Somebody who drops months may come in between, as an outage may.
                        Err(Error::Transient(_)) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                done.send_modify(|calls| *calls += 1);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for drop in 1..=8 {
        seen.wait_for(|calls| *calls >= drop * 3 * CALLS / 10).await.unwrap();
        open.store.drop_partitions(before).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    open.store.drop_partitions(before).await.unwrap();
    stored_whole(&open, 3 * CALLS as i64, 1).await;
    assert_eq!(open.rows("SELECT count(*) FROM killmails_raw").await, [(3 * CALLS).to_string()]);
}

async fn stored_whole(open: &Open, kills: i64, attackers: i64) {
    assert_eq!(open.store.count_kills().await, Ok(kills));
    let participants = format!("{}", kills * (attackers + 1));
    assert_eq!(open.rows("SELECT count(*) FROM killmail_participants").await, [participants]);
    let events = open.rows("SELECT count(*), count(DISTINCT killmail_id) FROM killmail_events").await;
    assert_eq!(events, [format!("{kills}|{kills}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_out_of_time_leaves_nothing_and_blocks_nothing() {
    let open = open().await;
    let hasty = Options { call_timeout: Duration::from_millis(5), ..Options::default() };
    let hasty = store::connect(open.database.url(), &hasty).await.unwrap();
    let kills: Vec<_> = (1..=500).map(|id| kill(id, Form::Esi, 20)).collect();
    let kills: Vec<_> = kills.iter().collect();
    let answer = hasty.insert_kills(&kills, true).await;
    assert!(matches!(answer, Err(Error::Transient(_))), "{answer:?}");
    let changes = open.store.insert_kills(&kills, true).await.unwrap();
    assert!(changes.iter().all(|change| matches!(change, Change::New { .. })));
    stored_whole(&open, 500, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_at_any_point_is_done_whole_or_not_at_all() {
    let open = open().await;
    let kills: Vec<_> = (1..=40).map(|id| kill(id, Form::Esi, 5)).collect();
    for (at, call) in kills.chunks(4).cycle().take(120).enumerate() {
        let call: Vec<_> = call.iter().collect();
        let mut storing = std::pin::pin!(open.store.insert_kills(&call, true));
        for _ in 0..at * 4 {
            if futures::poll!(&mut storing).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // The server may still be ending what was dropped last: who stores the same waits for it.
    open.store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
    stored_whole(&open, 40, 5).await;
}
