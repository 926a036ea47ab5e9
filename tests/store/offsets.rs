//! Clients of the killfeed and how far they are: handing out, committing, forgetting, collecting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broadside::killmail::{Form, SystemId};
use broadside::store::{
    Ask, Begin, ClientId, Collectable, Collected, Commit, Error, Follow, Handed, Offsets, Rules, SEEN_EVERY,
};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::contract::{Look, Shared};
use crate::kills::{kill, payload};
use crate::memory_store::MemoryStore;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Nothing is as old or as many.
const SPARING: Rules = Rules { passed_before: Timestamp::MIN, made_before: Timestamp::MIN, count_max: u64::MAX };

pub(crate) fn system(id: i64) -> SystemId {
    SystemId::new(id).unwrap()
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

pub(crate) fn at(name: &str, systems: &[i64], begin: Begin) -> Follow {
    let systems = systems.iter().map(|id| system(*id)).collect();
    Follow { client: client(name), systems, begin, now: Timestamp::now() }
}

pub(crate) fn ask(name: &str, systems: &[i64], begin: Begin, limit: u32, commit: Commit) -> Ask {
    Ask { follow: at(name, systems, begin), limit, bytes_max: usize::MAX, commit }
}

/// Stores kills with their events, one in each of these systems, in this order; answers the ids of the events.
pub(crate) async fn happen(store: &Shared, systems: &[i64]) -> Vec<i64> {
    static LAST: AtomicI64 = AtomicI64::new(1);
    let kills: Vec<_> = systems
        .iter()
        .map(|id| {
            let mut kill = kill(LAST.fetch_add(1, Ordering::Relaxed), Form::Esi, 1);
            let mut mail = (**kill.mail.as_ref().unwrap()).clone();
            mail.solar_system_id = system(*id);
            kill.mail = Some(Arc::new(mail));
            kill
        })
        .collect();
    let changes = store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.unwrap();
    let event = |change| match change {
        broadside::store::Change::New { event_id } => event_id.unwrap(),
        other => panic!("{other:?}"),
    };
    changes.into_iter().map(event).collect()
}

pub(crate) fn ids(handed: &Handed) -> Vec<i64> {
    handed.events.iter().map(|event| event.event_id).collect()
}

async fn take(store: &Shared, name: &str, systems: &[i64], limit: u32) -> (Vec<i64>, bool) {
    let handed = store.hand_out(&ask(name, systems, Begin::Now, limit, Commit::Auto)).await.unwrap();
    assert_eq!(handed.gap, None);
    (ids(&handed), handed.more)
}

async fn offsets(store: &Shared, name: &str) -> Vec<(i64, i64)> {
    let offsets = store.offsets(&client(name)).await.unwrap();
    offsets.into_iter().map(|(system, event)| (system.get(), event)).collect()
}

async fn commit(store: &Shared, name: &str, offsets: &[(i64, i64)]) -> Result<Vec<(i64, i64)>, Error> {
    let offsets: BTreeMap<_, _> = offsets.iter().map(|(id, event)| (system(*id), *event)).collect();
    let before = store.commit_offsets(&client(name), &offsets, Timestamp::now()).await?;
    Ok(before.into_iter().map(|(system, event)| (system.get(), event)).collect())
}

async fn begin(store: &Shared, name: &str, systems: &[i64], begin: Begin) {
    store.follow(&at(name, systems, begin)).await.unwrap();
}

/// These events are as old as that.
async fn age(look: &dyn Look, through: i64, age: SignedDuration) {
    let made = format!("{:.3}", Timestamp::now() - age);
    look.rows(&format!("UPDATE killmail_events SET created_at = '{made}' WHERE event_id <= {through}")).await;
}

async fn collect(store: &Shared, rules: &Rules, limit: u32) -> Collected {
    let of = store.collectable(rules).await.unwrap();
    walk(&**store, &of, limit).await
}

async fn walk(store: &(impl Offsets + Sync + ?Sized), of: &Collectable, limit: u32) -> Collected {
    let (mut all, mut after) = (Collected::default(), 0);
    loop {
        let some = store.collect(of, after, limit).await.unwrap();
        all.passed += some.passed;
        all.aged += some.aged;
        all.surplus += some.surplus;
        match some.next {
            Some(next) => after = next,
            None => return all,
        }
    }
}

async fn left(look: &dyn Look) -> Vec<i64> {
    let rows = look.rows("SELECT event_id FROM killmail_events ORDER BY event_id").await;
    rows.iter().map(|row| row.parse().unwrap()).collect()
}

pub(crate) async fn a_client_gets_each_event_of_its_systems_once_and_in_order(store: &Shared, _: &dyn Look) {
    begin(store, "map", &[1, 2], Begin::Now).await;
    let events = happen(store, &[1, 3, 2, 1, 1, 2, 3]).await;
    let own: Vec<_> = [0, 2, 3, 4, 5].map(|at| events[at]).into();
    assert_eq!(take(store, "map", &[1, 2], 2).await, (own[..2].to_vec(), true));
    assert_eq!(offsets(store, "map").await, [(1, own[0]), (2, own[1])]);
    assert_eq!(take(store, "map", &[2], 9).await, (vec![own[4]], false), "of one of the systems");
    assert_eq!(take(store, "map", &[2, 1], 2).await, (own[2..4].to_vec(), false));
    assert_eq!(take(store, "map", &[1, 2], 2).await, (vec![], false));
    let more = happen(store, &[2, 4]).await;
    assert_eq!(take(store, "map", &[1, 2, 4], 9).await, (vec![more[0]], false), "a new system begins now");
    assert_eq!(offsets(store, "map").await, [(1, own[3]), (2, more[0]), (4, more[1])]);
    let handed = store.hand_out(&ask("other", &[1, 2, 3], Begin::Earliest, 100, Commit::Auto)).await.unwrap();
    assert_eq!(ids(&handed), [&events[..], &more[..1]].concat(), "clients do not touch one another");
    let first = &handed.events[0];
    assert_eq!((first.system_id, first.payload.as_str()), (system(1), &*payload(first.killmail_id.get(), Form::Esi)));
}

pub(crate) async fn what_is_not_committed_is_handed_out_again(store: &Shared, _: &dyn Look) {
    let events = happen(store, &[1, 2, 1, 1]).await;
    let explicit = ask("map", &[1, 2], Begin::Earliest, 3, Commit::Explicit);
    for _ in 0..2 {
        let handed = store.hand_out(&explicit).await.unwrap();
        assert_eq!((ids(&handed), handed.more), (events[..3].to_vec(), true));
    }
    assert_eq!(offsets(store, "map").await, [(1, 0), (2, 0)]);
    assert_eq!(commit(store, "map", &[(1, events[0])]).await.unwrap(), [(1, 0)]);
    let handed = store.hand_out(&explicit).await.unwrap();
    assert_eq!((ids(&handed), handed.more), (events[1..].to_vec(), false));
}

pub(crate) async fn a_client_begins_where_it_says_and_only_once(store: &Shared, _: &dyn Look) {
    let begun = async |name, systems: &[i64], begin| {
        let following = store.follow(&at(name, systems, begin)).await?;
        assert_eq!(following.gap, None);
        Ok::<_, Error>(following.offsets.into_values().collect::<Vec<_>>())
    };
    assert_eq!(begun("early", &[1], Begin::Now).await.unwrap(), [0], "before there is anything");
    let events = happen(store, &[1, 2, 1]).await;
    assert_eq!(begun("now", &[1, 2], Begin::Now).await.unwrap(), [events[2]; 2]);
    assert_eq!(begun("earliest", &[1, 2], Begin::Earliest).await.unwrap(), [0, 0]);
    assert_eq!(begun("after", &[2, 1], Begin::After(events[1])).await.unwrap(), [events[1]; 2]);
    assert_eq!(begun("after", &[1], Begin::Earliest).await.unwrap(), [events[1]], "it has an offset");
    assert_eq!(begun("after", &[1], Begin::After(1 << 40)).await.unwrap(), [events[1]], "it has an offset");
    match begun("after", &[1, 3], Begin::After(events[2] + 1)).await {
        Err(Error::Data { column, message, .. }) => {
            assert_eq!(column.as_deref(), Some("from"));
            assert!(message.contains(&events[2].to_string()), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(offsets(store, "after").await, [(1, events[1]), (2, events[1])]);
    let handed = store.hand_out(&ask("after", &[1, 2], Begin::Now, 9, Commit::Auto)).await.unwrap();
    assert_eq!(ids(&handed), [events[2]]);
}

pub(crate) async fn offsets_only_rise_and_not_beyond_the_last_event(store: &Shared, _: &dyn Look) {
    let events = happen(store, &[1, 2, 1]).await;
    assert_eq!(commit(store, "map", &[(1, events[1]), (7, 0)]).await.unwrap(), [], "they are made");
    assert_eq!(commit(store, "map", &[(1, events[0]), (2, events[2])]).await.unwrap(), [(1, events[1])]);
    assert_eq!(offsets(store, "map").await, [(1, events[1]), (2, events[2]), (7, 0)]);
    let beyond = commit(store, "map", &[(1, events[2]), (2, events[2] + 1)]).await;
    match beyond {
        Err(Error::Data { column, .. }) => assert_eq!(column.as_deref(), Some("offsets")),
        other => panic!("{other:?}"),
    }
    assert_eq!(offsets(store, "map").await[0], (1, events[1]), "nothing has moved");
    assert_eq!(commit(store, "map", &[]).await.unwrap(), []);
    assert!(!store.forget_client(&client("nobody")).await.unwrap());
    assert!(store.forget_client(&client("map")).await.unwrap());
    assert_eq!(offsets(store, "map").await, []);
}

pub(crate) async fn requests_at_once_of_one_client_never_get_the_same_event(store: &Shared, _: &dyn Look) {
    at_once(std::slice::from_ref(store)).await;
}

/// Eight requests at once, again and again, in whichever of these processes, while kills are stored.
pub(crate) async fn at_once(stores: &[Shared]) {
    const SYSTEMS: [i64; 4] = [1, 2, 3, 4];
    begin(&stores[0], "map", &SYSTEMS, Begin::Now).await;
    let written = Arc::new(AtomicI64::new(-1));
    let writer = {
        let (store, written) = (stores[0].clone(), written.clone());
        tokio::spawn(async move {
            let mut count = 0;
            for call in 0..40 {
                count += happen(&store, &[1 + call % 4, 1 + call % 3, 1]).await.len() as i64;
            }
            written.store(count, Ordering::SeqCst);
        })
    };
    let askers: Vec<_> = (0..8)
        .map(|asker| {
            let (store, written) = (stores[asker % stores.len()].clone(), written.clone());
            tokio::spawn(async move {
                let mut got: Vec<Vec<i64>> = Vec::new();
                loop {
                    let is_written = written.load(Ordering::SeqCst) >= 0;
                    let (ids, _) = take(&store, "map", &SYSTEMS, 1 + asker as u32).await;
                    if is_written && ids.is_empty() {
                        return got;
                    }
                    got.push(ids);
                }
            })
        })
        .collect();
    writer.await.unwrap();
    let mut all: Vec<i64> = Vec::new();
    for asker in askers {
        let got = asker.await.unwrap().concat();
        assert!(got.is_sorted_by(|a, b| a < b), "in order for each that asks");
        all.extend(got);
    }
    let (count, distinct) = (all.len() as i64, all.iter().collect::<BTreeSet<_>>().len());
    assert_eq!((count, distinct), (written.load(Ordering::SeqCst), all.len()), "all of them, and none twice");
}

pub(crate) async fn hundreds_of_systems_far_behind_are_merged_in_order(store: &Shared, _: &dyn Look) {
    // One system has most of it, as it is.
    let systems: Vec<i64> = (0..1_500).map(|at| if at % 3 == 0 { 1 + at * 7 % 400 } else { 1 }).collect();
    let mut events = Vec::new();
    for call in systems.chunks(500) {
        events.extend(happen(store, call).await);
    }
    let all: Vec<i64> = (1..=400).collect();
    let mut got = Vec::new();
    loop {
        let handed = store.hand_out(&ask("map", &all, Begin::Earliest, 333, Commit::Auto)).await.unwrap();
        got.extend(ids(&handed));
        assert_eq!(handed.more, got.len() < events.len());
        if !handed.more {
            break;
        }
    }
    assert_eq!(got, events);
    let small = Ask { bytes_max: 1_000, ..ask("small", &all, Begin::Earliest, 333, Commit::Auto) };
    let handed = store.hand_out(&small).await.unwrap();
    let bytes: usize = handed.events.iter().map(|event| event.payload.len()).sum();
    assert!(handed.more && bytes <= 1_000 && bytes > 900, "{bytes} bytes");
    let next = store.hand_out(&Ask { bytes_max: 1, ..small }).await.unwrap();
    assert_eq!(ids(&next), [events[handed.events.len()]], "one goes out however large it is");
}

pub(crate) async fn what_all_have_passed_is_collected_when_it_is_old(store: &Shared, look: &dyn Look) {
    begin(store, "slow", &[1], Begin::Now).await;
    begin(store, "fast", &[1, 2], Begin::Now).await;
    let events = happen(store, &[1, 2, 1, 3, 1, 2, 3, 1]).await;
    commit(store, "fast", &[(1, events[4]), (2, events[5])]).await.unwrap();
    commit(store, "slow", &[(1, events[0])]).await.unwrap();
    let rules = Rules { passed_before: Timestamp::now() - DAY, ..SPARING };
    assert_eq!(collect(store, &rules, 100).await, Collected::default(), "all are young");
    age(look, events[5], DAY * 2).await;
    let of = store.collectable(&rules).await.unwrap();
    assert_eq!((of.passed, of.aged, of.surplus, of.events), (events[5], 0, 0, 8));
    assert_eq!(collect(store, &rules, 2).await, Collected { passed: 4, ..Collected::default() });
    assert_eq!(left(look).await, [2, 4, 6, 7].map(|at| events[at]), "slow wants two of them, and two are young");
    age(look, events[7], DAY * 2).await;
    store.forget_client(&client("slow")).await.unwrap();
    assert_eq!(collect(store, &rules, 100).await.passed, 3);
    assert_eq!(left(look).await, [events[7]], "the newest stays");
    assert_eq!(take(store, "fast", &[1, 2], 9).await, (vec![events[7]], false));
    begin(store, "new", &[1], Begin::Now).await;
    assert_eq!(offsets(store, "new").await, [(1, events[7])]);
    begin(store, "new", &[2], Begin::Earliest).await;
    assert_eq!(take(store, "new", &[1, 2], 9).await, (vec![], false), "the earliest there is, which is no gap");
}

pub(crate) async fn what_is_too_old_or_too_much_goes_and_is_told(store: &Shared, look: &dyn Look) {
    begin(store, "away", &[1, 2], Begin::Now).await;
    let events = happen(store, &[1, 2, 1, 1, 3, 1, 1]).await;
    commit(store, "away", &[(2, events[1])]).await.unwrap();
    age(look, events[2], DAY * 40).await;
    let rules = Rules { passed_before: Timestamp::now() - DAY, made_before: Timestamp::now() - DAY * 30, count_max: 3 };
    assert_eq!(
        store.collectable(&rules).await.unwrap(),
        Collectable { passed: events[2], aged: events[2], surplus: events[3], events: 3 }
    );
    assert_eq!(collect(store, &rules, 100).await, Collected { passed: 1, aged: 2, surplus: 1, next: None });
    assert_eq!(left(look).await, events[4..]);

    let explicit = |name, begin| ask(name, &[1, 2], begin, 9, Commit::Explicit);
    for _ in 0..2 {
        let handed = store.hand_out(&explicit("away", Begin::Now)).await.unwrap();
        assert_eq!((ids(&handed), handed.gap), (events[5..].to_vec(), Some(events[4])), "until it commits");
    }
    commit(store, "away", &[(1, events[3])]).await.unwrap();
    assert_eq!(store.hand_out(&explicit("away", Begin::Now)).await.unwrap().gap, None);
    let back = store.hand_out(&explicit("back", Begin::After(events[0]))).await.unwrap();
    assert_eq!((ids(&back), back.gap), (events[5..].to_vec(), Some(events[4])), "who knows its last event is told");
    let earliest = store.hand_out(&explicit("earliest", Begin::Earliest)).await.unwrap();
    assert_eq!((ids(&earliest), earliest.gap), (events[5..].to_vec(), None));
    let auto = ask("auto", &[1, 2, 3], Begin::After(events[0]), 1, Commit::Auto);
    let first = store.hand_out(&auto).await.unwrap();
    assert_eq!((ids(&first), first.gap), (vec![events[4]], Some(events[4])));
    assert_eq!(store.hand_out(&auto).await.unwrap().gap, None, "told once");
    assert_eq!(
        collect(store, &Rules { count_max: 0, ..SPARING }, 100).await,
        Collected { surplus: 2, ..Collected::default() }
    );
    assert_eq!(left(look).await, events[6..], "the newest stays");
}

pub(crate) async fn clients_that_are_not_seen_are_forgotten(store: &Shared, look: &dyn Look) {
    let seen = async |name: &str| {
        let clients = store.clients("", 100).await.unwrap();
        clients.into_iter().find(|client| client.client == name).map(|client| client.seen_at)
    };
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let later = |seconds: i64| now + SignedDuration::from_secs(seconds);
    let follow = |name, at| Follow { now: at, ..self::at(name, &[1, 2], Begin::Now) };
    store.follow(&follow("polls", now)).await.unwrap();
    store.follow(&follow("gone", now)).await.unwrap();
    let poll = |seconds| {
        let follow = follow("polls", later(seconds));
        Ask { follow, limit: 1, bytes_max: 1, commit: Commit::Auto }
    };
    store.hand_out(&poll(59)).await.unwrap();
    assert_eq!(seen("polls").await, Some(now), "not written more often than once a minute");
    assert_eq!(SEEN_EVERY, Duration::from_secs(60));
    store.hand_out(&poll(61)).await.unwrap();
    assert_eq!(seen("polls").await, Some(later(61)));
    assert_eq!(look.rows("SELECT count(DISTINCT seen_at) FROM client_offsets").await, ["2"], "in one row");
    assert_eq!(store.forget_clients(now, 10).await, Ok(0));
    assert_eq!(store.forget_clients(later(61), 10).await, Ok(1));
    assert_eq!((seen("gone").await, seen("polls").await), (None, Some(later(61))));
    assert_eq!(offsets(store, "polls").await.len(), 2);
    commit_at(store, "polls", later(90)).await;
    assert_eq!(seen("polls").await, Some(later(90)));
    store.follow(&follow("other", later(91))).await.unwrap();
    assert_eq!(store.forget_clients(later(200), 1).await, Ok(1), "no more than asked");
    assert_eq!(store.forget_clients(later(200), 1).await, Ok(1));
    assert_eq!(store.clients("", 9).await, Ok(vec![]));
}

async fn commit_at(store: &Shared, name: &str, now: Timestamp) {
    store.commit_offsets(&client(name), &BTreeMap::from([(system(1), 0)]), now).await.unwrap();
}

pub(crate) async fn clients_are_listed_with_their_lag(store: &Shared, _: &dyn Look) {
    for (name, systems) in [("b", &[1_i64, 2][..]), ("B", &[2]), ("a:1", &[3])] {
        begin(store, name, systems, Begin::Now).await;
    }
    let events = happen(store, &[1, 2, 2, 1, 3]).await;
    take(store, "b", &[1, 2], 2).await;
    let listed = async |after: &str, limit| {
        let clients = store.clients(after, limit).await.unwrap();
        clients
            .into_iter()
            .map(|client| (client.client, client.systems, client.lag, client.least, client.greatest))
            .collect::<Vec<_>>()
    };
    let expected =
        [("B".to_owned(), 1, 2, 0, 0), ("a:1".to_owned(), 1, 1, 0, 0), ("b".to_owned(), 2, 2, events[0], events[1])];
    assert_eq!(listed("", 9).await, expected);
    assert_eq!(listed("", 2).await, expected[..2]);
    assert_eq!(listed("a:1", 2).await, expected[2..]);
    assert_eq!(listed("b", 2).await, []);
}

pub(crate) async fn one_process_at_a_time_collects(store: &Shared, _: &dyn Look) {
    let claim = store.claim_collection().await.unwrap().expect("nobody has it");
    assert!(store.claim_collection().await.unwrap().is_none());
    claim.release().await;
    assert!(store.claim_collection().await.unwrap().is_some());
}

/// Whatever clients do and whenever it is collected, the answers are those of a store in memory that is as simple as the promise.
pub(crate) async fn any_course_of_events_goes_as_promised(store: &Shared, look: &dyn Look) {
    let seed = rand::random();
    let (mut random, model) = (StdRng::seed_from_u64(seed), Arc::new(MemoryStore::default()));
    for step in 0..250 {
        course(store, look, &model, &mut random).await.unwrap_or_else(|why| panic!("seed {seed}, step {step}: {why}"));
    }
}

async fn course(store: &Shared, look: &dyn Look, model: &MemoryStore, random: &mut StdRng) -> Result<(), String> {
    let name = ["a", "b", "c"][random.random_range(0..3_usize)];
    let systems: Vec<i64> = (1..=5).filter(|_| random.random_bool(0.5)).collect();
    let last = model.ids().last().copied().unwrap_or(0);
    let begin = match random.random_range(0..3) {
        0 => Begin::Now,
        1 => Begin::Earliest,
        _ => Begin::After((last - random.random_range(-2..60)).max(0)),
    };
    match random.random_range(0..20) {
        0..5 => {
            let systems: Vec<i64> = (0..random.random_range(1..12)).map(|_| random.random_range(1..=5)).collect();
            for (event, id) in happen(store, &systems).await.into_iter().zip(systems) {
                let kill =
                    look.rows(&format!("SELECT killmail_id FROM killmail_events WHERE event_id = {event}")).await;
                let kill = kill[0].parse().unwrap();
                let text = payload(kill, Form::Esi);
                let given = model.commit(system(id), broadside::killmail::KillmailId::new(kill).unwrap(), text);
                same("event", &event, &given)?;
            }
        }
        5..13 if !systems.is_empty() => {
            let commit = if random.random_bool(0.6) { Commit::Auto } else { Commit::Explicit };
            let bytes_max = if random.random_bool(0.2) { random.random_range(1..400) } else { usize::MAX };
            let ask = Ask { bytes_max, ..ask(name, &systems, begin, random.random_range(1..8), commit) };
            let facts = |answer: Result<Handed, Error>| {
                answer.map(|handed| (ids(&handed), handed.more, handed.gap)).map_err(column)
            };
            same(&format!("{ask:?}"), &facts(store.hand_out(&ask).await), &facts(model.hand_out(&ask).await))?;
        }
        13..16 if !systems.is_empty() => {
            let to = |id: &i64| (system(*id), (last - random.random_range(-1..20)).max(0));
            let offsets: BTreeMap<_, _> = systems.iter().map(to).collect();
            let (client, now) = (client(name), Timestamp::now());
            let here = store.commit_offsets(&client, &offsets, now).await.map_err(column);
            same(&format!("{offsets:?}"), &here, &model.commit_offsets(&client, &offsets, now).await.map_err(column))?;
        }
        16 => {
            let client = client(name);
            same("forget", &store.forget_client(&client).await, &model.forget_client(&client).await)?;
        }
        17..19 => {
            let through = (last - random.random_range(0..40)).max(0);
            let made = Timestamp::now() - DAY * random.random_range(0..4);
            // What was made earlier stays older.
            let older = format!("event_id <= {through} AND created_at > '{made:.3}'");
            look.rows(&format!("UPDATE killmail_events SET created_at = '{made:.3}' WHERE {older}")).await;
            model.ids().into_iter().filter(|id| *id <= through).for_each(|id| model.set_made(id, made));
            let (passed_before, now) = (Timestamp::now() - DAY, Timestamp::now());
            let count_max = random.random_range(20..80);
            let rules = Rules { passed_before, made_before: now - DAY * 2, count_max };
            let here = collect(store, &rules, random.random_range(1..10)).await;
            let of = model.collectable(&rules).await.unwrap();
            same(&format!("{rules:?}, {of:?}"), &here, &walk(model, &of, 7).await)?;
        }
        _ => {
            let facts = |clients: Vec<broadside::store::FeedClient>| {
                clients.into_iter().map(|c| (c.client, c.systems, c.lag, c.least, c.greatest)).collect::<Vec<_>>()
            };
            let (here, there) = (store.clients("", 9).await.unwrap(), model.clients("", 9).await.unwrap());
            same("clients", &facts(here), &facts(there))?;
        }
    }
    same("offsets", &offsets(store, name).await, &model_offsets(model, name).await)?;
    same("left", &left(look).await, &model.ids())
}

async fn model_offsets(model: &MemoryStore, name: &str) -> Vec<(i64, i64)> {
    let offsets = model.offsets(&client(name)).await.unwrap();
    offsets.into_iter().map(|(system, event)| (system.get(), event)).collect()
}

fn column(error: Error) -> Option<String> {
    match error {
        Error::Data { column, .. } => column,
        other => panic!("{other:?}"),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, here: &T, there: &T) -> Result<(), String> {
    if here == there { Ok(()) } else { Err(format!("{what}: {here:?}, and in the model {there:?}")) }
}

pub(crate) async fn a_request_that_is_cut_off_costs_no_more_than_its_own_events(store: &Shared, _: &dyn Look) {
    begin(store, "auto", &[1, 2], Begin::Now).await;
    begin(store, "explicit", &[1, 2], Begin::Now).await;
    let events = happen(store, &[1, 2].repeat(300)).await;
    let mut random = StdRng::seed_from_u64(8);
    let (mut got, mut cut) = (Vec::new(), 0);
    loop {
        let ask = ask("auto", &[1, 2], Begin::Now, 3, Commit::Auto);
        // About every other one is cut off, at any moment of what it takes here and now.
        let asked = Instant::now();
        store.hand_out(&self::ask("explicit", &[1, 2], Begin::Now, 3, Commit::Explicit)).await.unwrap();
        let patience = asked.elapsed().mul_f64(random.random_range(0.0..3.0));
        match tokio::time::timeout(patience, store.hand_out(&ask)).await {
            Ok(handed) => got.extend(ids(&handed.unwrap())),
            // As when its process dies, at any moment.
            Err(_) => cut += 1,
        }
        let explicit = self::ask("explicit", &[1, 2], Begin::Now, 3, Commit::Explicit);
        let _ = tokio::time::timeout(patience, store.hand_out(&explicit)).await;
        if got.len() + cut * 3 >= 600 {
            break;
        }
    }
    got.extend(take(store, "auto", &[1, 2], 1_000).await.0);
    assert!(cut > 10 && got.len() > 100, "{cut} cut off, {} got", got.len());
    assert!(got.is_sorted_by(|a, b| a < b), "none twice");
    assert!(events.len() - got.len() <= 3 * cut, "{} of {} after {cut}", got.len(), events.len());
    let explicit = store.hand_out(&ask("explicit", &[1, 2], Begin::Now, 1_000, Commit::Explicit)).await.unwrap();
    assert_eq!(ids(&explicit), events, "nothing is lost to who commits");
}

/// What a client was handed out to commit stays until it does, even if it came while it was being collected.
pub(crate) async fn what_is_handed_out_to_be_committed_is_not_collected(store: &Shared, _: &dyn Look) {
    let (is_over, rules) = (Arc::new(AtomicI64::new(0)), Rules { passed_before: Timestamp::MAX, ..SPARING });
    let collected = Arc::new(AtomicU64::new(0));
    let collector = {
        let (store, is_over, collected) = (store.clone(), is_over.clone(), collected.clone());
        tokio::spawn(async move {
            while is_over.load(Ordering::SeqCst) == 0 {
                collected.fetch_add(collect(&store, &rules, 5).await.passed, Ordering::SeqCst);
            }
        })
    };
    // Some rounds, and as many more as it takes until the collector has had something to do.
    for round in 0.. {
        if round >= 60 && collected.load(Ordering::SeqCst) > 100 {
            break;
        }
        happen(store, &[1, 1, 1, 1, 1, 1]).await;
        let name = format!("new-{round}");
        let ask = ask(&name, &[1], Begin::Earliest, 100, Commit::Explicit);
        let first = ids(&store.hand_out(&ask).await.unwrap());
        let again = ids(&store.hand_out(&ask).await.unwrap());
        assert_eq!(again, first);
        let last = first.last().copied().unwrap_or(0);
        commit(store, &name, &[(1, last)]).await.unwrap();
        store.forget_client(&client(&name)).await.unwrap();
    }
    is_over.store(1, Ordering::SeqCst);
    collector.await.unwrap();
}
