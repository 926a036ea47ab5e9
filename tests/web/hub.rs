//! Word that kills were stored.

use broadside::hub::Hub;
use futures::FutureExt;

#[tokio::test]
async fn who_listens_hears_once_that_something_was_said_however_often_it_was() {
    let hub = Hub::default();
    hub.publish();
    let (mut one, mut other) = (hub.subscribe(), hub.subscribe());
    assert!(one.recv().now_or_never().is_none(), "what was said before is over");
    (0..3).for_each(|_| hub.publish());
    assert!(one.recv().now_or_never().is_some());
    assert!(one.recv().now_or_never().is_none());
    let waiting = tokio::spawn(async move { one.recv().await });
    tokio::task::yield_now().await;
    hub.publish();
    waiting.await.unwrap();
    other.recv().await;
    drop(hub);
    assert!(other.recv().now_or_never().is_none(), "it waits, and does not spin");
}
