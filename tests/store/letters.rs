//! Dead letters: what is kept, found, claimed, settled, grouped and thrown away.

use broadside::killmail::KillmailId;
use broadside::store::{
    Attempt, DeadLetter, DeadLetterFilter, DeadLetterState, Expiry, GroupFilter, GroupNote, GroupSaid, GroupState,
    NewDeadLetter, Settled,
};
use jiff::{SignedDuration, Timestamp};

use DeadLetterState::{Discarded, Open, Replayed, Retrying};

use crate::contract::{Look, Shared};

/// 2200-01-01.
const FAR: Timestamp = Timestamp::constant(7_258_118_400, 0);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn letter(stage: &str, payload: &[u8]) -> NewDeadLetter {
    NewDeadLetter {
        pipeline: "kills".to_owned(),
        source: "wanderer".to_owned(),
        position: Some("1:17".to_owned()),
        group: "parse".to_owned(),
        stage: stage.to_owned(),
        sinks_done: vec!["db_insert".to_owned(), "a,b".to_owned()],
        class: "invalid".to_owned(),
        error: "expected a value at line 1 column 77".to_owned(),
        sqlstate: Some("23514".to_owned()),
        http_status: Some(404),
        killmail_id: KillmailId::new(42),
        failed_at: time("2026-01-01T00:00:00Z"),
        payload: payload.to_vec(),
        definition_hash: Some("0123456789abcdef".to_owned()),
        program_version: Some("0.1.0".to_owned()),
        progress: Some("{\"tagged\":[]}".to_owned()),
        retry_at: Some(time("2026-01-01T00:10:00Z")),
    }
}

fn any() -> DeadLetterFilter {
    DeadLetterFilter { payload: true, ..DeadLetterFilter::default() }
}

async fn all(store: &Shared) -> Vec<DeadLetter> {
    store.dead_letters(&any()).await.unwrap()
}

async fn states(store: &Shared) -> Vec<DeadLetterState> {
    all(store).await.into_iter().map(|letter| letter.state).collect()
}

pub(crate) async fn dead_letters_live_and_end(store: &Shared, _: &dyn Look) {
    let bytes = [0, 255, b'{', b'\n', 0x80];
    let ids = store.add_dead_letters(&[letter("decode", &bytes), letter("match", b"")]).await.unwrap();
    assert!(ids[0] < ids[1]);
    let found = store.dead_letters(&DeadLetterFilter { ids: vec![ids[0]], ..any() }).await.unwrap().remove(0);
    assert_eq!((found.state, found.attempts, found.payload_bytes), (Open, 1, 5));
    assert_eq!(found.letter, letter("decode", &bytes));
    assert_eq!((found.first_failed_at, found.last_failed_at), (found.letter.failed_at, found.letter.failed_at));
    assert_eq!((found.fingerprint.len(), found.error_text.as_str()), (16, "expected a value at line <n> column <n>"));
    assert_eq!(found.history, [Attempt::from(&letter("decode", b""))]);
    assert_eq!((found.is_edited, found.original, found.settled_at), (false, None, None));

    assert_eq!(store.claim_dead_letters(&ids, &[Open], FAR).await, Ok(ids.clone()));
    let before = Timestamp::now() - SignedDuration::from_secs(60);
    assert_eq!(store.settle_dead_letters(&ids[..1], &[Retrying], Settled::Replayed).await, Ok(ids[..1].to_vec()));
    store.settle_dead_letters(&ids[1..], &[Retrying], Settled::Discarded("no use")).await.unwrap();
    assert_eq!(states(store).await, [Replayed, Discarded]);
    for (letter, note) in all(store).await.into_iter().zip([None, Some("no use")]) {
        assert_eq!((letter.note.as_deref(), letter.held_until, letter.letter.retry_at), (note, None, None));
        assert!(letter.settled_at.is_some_and(|at| at > before));
    }
    let mut counts = store.dead_letter_counts().await.unwrap();
    counts.sort_by_key(|(_, state, _)| state.as_str());
    assert_eq!(counts, [("kills".to_owned(), Discarded, 1), ("kills".to_owned(), Replayed, 1)]);
}

