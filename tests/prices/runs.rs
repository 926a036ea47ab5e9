//! Runs from start to end: whole ones, paused ones, interrupted ones.

use std::sync::Arc;

use broadside::killmail::TypeId;
use broadside::market::Cents;
use broadside::price::Source;
use broadside::price::job::{Action, Illegal, State};
use broadside::price_job::{self, Refusal};
use broadside::store::{self, Jobs, Options, Store};

use crate::world::{BULK, World, everything, until};

#[tokio::test]
async fn every_product_is_asked_for_once_in_order_in_full_requests() {
    let world = World::new().await;
    let worker = world.start();
    let begun = worker.act(Action::Start).await.unwrap();
    assert!(["processing", "completed"].contains(&begun.state), "{begun:?}");
    let status = worker.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
    let asked = world.janice.asked();
    assert_eq!(asked.iter().map(|asked| asked.types.len()).collect::<Vec<_>>(), [10, 10, 10, 10, 5, 10, 10, 10, 10, 5]);
    assert!(asked.iter().all(|asked| asked.key == "key"));
    // 113 is unknown, 117 not traded.
    let figures = |market: usize| {
        let market = status.markets[market];
        (market.market_id, market.total, market.completed, market.successful, market.failed, market.eta_minutes)
    };
    assert_eq!([figures(0), figures(1)], [(2, 45, 45, 43, 2, Some(0.0)), (115, 45, 45, 43, 2, Some(0.0))]);
    assert_eq!((status.overall_progress, status.analytics.failed, status.current_market), (1.0, 4, None));
    assert!(status.analytics.average_milliseconds.is_some_and(|average| average > 0.0));
    let quotes = world.store.quotes();
    assert_eq!(quotes.len(), 86);
    assert!(quotes.iter().all(|q| q.source == Source::Janice && q.price == Cents(q.type_id.get() * 100)), "{quotes:?}");
    let look = worker.resources.quotes.look();
    assert!(look.side(Source::Janice, 115).unwrap().contains_key(&TypeId::new(144).unwrap()), "the stages know it");
}

#[tokio::test]
async fn a_second_run_begins_anew() {
    let world = World::new().await;
    let worker = world.start();
    for run in 1..=2 {
        worker.act(Action::Start).await.unwrap();
        worker.rests("completed").await;
        assert_eq!(world.janice.fetched().len(), 90 * run);
    }
    assert_eq!(world.store.job().epoch, 2);
}

#[tokio::test]
async fn a_pause_lets_the_request_under_way_end_and_a_resumption_asks_for_nothing_twice() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(2);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(3).await;
    let paused = worker.act(Action::Pause).await.unwrap();
    assert_eq!(paused.state, "paused");
    assert_eq!(worker.act(Action::Pause).await, Err(Illegal { state: State::Paused, action: Action::Pause }.into()));
    world.janice.answer_only(usize::MAX);
    until("the third answer is counted", async || world.store.job().markets[0].completed() == 3 * BULK as u64).await;
    assert_eq!(worker.status().await.state, "paused");
    assert_eq!(world.janice.asked().len(), 3);
    worker.act(Action::Resume).await.unwrap();
    worker.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
}

#[tokio::test]
async fn a_run_goes_on_that_is_resumed_before_it_has_come_to_rest() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(0);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(1).await;
    worker.act(Action::Pause).await.unwrap();
    assert_eq!(worker.act(Action::Resume).await.unwrap().state, "processing");
    world.janice.answer_only(usize::MAX);
    worker.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
}

#[tokio::test]
async fn a_stopped_run_keeps_its_figures_until_the_next_start_and_a_reset_forgets_them() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(2);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(3).await;
    until("two answers are counted", async || world.store.job().markets[0].completed() == 2 * BULK as u64).await;
    assert_eq!(worker.act(Action::Stop).await.unwrap().state, "idle");
    world.janice.answer_only(usize::MAX);
    let stopped = worker.rests("idle").await;
    assert_eq!(stopped.markets[0].completed, 2 * BULK as u64);
    assert_eq!(worker.act(Action::Reset).await.unwrap().markets, []);
    worker.act(Action::Start).await.unwrap();
    let status = worker.rests("completed").await;
    assert_eq!(status.analytics.completed, 90);
}

