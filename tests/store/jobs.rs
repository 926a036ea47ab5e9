//! What every store promises of the price cache job.

use broadside::price::job::{Job, Market, Move, State};
use broadside::store::To;
use jiff::Timestamp;

use crate::contract::{Look, Shared};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn market() -> Market {
    Market { successful: 7, failed: 2, position: Some(41), seconds: 1.25, ..Market::new(2, 30) }
}

pub(crate) async fn a_job_moves_only_from_where_it_was_seen(store: &Shared, look: &dyn Look) {
    let idle = store.price_job().await.unwrap();
    assert_eq!(idle, Job::default());
    let start = Move::of(&idle, State::Initializing, at(1)).taking_over().with_markets(vec![market()]);
    assert!(store.move_price_job(&start).await.unwrap());
    assert!(!store.move_price_job(&start).await.unwrap(), "it is not idle any more");
    let begun = store.price_job().await.unwrap();
    assert_eq!(Some(&begun), start.applied(&idle).as_ref(), "as in memory");
    assert_eq!((begun.started_at, begun.epoch, begun.markets.len()), (Some(at(1)), 1, 1));
    let stale = Move { epoch: 0, ..Move::of(&begun, State::Paused, at(2)) };
    assert!(!store.move_price_job(&stale).await.unwrap(), "another epoch");
    let pause = Move::of(&begun, State::Paused, at(3)).because("no more coffee");
    assert!(store.move_price_job(&pause).await.unwrap());
    let paused = store.price_job().await.unwrap();
    assert_eq!(Some(&paused), pause.applied(&begun).as_ref());
    assert_eq!((paused.started_at, paused.changed_at, paused.markets), (Some(at(1)), Some(at(3)), vec![market()]));
    assert_eq!(look.rows("SELECT job_id, state, epoch, reason FROM price_jobs").await, ["1|paused|1|no more coffee"]);
}

pub(crate) async fn progress_is_kept_of_the_present_epoch_alone(store: &Shared, _look: &dyn Look) {
    let idle = store.price_job().await.unwrap();
    assert!(store.move_price_job(&Move::of(&idle, State::Initializing, at(1)).taking_over()).await.unwrap());
    assert_eq!(store.save_price_progress(0, &[market()]).await.unwrap(), None);
    assert_eq!(store.price_job().await.unwrap().markets, []);
    assert_eq!(store.save_price_progress(1, &[market()]).await.unwrap(), Some(State::Initializing));
    assert_eq!(store.price_job().await.unwrap().markets, [market()]);
}

pub(crate) async fn who_works_on_the_job_is_alone_and_lookers_are_not(store: &Shared, _look: &dyn Look) {
    let work = store.claim_price_job(To::Work).await.unwrap();
    let mut held = work.expect("nobody has it");
    assert!(held.is_held().await);
    for to in [To::Work, To::Look] {
        assert!(store.claim_price_job(to).await.unwrap().is_none(), "{to:?}");
    }
    held.release().await;
    let one = store.claim_price_job(To::Look).await.unwrap().expect("nobody works");
    let other = store.claim_price_job(To::Look).await.unwrap().expect("nobody works");
    assert!(store.claim_price_job(To::Work).await.unwrap().is_none(), "somebody looks");
    one.release().await;
    assert!(store.claim_price_job(To::Work).await.unwrap().is_none(), "somebody still looks");
    other.release().await;
    assert!(store.claim_price_job(To::Work).await.unwrap().is_some());
}

pub(crate) async fn of_those_who_want_to_work_at_once_one_may(store: &Shared, _look: &dyn Look) {
    let all = (0..8).map(|_| store.claim_price_job(To::Work));
    let claims = futures::future::join_all(all).await;
    assert_eq!(claims.into_iter().filter(|claim| claim.as_ref().unwrap().is_some()).count(), 1);
}