pub(crate) async fn dead_letters_are_found_by_what_they_say(store: &Shared, _: &dyn Look) {
    let mut other = letter("decode", b"x");
    other.pipeline = "market".to_owned();
    let late = NewDeadLetter {
        failed_at: time("2026-01-02T00:00:00Z"),
        killmail_id: KillmailId::new(43),
        class: "panic".to_owned(),
        ..letter("match", b"x")
    };
    let ids = store.add_dead_letters(&[letter("decode", b"x"), late, other]).await.unwrap();
    let groups: Vec<_> = all(store).await.into_iter().map(|letter| letter.fingerprint).collect();
    store.settle_dead_letters(&ids[2..], &[Open], Settled::Replayed).await.unwrap();
    let find = async |filter: DeadLetterFilter| {
        let letters = store.dead_letters(&filter).await.unwrap();
        let is_short = |letter: &DeadLetter| {
            letter.letter.payload.is_empty() && letter.history.is_empty() && letter.letter.progress.is_none()
        };
        assert!(letters.iter().all(is_short), "what is long only when it is asked for");
        let found: Vec<_> = letters.into_iter().map(|letter| letter.id).collect();
        let ids: Vec<_> = store.dead_letter_ids(&filter).await.unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, ids);
        found
    };
    let any = DeadLetterFilter::default;
    assert_eq!(find(any()).await, ids);
    assert_eq!(find(DeadLetterFilter { stage: Some("decode".into()), ..any() }).await, [ids[0], ids[2]]);
    assert_eq!(find(DeadLetterFilter { pipeline: Some("kills".into()), ..any() }).await, ids[..2]);
    assert_eq!(find(DeadLetterFilter { class: Some("panic".into()), ..any() }).await, ids[1..2]);
    assert_eq!(find(DeadLetterFilter { states: vec![Replayed, Discarded], ..any() }).await, ids[2..]);
    assert_eq!(find(DeadLetterFilter { groups: groups[..2].to_vec(), ..any() }).await, ids[..2]);
    assert_eq!(find(DeadLetterFilter { killmail_id: KillmailId::new(43), ..any() }).await, ids[1..2]);
    assert_eq!(find(DeadLetterFilter { since: Some(time("2026-01-02T00:00:00Z")), ..any() }).await, ids[1..2]);
    assert_eq!(find(DeadLetterFilter { until: Some(time("2026-01-02T00:00:00Z")), ..any() }).await, [ids[0], ids[2]]);
    assert_eq!(find(DeadLetterFilter { after: ids[0], limit: Some(1), ..any() }).await, [ids[1]]);
    assert_eq!(find(DeadLetterFilter { ids: vec![ids[2], ids[0]], ..any() }).await, [ids[0], ids[2]]);
    let both = DeadLetterFilter { states: vec![Open], stage: Some("decode".into()), ..any() };
    assert_eq!(find(both).await, ids[..1], "all that is said must hold");
}

pub(crate) async fn letters_move_only_from_the_states_that_are_named(store: &Shared, _: &dyn Look) {
    let ids = store.add_dead_letters(&[letter("decode", b"x"), letter("decode", b"y")]).await.unwrap();
    store.settle_dead_letters(&ids[..1], &[Open], Settled::Discarded("no use")).await.unwrap();
    assert_eq!(store.claim_dead_letters(&ids, &[Open], FAR).await, Ok(ids[1..].to_vec()));
    assert_eq!(store.claim_dead_letters(&ids, &[Open], FAR).await, Ok(vec![]), "two replays never share a letter");
    assert_eq!(states(store).await, [Discarded, Retrying]);
    assert_eq!(store.settle_dead_letters(&ids, &[Open], Settled::Replayed).await, Ok(vec![]));
    assert_eq!(store.claim_dead_letters(&ids, &[Discarded], FAR).await, Ok(ids[..1].to_vec()));
    assert_eq!(store.settle_dead_letters(&ids, &[Retrying], Settled::Open).await, Ok(ids.clone()));
    let letters = all(store).await;
    assert!(letters.iter().all(|letter| letter.state == Open && letter.settled_at.is_none()));
    assert_eq!(letters[1].letter.retry_at, letter("", b"").retry_at, "nobody has tried it");
}

