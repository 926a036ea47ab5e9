//! Tests of completing kills.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::appraisal::Janice;
use crate::duration::Span;
use crate::killmail::TypeId;
use crate::killmail::sample::Sampler;
use crate::market::Cents;
use crate::price::{Quote, Source};
use crate::store::{Options, connect};

/// Tokio's clock stands still as long as this is there, also while everybody waits: for the database's own threads, which know no other clock.
struct Still(std::sync::mpsc::Sender<()>);

impl Still {
    fn new() -> Self {
        tokio::time::pause();
        let (still, over) = std::sync::mpsc::channel::<()>();
        // A paused clock does not move by itself while a blocking task runs.
        tokio::task::spawn_blocking(move || over.recv());
        Self(still)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        tokio::time::resume();
        let _ = self.0.send(());
    }
}

/// A service that gives every caller this answer; it can be given another.
struct Service {
    url: String,
    answer: Arc<Mutex<(&'static str, String)>>,
    asked: Arc<Mutex<u32>>,
    _task: AbortOnDropHandle<()>,
}

async fn service(status: &'static str, body: String) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(Mutex::new((status, body)));
    let asked: Arc<Mutex<u32>> = Arc::default();
    let (given, count) = (answer.clone(), asked.clone());
    let serve = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 16_384];
            let _ = socket.read(&mut head).await;
            *count.lock().expect("no panic") += 1;
            let (status, body) = given.lock().expect("no panic").clone();
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    Service { url, answer, asked, _task: AbortOnDropHandle::new(serve) }
}

async fn store() -> Arc<dyn Store> {
    let store = connect("sqlite::memory:", &Options::default()).await.expect("a database");
    store.migrate().await.expect("tables");
    store
}

/// A store with one kill that waits for its items, and ESI's body of it.
async fn waiting() -> (Arc<dyn Store>, String) {
    let store = store().await;
    let sample = Sampler::new(3).next("2026-02-03T04:05:06Z".parse().expect("a time"));
    let mut kill = Kill::new(sample.feed_json().into(), "wanderer", Timestamp::now(), false);
    kill.mail = Some(Arc::new(wire::decode(&kill.raw).expect("a kill")));
    kill.refresh = true;
    store.insert_kills(&[&kill], true).await.expect("stored");
    (store, sample.esi_json())
}

fn with_esi(store: &Arc<dyn Store>, esi: &Service) -> Completion {
    let esi = Esi::new(&esi.url, None).expect("loopback");
    Completion {
        store: store.clone(),
        shelf: Arc::default(),
        esi: Some(esi),
        tag: None,
        appraiser: None,
        matcher: None,
        surveillance: Arc::default(),
        desk: Arc::default(),
    }
}

async fn completed(completion: &Completion) -> u32 {
    look(completion, AT_ONCE, Timestamp::now()).await.1
}

/// Kills that a look saw, that it completed, and that wait.
async fn look(completion: &Completion, limit: u32, now: Timestamp) -> (usize, u32, usize) {
    let look = completion.some(limit, now).await.expect("a queue");
    (look.seen, look.completed, look.waiting.len())
}

async fn queued(store: &dyn Store) -> Vec<u32> {
    let later = Timestamp::now() + SignedDuration::from_hours(24);
    let due = store.due_refreshes(later, 2_000).await.expect("a queue");
    due.iter().map(|refresh| refresh.attempts).collect()
}

#[tokio::test]
async fn a_kill_that_was_stored_in_part_is_completed_once_and_published_no_second_time() {
    let (store, body) = waiting().await;
    let esi = service("200 OK", body).await;
    let completion = with_esi(&store, &esi);
    assert_eq!(completed(&completion).await, 1);
    assert!(queued(&*store).await.is_empty());
    assert_eq!(completed(&completion).await, 0);
    let events = store.events_after(0, &[], 10).await.expect("events");
    assert_eq!(events.len(), 1);
    assert!(wire::decode(events[0].payload.as_bytes()).expect("a kill").form > Form::Feed);
}