#[tokio::test]
async fn a_pause_from_another_process_is_obeyed_and_that_process_may_go_on() {
    let world = World::new().await;
    let (one, other) = (world.start(), world.start());
    world.janice.answer_only(1);
    one.act(Action::Start).await.unwrap();
    world.janice.heard(2).await;
    assert_eq!(other.status().await.state, "processing");
    let refused = other.act(Action::Start).await.unwrap_err();
    assert_eq!(refused, Illegal { state: State::Processing, action: Action::Start }.into());
    assert_eq!(other.act(Action::Pause).await.unwrap().state, "paused");
    until("it is obeyed", async || one.status().await.state == "paused").await;
    world.janice.answer_only(usize::MAX);
    until("the first lets go", async || !matches!(other.act(Action::Resume).await, Err(Refusal::Elsewhere))).await;
    other.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
    assert_eq!(one.status().await.analytics.completed, 90);
}

#[tokio::test]
async fn of_two_that_start_at_once_one_runs() {
    let world = World::new().await;
    let (one, other) = (world.start(), world.start());
    world.janice.answer_only(0);
    let (first, second) = tokio::join!(one.act(Action::Start), other.act(Action::Start));
    assert_eq!([&first, &second].into_iter().filter(|acted| acted.is_ok()).count(), 1, "{first:?} {second:?}");
    world.janice.answer_only(usize::MAX);
    one.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
}

#[tokio::test]
async fn a_worker_that_is_drained_leaves_the_job_paused_and_the_next_may_go_on_by_itself() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(2);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(3).await;
    let (stopped, ()) = tokio::join!(worker.stop(), async { world.janice.answer_only(usize::MAX) });
    let () = stopped;
    let job = world.store.job();
    assert_eq!((job.state, job.reason.as_deref()), (State::Paused, Some("the worker that was at it was stopped")));
    assert!(job.markets[0].completed() >= 3 * BULK as u64, "{job:?}");
    let next = world.start_with("markets = [2, 115]\nresume = true\n");
    next.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
}

#[tokio::test]
async fn a_worker_that_was_killed_is_found_and_another_goes_on_where_it_was() {
    let world = World::new().await;
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let worker = {
        let _inside = process.enter();
        world.start()
    };
    world.janice.answer_only(2);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(3).await;
    until("two answers are counted", async || world.store.job().markets[0].completed() == 2 * BULK as u64).await;
    process.shutdown_background();
    let other = world.start();
    until("it is found", async || other.status().await.state == "paused").await;
    let found = other.status().await;
    assert_eq!(found.reason.as_deref(), Some("the worker that was at it is gone"));
    world.janice.answer_only(usize::MAX);
    other.act(Action::Resume).await.unwrap();
    other.rests("completed").await;
    let mut fetched = world.janice.fetched();
    // What was under way.
    let again = fetched.drain(2 * BULK..3 * BULK).collect::<Vec<_>>();
    assert_eq!((again.len(), fetched), (BULK, everything()));
}

#[tokio::test]
async fn a_job_that_was_killed_while_it_made_its_lists_begins_with_the_first_product() {
    let world = World::new().await;
    let job = price_job::look(&*world.store).await.unwrap();
    let begun = broadside::price::job::Move::of(&job, State::Initializing, jiff::Timestamp::now()).taking_over();
    assert!(world.store.move_price_job(&begun).await.unwrap());
    let worker = world.start();
    until("it is found", async || worker.status().await.state == "paused").await;
    worker.act(Action::Resume).await.unwrap();
    worker.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
}

#[tokio::test]
async fn several_requests_at_once_fetch_everything_once_too() {
    let world = World::new().await;
    let file = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", file.path().join("b.db").display());
    let store: Arc<dyn Store> = store::connect(&url, &Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let worker = world.start_on(store.clone(), "markets = [2, 115]", "key");
    worker.resources.price_job.set_width(broadside::price_job::Width { bulk: BULK, requests: 3 });
    worker.act(Action::Start).await.unwrap();
    worker.rests("completed").await;
    let mut fetched = world.janice.fetched();
    fetched.sort_unstable();
    assert_eq!(fetched, everything());
    worker.stop().await;
    store.close().await;
}