pub(crate) async fn a_letter_whose_lease_has_passed_is_open(store: &Shared, _: &dyn Look) {
    let ids = store.add_dead_letters(&[letter("decode", b"x"), letter("decode", b"y")]).await.unwrap();
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    assert_eq!(store.claim_dead_letters(&ids, &[Open], past).await, Ok(ids.clone()));
    assert_eq!(
        store.renew_dead_letters(&ids[..1], FAR).await,
        Ok(ids[..1].to_vec()),
        "whoever is late but alive keeps it"
    );
    assert_eq!(states(store).await, [Retrying, Open]);
    assert_eq!(store.renew_dead_letters(&ids, FAR).await, Ok(ids[..1].to_vec()), "it is not held any more");
    assert_eq!(store.claim_dead_letters(&ids, &[Open], past).await, Ok(ids[1..].to_vec()));
    assert_eq!(store.claim_dead_letters(&ids, &[Open], past).await, Ok(ids[1..].to_vec()), "a claim opens it first");
    let open = store.dead_letter_stats().await.unwrap().states;
    assert_eq!(open.iter().map(|(state, count, _)| (*state, *count)).collect::<Vec<_>>(), [(Open, 1), (Retrying, 1)]);
}

pub(crate) async fn of_many_who_claim_a_letter_one_gets_it(store: &Shared, _: &dyn Look) {
    let letters: Vec<_> = (0..200_u8).map(|n| letter("decode", &[n])).collect();
    let ids = store.add_dead_letters(&letters).await.unwrap();
    let claims = (0..8_usize).map(|turn| {
        let (store, mut ids) = (store.clone(), ids.clone());
        ids.rotate_left(turn * 25);
        tokio::spawn(async move { store.claim_dead_letters(&ids, &[Open], FAR).await.unwrap() })
    });
    let mut claimed = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        claimed.extend(claim.await.unwrap());
    }
    claimed.sort_unstable();
    assert_eq!(claimed, ids);
}

pub(crate) async fn a_letter_that_fails_again_keeps_its_first_failure(store: &Shared, _: &dyn Look) {
    let ids = store.add_dead_letters(&[letter("decode", b"as received"), letter("decode", b"y")]).await.unwrap();
    store.claim_dead_letters(&ids, &[Open], FAR).await.unwrap();
    let again = NewDeadLetter {
        error: "the ship is\0missing".to_owned(),
        killmail_id: None,
        failed_at: time("2026-02-02T00:00:00Z"),
        progress: None,
        retry_at: None,
        position: Some("never kept".to_owned()),
        ..letter("match", b"never kept")
    };
    store.settle_dead_letters(&ids[1..], &[Retrying], Settled::Discarded("meanwhile")).await.unwrap();
    let failed = [(ids[1], again.clone()), (ids[0], again.clone()), (ids[1] + 1, again.clone())];
    assert_eq!(store.dead_letters_failed_again(&failed).await, Ok(ids.clone()), "the third is not there");
    let letters = all(store).await;
    let found = &letters[0];
    assert_eq!((found.state, found.attempts, found.held_until), (Open, 2, None));
    assert_eq!((found.letter.stage.as_str(), found.error_text.as_str()), ("match", "the ship is missing"));
    assert_eq!(found.letter.payload, b"as received");
    assert_eq!(found.letter.position.as_deref(), Some("1:17"));
    assert_eq!(found.letter.killmail_id, KillmailId::new(42), "an id that was known stays known");
    assert_eq!((found.first_failed_at, found.last_failed_at), (letter("", b"").failed_at, again.failed_at));
    assert_eq!((found.letter.progress.as_ref(), found.letter.retry_at), (None, None));
    assert_eq!(found.history, [Attempt::from(&letter("decode", b"")), Attempt::from(&again)]);
    assert_eq!(found.fingerprint, letters[1].fingerprint);
    assert_eq!(
        (letters[1].state, letters[1].attempts, letters[1].letter.retry_at),
        (Discarded, 2, None),
        "given up is given up"
    );
}

