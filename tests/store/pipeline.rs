//! The `database` sink, the keeper of dead letters and their replay, in a pipeline with a real store.

use std::sync::Arc;

use async_trait::async_trait;
use broadside::dead_letter::{Keeper, Origin, Source, Tally, Way};
use broadside::killmail::{Form, Kill};
use broadside::resources::Resources;
use broadside::sinks::database;
use broadside::store::{DeadLetter, DeadLetterFilter, DeadLetterState};
use broadside_engine::pipeline::{Ledger, Pipeline};
use broadside_engine::stage::each;
use broadside_engine::testing::push_source;
use broadside_engine::topology::{Batcher, Processor, Source as SourceShape, Topology};
use broadside_engine::{Batch, Components, Factory, Failure, Message, Outcome, Sink};

use jiff::Timestamp;

use crate::contract::{Look, Shared};
use crate::kills::{dated, kill};

/// Swallows kills, but for those it is told to refuse; remembers what it took.
#[derive(Default)]
struct Second {
    refuses: Vec<i64>,
    took: std::sync::Mutex<Vec<(i64, bool)>>,
}

#[async_trait]
impl Sink<Kill> for Second {
    async fn deliver(&self, _: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages {
            let id = message.payload.mail.as_ref().unwrap().killmail_id.get();
            if self.refuses.contains(&id) {
                message.fail(Failure::permanent("the subscriber is gone").with("http_status", "410"));
            } else {
                self.took.lock().unwrap().push((id, message.payload.event_id.is_some()));
            }
        }
        Ok(())
    }
}

fn topology() -> Topology {
    Topology::new("kills", SourceShape::new("test"))
        .processor(Processor { stages: vec!["decode".into()], ..Processor::new("parse") })
        // Whole batches, so that bad kills stand among good ones.
        .batcher(Batcher::new("db_insert"))
        .batcher(Batcher { after: Some("db_insert".into()), eager: true, ..Batcher::new("second") })
}

fn resources(store: &Shared) -> Resources {
    Resources::new(store.clone())
}

/// Runs `source` through; the "decode" of these tests finds the kill by the number in its bytes.
async fn run(
    store: &Shared,
    source: impl Factory<Kill> + 'static,
    second: &Arc<Second>,
    decode: fn(i64) -> Option<Kill>,
) -> Ledger {
    let resources = resources(store);
    let components = Components::new(source).failure_handler(Keeper::new(&resources, &topology(), Origin::default()));
    let mut components = components.stage(
        "decode",
        each(move |message: &mut Message<Kill>| {
            let text = String::from_utf8_lossy(&message.payload.raw).into_owned();
            match text.trim_start_matches("kill ").parse().ok().and_then(decode) {
                Some(kill) => message.payload.mail = kill.mail,
                None => message.fail(Failure::invalid("not a kill")),
            }
        }),
    );
    components.sinks.insert("db_insert".into(), database::Config::default().build(&resources));
    components.sinks.insert("second".into(), second.clone());
    Pipeline::start(topology(), components).unwrap().finished().await.ledger
}

async fn push(store: &Shared, second: &Arc<Second>, payloads: &[&str]) -> Ledger {
    let (pusher, source) = push_source(100);
    for payload in payloads {
        let bytes = bytes::Bytes::copy_from_slice(payload.as_bytes());
        pusher.push(Message::new(Kill::new(bytes, "wanderer", "2026-01-01T00:00:00Z".parse().unwrap(), false))).await;
    }
    pusher.finish();
    run(store, source, second, good).await
}

fn good(id: i64) -> Option<Kill> {
    match id {
        13 => Some(dated(13, "1999-01-01T00:00:00Z")),
        _ => Some(kill(id, Form::Esi, 1)),
    }
}

/// Hands out open letters.
fn source(store: &Shared, ids: Vec<i64>) -> Source {
    let way = Way { from: vec![DeadLetterState::Open], ..Way::default() };
    let source = Source::new(store.clone(), ids, way, Arc::default());
    source.feeds(&topology(), Origin::default());
    source
}

async fn letters(store: &Shared) -> Vec<DeadLetter> {
    store.dead_letters(&DeadLetterFilter { payload: true, ..DeadLetterFilter::default() }).await.unwrap()
}

pub(crate) async fn new_kills_go_on_with_their_event_and_known_ones_do_not(store: &Shared, _: &dyn Look) {
    let second = Arc::new(Second::default());
    push(store, &second, &["kill 1", "kill 2"]).await;
    let ledger = push(store, &second, &["kill 2", "kill 3"]).await;
    assert_eq!((ledger.outcome(Outcome::Successful), ledger.outcome(Outcome::Filtered)), (1, 1));
    let mut took = second.took.lock().unwrap().clone();
    took.sort_unstable();
    assert_eq!(took, [(1, true), (2, true), (3, true)]);
}