#[tokio::test]
async fn a_kill_whose_hash_is_refused_is_given_up() {
    let (store, _) = waiting().await;
    let esi = service("422 Unprocessable Entity", r#"{"error":"Invalid killmail_id"}"#.into()).await;
    assert_eq!(completed(&with_esi(&store, &esi)).await, 0);
    assert!(queued(&*store).await.is_empty());
}

#[tokio::test]
async fn while_esi_has_other_answers_the_kill_waits() {
    let (store, _) = waiting().await;
    let esi = service("400 Bad Request", "{}".into()).await;
    let completion = with_esi(&store, &esi);
    assert_eq!(completed(&completion).await, 0);
    assert_eq!(queued(&*store).await, [1]);
    assert_eq!(completed(&completion).await, 0, "it is not due yet");
    assert_eq!(queued(&*store).await, [1]);
}

fn types(kills: &[Kill]) -> Vec<TypeId> {
    let mails = kills.iter().filter_map(|kill| kill.mail.as_ref());
    mails.flat_map(|mail| crate::price::worth::needed(mail, &crate::statics::Statics::default())).collect()
}

/// Janice's price of every type of these kills: 2 ISK.
fn price_list(kills: &[Kill]) -> String {
    let rows: HashMap<i64, String> = types(kills)
        .into_iter()
        .map(|id| (id.get(), format!(r#"{{"itemType":{{"eid":{id}}},"immediatePrices":{{"sellPrice":2}}}}"#)))
        .collect();
    format!("[{}]", rows.into_values().collect::<Vec<_>>().join(","))
}

/// Kills that were priced while Janice was down, in a store.
async fn marked(count: usize) -> (Arc<dyn Store>, Vec<Kill>) {
    let store = store().await;
    let mut sampler = Sampler::new(9);
    let kill = |_| {
        let sample = sampler.next(Timestamp::now());
        let mut kill = Kill::new(sample.package_json().into(), "zkillboard", Timestamp::now(), true);
        kill.mail = Some(Arc::new(wire::decode(&kill.raw).expect("a kill")));
        kill.refresh = true;
        kill
    };
    let kills: Vec<Kill> = (0..count).map(kill).collect();
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await.expect("stored");
    (store, kills)
}

fn with_janice(store: &Arc<dyn Store>, janice: &Service) -> Completion {
    let janice = Janice { url: janice.url.clone(), key: "key".into(), ..Janice::default() };
    let config = price::Config {
        max_wait: Span::from_secs(5),
        janice,
        mutamarket: crate::appraisal::Mutamarket { url: String::new(), ..Default::default() },
        esi: String::new(),
        ..price::Config::default()
    };
    let resources = Resources::new(store.clone());
    let appraiser = Some(config.appraiser(&resources));
    Completion {
        store: store.clone(),
        shelf: resources.statics.clone(),
        esi: None,
        tag: None,
        appraiser,
        matcher: None,
        surveillance: Arc::default(),
        desk: Arc::default(),
    }
}

#[tokio::test]
async fn kills_priced_in_an_outage_stay_due_through_it_and_are_all_done_after_it_with_few_calls() {
    let (store, kills) = marked(1_400).await;
    let janice = service("500 Internal Server Error", "{}".into()).await;
    let completion = with_janice(&store, &janice);
    let mut now = Timestamp::now();
    // From the failure on time stands still: it is soon thought of to be back.
    let failed = async {
        while *janice.asked.lock().expect("no panic") == 0 {
            tokio::task::yield_now().await;
        }
        Still::new()
    };
    let (looked, still) = tokio::join!(look(&completion, AT_ONCE, now), failed);
    assert_eq!(looked, (1_000, 0, 1_000));
    let asked = *janice.asked.lock().expect("no panic");
    assert_eq!(look(&completion, AT_ONCE, now).await, (400, 0, 400));
    assert_eq!(*janice.asked.lock().expect("no panic"), asked, "nothing is attempted while it is known to be down");
    assert_eq!(queued(&*store).await, [0; 1_400]);

    drop(still);
    *janice.answer.lock().expect("no panic") = ("200 OK", price_list(&kills));
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let deadline = Instant::now() + Duration::from_secs(100);
    while !queued(&*store).await.is_empty() {
        assert!(Instant::now() < deadline);
        looks.tick().await;
        now += ASIDE;
        look(&completion, AT_ONCE, now).await;
    }
    let again = *janice.asked.lock().expect("no panic") - asked;
    assert!(again <= 4, "{again} calls");
    let events = store.events_after(0, &[], 2_000).await.expect("events");
    assert_eq!(events.len(), 1_400, "none is published a second time");
}

#[tokio::test]
async fn kills_that_wait_for_a_service_hold_up_nobody_and_have_their_turn_again() {
    let (store, kills) = marked(6).await;
    let known = |type_id| {
        let source = Source::Janice;
        Quote { type_id, source, market: crate::clients::janice::JITA, price: Cents(1), fetched_at: Timestamp::now() }
    };
    let quotes: Vec<Quote> = types(&kills[5..]).into_iter().map(known).collect();
    store.store_quotes(&quotes).await.expect("stored");
    let janice = service("500 Internal Server Error", "{}".into()).await;
    let completion = with_janice(&store, &janice);
    let now = Timestamp::now();
    assert_eq!(look(&completion, 2, now).await, (2, 0, 2));
    assert_eq!(look(&completion, 2, now).await, (2, 0, 2));
    assert_eq!(look(&completion, 2, now).await, (2, 1, 1), "the last of the queue lacks nothing that cannot be had");
    assert_eq!(look(&completion, 2, now).await, (0, 0, 0));
    assert_eq!(look(&completion, 9, now + ASIDE).await, (5, 0, 5));
    assert_eq!(queued(&*store).await, [0; 5], "none has been attempted");
}

#[tokio::test]
async fn who_brought_a_kill_and_when_stays_when_it_is_priced_again() {
    let (store, kills) = marked(1).await;
    let before = store.due_refreshes(Timestamp::now(), 1).await.expect("a queue").remove(0);
    assert_eq!(before.source, "zkillboard");
    let work = Work::new(before.clone());
    assert_eq!((work.kill.source, work.kill.received_at), ("zkillboard", before.received_at));
    let janice = service("200 OK", price_list(&kills)).await;
    assert_eq!(completed(&with_janice(&store, &janice)).await, 1);
}