pub(crate) async fn letters_that_are_due_come_in_their_order(store: &Shared, _: &dyn Look) {
    let due = |at: Option<&str>| NewDeadLetter { retry_at: at.map(time), ..letter("price", b"x") };
    let other = NewDeadLetter { pipeline: "market".to_owned(), ..due(Some("2026-01-01T00:00:00Z")) };
    let [first, second] = ["2026-01-01T00:10:00Z", "2026-01-01T00:05:00Z"];
    let letters = [due(Some(first)), due(Some(second)), due(None), other, due(Some(second))];
    let ids = store.add_dead_letters(&letters).await.unwrap();
    store.settle_dead_letters(&ids[4..], &[Open], Settled::Discarded("no use")).await.unwrap();
    let kills = ["kills".to_owned()];
    let find = async |pipelines: &[String], now: &str, limit| {
        store.due_dead_letters(pipelines, time(now), limit).await.unwrap()
    };
    assert_eq!(find(&kills, "2026-01-01T01:00:00Z", 9).await, [ids[1], ids[0]]);
    assert_eq!(find(&[], "2026-01-01T01:00:00Z", 2).await, [ids[3], ids[1]]);
    assert_eq!(find(&kills, "2026-01-01T00:05:00Z", 9).await, [ids[1]]);
    store.claim_dead_letters(&ids, &[Open], FAR).await.unwrap();
    assert_eq!(find(&[], "2026-01-01T01:00:00Z", 9).await, [0_i64; 0]);
    store.settle_dead_letters(&ids, &[Retrying], Settled::Open).await.unwrap();
    assert_eq!(find(&kills, "2026-01-01T01:00:00Z", 9).await, [ids[1], ids[0]], "it is as it was");
}

pub(crate) async fn a_payload_is_edited_and_the_first_one_kept(store: &Shared, _: &dyn Look) {
    let ids = store.add_dead_letters(&[letter("decode", b"first")]).await.unwrap();
    assert_eq!(store.edit_dead_letter(ids[0], b"second").await, Ok(true));
    assert_eq!(store.edit_dead_letter(ids[0], b"the third").await, Ok(true));
    let found = all(store).await.remove(0);
    assert_eq!((found.is_edited, found.payload_bytes, found.original.as_deref()), (true, 9, Some(&b"first"[..])));
    assert_eq!((found.letter.payload.as_slice(), found.letter.progress), (&b"the third"[..], None));
    store.claim_dead_letters(&ids, &[Open], FAR).await.unwrap();
    assert_eq!(store.edit_dead_letter(ids[0], b"too late").await, Ok(false));
    assert_eq!(store.edit_dead_letter(ids[0] + 1, b"not there").await, Ok(false));
}

pub(crate) async fn letters_of_another_database_are_imported_once(store: &Shared, _: &dyn Look) {
    let again = NewDeadLetter { failed_at: time("2026-02-02T00:00:00Z"), ..letter("decode", b"\xff\0") };
    let first = letter("match", b"");
    let given = DeadLetter {
        id: 4711,
        state: Discarded,
        attempts: 2,
        first_failed_at: first.failed_at,
        last_failed_at: again.failed_at,
        note: Some("of there".to_owned()),
        history: vec![Attempt::from(&first), Attempt::from(&again)],
        letter: again.clone(),
        ..DeadLetter::default()
    };
    let other = DeadLetter { letter: NewDeadLetter { payload: b"other".to_vec(), ..again.clone() }, ..given.clone() };
    let ids = store.import_dead_letters(&[given.clone(), other]).await.unwrap();
    assert!(ids.iter().all(Option::is_some));
    assert_eq!(store.import_dead_letters(std::slice::from_ref(&given)).await, Ok(vec![None]));
    let found = all(store).await.remove(0);
    assert_eq!((found.state, found.attempts, found.note), (Open, 2, None));
    assert_eq!((found.first_failed_at, found.last_failed_at), (given.first_failed_at, given.last_failed_at));
    assert_eq!((found.history, found.letter), (given.history, again));
}

async fn groups(store: &Shared, filter: &GroupFilter) -> Vec<(String, GroupState, i64, i64)> {
    let groups = store.dead_letter_groups(filter, time("2026-01-01T12:00:00Z")).await.unwrap();
    groups.into_iter().map(|group| (group.sample.letter.stage, group.state, group.open, group.total)).collect()
}

