//! What every component must keep, as functions that panic with the rule that was broken.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use crate::batch::{Batch, Trigger};
use crate::message::{BatchKey, Message};
use crate::sink::Sink;
use crate::source::{Demand, Factory, Flow};
use crate::stage::Stage;

/// How long an interrupted pull may take to return.
const PULL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a finite source to its end with several demands: never more than was asked for, nothing twice within an incarnation, and an
/// interrupted pull returns. `id` names a record. Answers the ids in order.
///
/// # Panics
/// A rule is broken.
pub async fn source<T, I, F>(factory: &F, id: impl Fn(&T) -> I) -> Vec<I>
where
    T: Send,
    I: Hash + Eq + Clone + std::fmt::Debug,
    F: Factory<T> + ?Sized,
{
    let mut source = factory.build(0).await.expect("the source builds");
    let mut ids = Vec::new();
    for room in [1, 2, 7, 100].into_iter().cycle() {
        let mut demand = Demand::of(room);
        let pulled = tokio::time::timeout(PULL_TIMEOUT, source.pull(&mut demand)).await;
        let flow = pulled.expect("a finite source does not wait for ever").expect("a pull does not fail");
        let messages = demand.into_messages();
        assert!(messages.len() <= room, "{} messages for a demand of {room}", messages.len());
        ids.extend(messages.iter().map(|message| id(&message.payload)));
        if flow == Flow::Finished {
            break;
        }
    }
    source.close().await;
    let mut seen = HashSet::new();
    for id in &ids {
        assert!(seen.insert(id), "{id:?} was handed out twice");
    }
    ids
}

/// An endless source returns from a pull that is interrupted, with at most what was asked for.
///
/// # Panics
/// It does not, within ten seconds.
pub async fn source_is_interruptible<T: Send, F: Factory<T> + ?Sized>(factory: &F) {
    let mut source = factory.build(0).await.expect("the source builds");
    let interrupt = tokio_util::sync::CancellationToken::new();
    interrupt.cancel();
    let mut demand = Demand::new(10, interrupt.into());
    let pulled = tokio::time::timeout(PULL_TIMEOUT, source.pull(&mut demand)).await;
    let _ = pulled.expect("an interrupted pull returns");
    assert!(demand.into_messages().len() <= 10, "more messages than were asked for");
    source.close().await;
}

/// A stage decides each message alone: grouped or one by one, the same comes out. `look` reads what to compare.
///
/// # Panics
/// Grouping changes the result, or a message is missing.
pub async fn stage<T, O, S>(stage: &S, payloads: impl Fn() -> Vec<T>, look: impl Fn(&Message<T>) -> O)
where
    T: Send,
    O: PartialEq + std::fmt::Debug,
    S: Stage<T> + ?Sized,
{
    let mut together: Vec<Message<T>> = payloads().into_iter().map(Message::new).collect();
    stage.process(&mut together).await;
    let mut alone: Vec<Message<T>> = payloads().into_iter().map(Message::new).collect();
    for message in &mut alone {
        stage.process(std::slice::from_mut(message)).await;
    }
    assert_eq!(together.len(), alone.len());
    for (grouped, single) in together.iter().zip(&alone) {
        assert_eq!(look(grouped), look(single), "a message fares differently in a group");
        assert_eq!(grouped.status(), single.status(), "a message fares differently in a group");
    }
}

/// A sink takes the same batch twice (a redelivery) without failing, and leaves each message either as it was or settled.
///
/// # Panics
/// It refuses the second delivery.
pub async fn sink<T: Send, S: Sink<T> + ?Sized>(sink: &S, payloads: impl Fn() -> Vec<T>) {
    for delivery in ["first", "second"] {
        let mut messages: Vec<Message<T>> = payloads().into_iter().map(Message::new).collect();
        let head = Batch {
            batcher: "contract".into(),
            key: BatchKey::default(),
            partition: None,
            size: messages.len(),
            trigger: Trigger::Size,
        };
        if let Err(failure) = sink.deliver(&head, &mut messages).await {
            panic!("the {delivery} delivery failed: {failure}");
        }
        let failed = messages.iter().find(|m| m.failure().is_some());
        assert!(
            failed.is_none(),
            "the {delivery} delivery failed a message: {failed:?}",
            failed = failed.map(|m| m.failure())
        );
    }
    sink.close().await;
}
