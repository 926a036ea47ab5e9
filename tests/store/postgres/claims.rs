//! The claim on the price job: a session of its own, and it ends with it.

use broadside::store::To;

use super::open;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_session_is_gone_is_lost_and_somebody_else_may_have_it() {
    let open = open().await;
    let mut claim = open.store.claim_price_job(To::Work).await.unwrap().expect("nobody has it");
    open.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await;
    assert!(!claim.is_held().await);
    assert!(!claim.is_held().await, "for good");
    let other = open.another().await;
    assert!(other.claim_price_job(To::Work).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_dropped_is_free_soon() {
    let open = open().await;
    drop(open.store.claim_price_job(To::Work).await.unwrap().expect("nobody has it"));
    // The server sees the end of the session when it sees it.
    let other = open.another().await;
    while other.claim_price_job(To::Work).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}