pub(crate) async fn letters_that_fail_alike_are_a_group(store: &Shared, _: &dyn Look) {
    assert_eq!(store.dead_letter_groups(&GroupFilter::default(), FAR).await, Ok(vec![]));
    let at = |stage: &str, at: &str, column: u32| NewDeadLetter {
        failed_at: time(at),
        error: format!("expected a value at line 1 column {column}"),
        ..letter(stage, b"x")
    };
    let letters = [
        at("decode", "2025-12-31T00:59:59.999Z", 1),
        at("decode", "2026-01-01T00:00:00Z", 23),
        at("decode", "2026-01-01T10:59:59.999Z", 456),
        at("match", "2025-12-31T13:00:00Z", 7),
        at("price", "2026-01-01T12:59:00Z", 8),
    ];
    let ids = store.add_dead_letters(&letters).await.unwrap();
    store.settle_dead_letters(&ids[1..2], &[Open], Settled::Replayed).await.unwrap();
    store.settle_dead_letters(&ids[4..], &[Open], Settled::Discarded("no use")).await.unwrap();
    store.claim_dead_letters(&ids[..1], &[Open], FAR).await.unwrap();

    let open = [("decode".to_owned(), GroupState::Open, 2, 3), ("match".to_owned(), GroupState::Open, 1, 1)];
    assert_eq!(groups(store, &GroupFilter::default()).await, open);
    let of_match = GroupFilter { stage: Some("match".to_owned()), ..GroupFilter::default() };
    assert_eq!(groups(store, &of_match).await, open[1..]);
    assert_eq!(groups(store, &GroupFilter { limit: Some(1), ..GroupFilter::default() }).await, open[..1]);
    assert_eq!(groups(store, &GroupFilter { class: Some("panic".into()), ..GroupFilter::default() }).await, []);
    assert_eq!(groups(store, &GroupFilter { pipeline: Some("market".into()), ..GroupFilter::default() }).await, []);
    let settled = groups(store, &GroupFilter { settled: true, ..GroupFilter::default() }).await;
    assert_eq!((settled.len(), &settled[0]), (3, &("price".to_owned(), GroupState::Open, 0, 1)));

    let now = time("2026-01-01T12:34:56Z");
    let group = store.dead_letter_groups(&GroupFilter::default(), now).await.unwrap().remove(0);
    assert_eq!((group.first_failed_at, group.last_failed_at), (letters[0].failed_at, letters[2].failed_at));
    assert_eq!((group.sample.id, group.sample.letter.payload.len()), (ids[2], 0));
    assert_eq!(group.fingerprint, group.sample.fingerprint);
    let mut trend = [0; 24];
    (trend[11], trend[21]) = (1, 1);
    assert_eq!(group.trend, trend, "from 13 o'clock of the day before to this hour; the first is older");
    let one = GroupFilter { fingerprints: vec![group.fingerprint], ..GroupFilter::default() };
    assert_eq!(groups(store, &one).await, open[..1]);
}

pub(crate) async fn a_group_is_acknowledged_fixed_and_comes_back(store: &Shared, _: &dyn Look) {
    let ids = store.add_dead_letters(&[letter("decode", b"x")]).await.unwrap();
    let fingerprint = all(store).await[0].fingerprint.clone();
    let say = async |said: GroupSaid, at: &str| {
        let note = GroupNote { said, note: Some("see the log".to_owned()) };
        store.set_dead_letter_group(&fingerprint, &note, time(at)).await.unwrap()
    };
    let state = async || {
        let filter = GroupFilter { settled: true, ..GroupFilter::default() };
        let group = store.dead_letter_groups(&filter, FAR).await.unwrap().remove(0);
        (group.state, group.fixed_in, group.note.is_some(), group.changed_at.is_some())
    };
    let nothing = GroupNote { said: GroupSaid::Acknowledged, note: None };
    assert_eq!(store.set_dead_letter_group("0000000000000000", &nothing, FAR).await, Ok(false));
    assert!(say(GroupSaid::Acknowledged, "2026-01-01T00:00:01Z").await);
    assert_eq!(state().await, (GroupState::Acknowledged, None, true, true));
    let fixed = || GroupSaid::Fixed { version: "0.2.0".to_owned() };
    assert!(say(fixed(), "2026-01-01T01:00:00Z").await);
    assert_eq!(state().await, (GroupState::Fixed, Some("0.2.0".to_owned()), true, true));
    store
        .add_dead_letters(&[NewDeadLetter { failed_at: time("2026-01-01T01:00:01Z"), ..letter("decode", b"y") }])
        .await
        .unwrap();
    assert_eq!(state().await.0, GroupState::Regressed);
    let only = |state| GroupFilter { states: vec![state], ..GroupFilter::default() };
    assert_eq!(groups(store, &only(GroupState::Regressed)).await.len(), 1);
    assert_eq!(groups(store, &only(GroupState::Fixed)).await, []);
    assert!(say(fixed(), "2026-01-01T02:00:00Z").await);
    assert_eq!(state().await.0, GroupState::Fixed, "fixed once more");
    let again = NewDeadLetter { failed_at: time("2026-01-01T03:00:00Z"), ..letter("decode", b"x") };
    store.dead_letters_failed_again(&[(ids[0], again)]).await.unwrap();
    assert_eq!(state().await.0, GroupState::Regressed, "an old letter that fails again says that it is not fixed");
    assert!(say(GroupSaid::Open, "2026-01-01T04:00:00Z").await);
    assert_eq!(state().await, (GroupState::Open, None, false, false));
}