pub(crate) async fn bad_kills_become_dead_letters_and_the_others_are_stored(store: &Shared, look: &dyn Look) {
    let second = Arc::new(Second { refuses: vec![3], ..Second::default() });
    let ledger = push(store, &second, &["kill 1", "{\"killmail_id\": 77, \"gar", "kill 13", "kill 3", "kill 4"]).await;
    assert_eq!((ledger.outcome(Outcome::Successful), ledger.outcome(Outcome::DeadLettered)), (2, 3));
    assert_eq!(look.rows("SELECT killmail_id FROM killmails_raw ORDER BY 1").await, ["1", "3", "4"]);

    let mut letters = letters(store).await;
    letters.sort_by_key(|letter| letter.letter.stage.clone());
    let brief = |letter: &DeadLetter| {
        let inner = &letter.letter;
        let payload = String::from_utf8_lossy(&inner.payload).into_owned();
        (
            inner.stage.clone(),
            inner.class.clone(),
            inner.killmail_id.map(|id| id.get()),
            inner.sinks_done.join(","),
            payload,
        )
    };
    let expected = [
        ("db_insert", "invalid", Some(13), "", "kill 13"),
        ("decode", "invalid", Some(77), "", "{\"killmail_id\": 77, \"gar"),
        ("second", "permanent", Some(3), "db_insert", "kill 3"),
    ];
    let expected = expected.map(|(a, b, c, d, e)| (a.to_owned(), b.to_owned(), c, d.to_owned(), e.to_owned()));
    assert_eq!(letters.iter().map(brief).collect::<Vec<_>>(), expected);
    assert!(letters[0].letter.error.contains("killmail_time"), "{}", letters[0].letter.error);
    assert_eq!(letters[2].letter.http_status, Some(410));
}

pub(crate) async fn a_replay_goes_only_to_the_sinks_that_lack_it(store: &Shared, _: &dyn Look) {
    let second = Arc::new(Second { refuses: vec![3], ..Second::default() });
    push(store, &second, &["kill 3", "kill 13", "garbage"]).await;
    let ids: Vec<i64> = letters(store).await.iter().map(|letter| letter.id).collect();

    // By now the subscriber is back, and whatever dated kill 13 was mended; the garbage stays what it is.
    let source = source(store, ids);
    let second = Arc::new(Second::default());
    run(store, source.clone(), &second, |id| Some(kill(id, Form::Esi, 1))).await;
    assert_eq!(source.tally(), Tally { replayed: 2, same_failure: 1, ..Tally::default() });
    assert_eq!(source.release().await, Ok(0));
    let mut took = second.took.lock().unwrap().clone();
    took.sort_unstable();
    assert_eq!(took, [(3, false), (13, true)], "kill 3 was not stored again, so it has no new event");

    let after = letters(store).await;
    assert_eq!(after.len(), 3, "a letter that fails again stays one letter");
    for letter in after {
        let expected = if letter.letter.payload == b"garbage" {
            (DeadLetterState::Open, 2)
        } else {
            (DeadLetterState::Replayed, 1)
        };
        assert_eq!((letter.state, letter.attempts), expected, "{letter:?}");
    }
}

pub(crate) async fn two_replays_never_hand_out_the_same_letter(store: &Shared, _: &dyn Look) {
    let second = Arc::new(Second::default());
    push(store, &second, &["kill 13"]).await;
    let ids: Vec<i64> = letters(store).await.iter().map(|letter| letter.id).collect();
    store.claim_dead_letters(&ids, &[DeadLetterState::Open], Timestamp::MAX).await.unwrap();
    let source = source(store, ids);
    let ledger = run(store, source.clone(), &second, good).await;
    assert_eq!((ledger.received, source.tally().passed_over), (0, 1));
}

/// For a store that refuses the kills 107, 142 and 199 by the constraint `refused`, and says so with this code.
pub(crate) async fn three_of_a_hundred_are_refused(store: &Shared, look: &dyn Look, sqlstate: &str) {
    let kills: Vec<_> = (101..=200).map(|id| format!("kill {id}")).collect();
    let second = Arc::new(Second::default());
    let ledger = push(store, &second, &kills.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((ledger.outcome(Outcome::Successful), ledger.outcome(Outcome::DeadLettered)), (97, 3));
    assert_eq!(look.rows("SELECT count(*) FROM killmails_raw").await, ["97"]);
    assert_eq!(look.rows("SELECT count(*), count(DISTINCT killmail_id) FROM killmail_events").await, ["97|97"]);

    let mut letters = letters(store).await;
    letters.sort_by_key(|letter| letter.letter.killmail_id);
    assert_eq!(
        letters.iter().map(|letter| &letter.letter.payload[..]).collect::<Vec<_>>(),
        [b"kill 107", b"kill 142", b"kill 199"]
    );
    for letter in letters {
        assert_eq!(letter.letter.sqlstate.as_deref(), Some(sqlstate));
        assert!(letter.letter.error.contains("refused"), "{}", letter.letter.error);
    }
}
