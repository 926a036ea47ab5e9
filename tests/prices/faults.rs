//! A Janice that fails, a store that is away, things that are missing.

use broadside::price::job::Action;
use broadside::price_job::Refusal;

use crate::world::{BULK, World, everything, until};

#[tokio::test]
async fn a_refused_key_ends_the_run_with_its_reason_and_another_may_be_started() {
    let world = World::new().await;
    world.janice.fail(&[(200, ""), (401, "")]);
    let worker = world.start();
    worker.act(Action::Start).await.unwrap();
    let broken = worker.rests("error").await;
    assert!(broken.reason.unwrap().contains("refuses the key (HTTP status 401)"));
    assert_eq!(
        (broken.analytics.completed, broken.analytics.failed),
        (BULK as u64, 0),
        "what was not asked has not failed"
    );
    assert_eq!(worker.act(Action::Start).await.unwrap().analytics.completed, 0);
}

#[tokio::test]
async fn without_a_key_or_without_types_a_start_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let keyless = world.start_on(world.store.clone(), "markets = [2]", "");
    let refused = keyless.act(Action::Start).await.unwrap_err();
    assert_eq!(refused, Refusal::Refused("Janice wants a key: set JANICE_API_KEY".to_owned()));
    assert_eq!(world.store.job(), Default::default());
    assert_eq!(keyless.act(Action::Reset).await.unwrap().state, "idle", "the others work");
}

#[tokio::test]
async fn a_pause_that_janice_asks_for_is_waited_for_and_fails_nothing() {
    let world = World::new().await;
    world.janice.fail(&[(200, ""), (429, "retry-after: 1\r\n")]);
    let worker = world.start();
    worker.act(Action::Start).await.unwrap();
    let status = worker.rests("completed").await;
    assert_eq!((world.janice.fetched(), status.analytics.failed), (everything(), 4));
    assert_eq!(world.janice.asked().len(), 11);
}

#[tokio::test]
async fn a_pause_of_the_job_is_taken_also_while_janice_rests() {
    let world = World::new().await;
    world.janice.fail(&[(429, "retry-after: 3600\r\n")]);
    let worker = world.start();
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(1).await;
    worker.act(Action::Pause).await.unwrap();
    worker.stop().await;
    assert_eq!(world.janice.asked().len(), 1);
}

#[tokio::test]
async fn a_request_that_fails_is_repeated_and_one_that_is_refused_fails_its_products_alone() {
    let world = World::new().await;
    world.janice.fail(&[(500, ""), (200, ""), (400, "")]);
    let worker = world.start();
    worker.act(Action::Start).await.unwrap();
    let status = worker.rests("completed").await;
    // The second ten, with the two that are never priced; and the two of the other market.
    assert_eq!((status.analytics.completed, status.analytics.failed), (90, 12));
    assert_eq!(world.janice.asked().len(), 11);
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_lost_and_then_it_goes_on() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(1);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(2).await;
    world.store.set_away(true);
    world.janice.answer_only(usize::MAX);
    until("the store is missed", async || worker.resources.store.health().trouble().is_some()).await;
    assert_eq!(worker.status().await.state, "processing");
    assert!(world.janice.asked().len() <= 4, "it holds: {}", world.janice.asked().len());
    world.store.set_away(false);
    worker.rests("completed").await;
    assert_eq!(world.janice.fetched(), everything());
    assert_eq!(world.store.quotes().len(), 86);
}

#[tokio::test]
async fn a_run_whose_job_somebody_else_has_taken_on_writes_nothing_any_more() {
    let world = World::new().await;
    let worker = world.start();
    world.janice.answer_only(1);
    worker.act(Action::Start).await.unwrap();
    world.janice.heard(2).await;
    let mut taken = world.store.job();
    taken.epoch += 1;
    taken.markets.clear();
    world.store.set_job(taken);
    world.janice.answer_only(usize::MAX);
    until("it lets go", async || worker.status().await.reason.is_some()).await;
    assert_eq!(world.store.job().markets, []);
    assert_eq!(worker.act(Action::Reset).await.unwrap().state, "idle", "nobody is at it");
}