pub(crate) async fn what_is_old_or_too_much_goes(store: &Shared, _: &dyn Look) {
    let at = |hour: u8, payload: &[u8]| NewDeadLetter {
        failed_at: time(&format!("2026-01-01T{hour:02}:00:00Z")),
        ..letter("decode", payload)
    };
    let letters: Vec<_> = (0..6).map(|hour| at(hour, b"ten bytes!")).collect();
    let ids = store.add_dead_letters(&letters).await.unwrap();
    store.settle_dead_letters(&ids[4..5], &[Open], Settled::Replayed).await.unwrap();
    store.settle_dead_letters(&ids[2..3], &[Open], Settled::Discarded("no use")).await.unwrap();
    store.claim_dead_letters(&ids[..1], &[Open], FAR).await.unwrap();
    let stats = store.dead_letter_stats().await.unwrap();
    assert_eq!((stats.bytes(), stats.oldest_open), (60, Some(letters[1].failed_at)));
    assert_eq!(stats.states.len(), 4);

    let expire = async |rule, limit| {
        let gone = store.expire_dead_letters(&rule, limit).await.unwrap();
        gone.into_iter().map(|gone| (gone.state, gone.bytes, gone.fingerprint.len())).collect::<Vec<_>>()
    };
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    assert_eq!(expire(Expiry::Settled { before: hour_ago }, 9).await, []);
    assert_eq!(
        expire(Expiry::Settled { before: FAR }, 1).await,
        [(Replayed, 10, 16)],
        "the one that was settled first"
    );
    assert_eq!(expire(Expiry::SettledBytes(1), 9).await, [(Discarded, 10, 16)]);
    assert_eq!(expire(Expiry::SettledBytes(100), 9).await, [], "open ones are not theirs");
    assert_eq!(expire(Expiry::OpenBytes(0), 9).await, []);
    assert_eq!(expire(Expiry::OpenBytes(11), 9).await, [(Open, 10, 16), (Open, 10, 16)]);
    let left: Vec<_> = all(store).await.into_iter().map(|letter| letter.id).collect();
    assert_eq!(left, [ids[0], ids[5]], "the oldest go first, and none that is on its way");
}

pub(crate) async fn letters_of_an_older_build_are_given_fingerprints(store: &Shared, look: &dyn Look) {
    let ids =
        store.add_dead_letters(&[letter("decode", b"x"), letter("match", b"x"), letter("match", b"y")]).await.unwrap();
    let known: Vec<_> = all(store).await.into_iter().map(|letter| (letter.fingerprint, letter.error_text)).collect();
    look.rows("UPDATE dead_letters SET fingerprint = '', error_text = ''").await;
    assert_eq!(store.fingerprint_dead_letters(2).await, Ok(2));
    assert_eq!(store.fingerprint_dead_letters(2).await, Ok(1));
    assert_eq!(store.fingerprint_dead_letters(2).await, Ok(0));
    let now: Vec<_> = all(store).await.into_iter().map(|letter| (letter.fingerprint, letter.error_text)).collect();
    assert_eq!((now.len(), now), (ids.len(), known));
}

pub(crate) async fn a_database_has_an_identity_that_stays(store: &Shared, _: &dyn Look) {
    let identity = store.database_identity().await.unwrap();
    assert!(identity.len() > 32, "{identity}");
    assert_eq!(store.database_identity().await, Ok(identity.clone()));
    store.migrate().await.unwrap();
    assert_eq!(store.database_identity().await, Ok(identity));
}

pub(crate) async fn one_process_at_a_time_keeps_the_letters(store: &Shared, _: &dyn Look) {
    let mut claim = store.claim_dead_letter_upkeep().await.unwrap().expect("it is free");
    assert!(claim.is_held().await);
    assert!(store.claim_dead_letter_upkeep().await.unwrap().is_none());
    claim.release().await;
    assert!(store.claim_dead_letter_upkeep().await.unwrap().is_some());
}
