//! Batchers that follow each other: only what one sink has committed goes on to the next.

use broadside_engine::topology::Batcher;
use broadside_engine::{Components, Delivered, Failure, Message, Outcome, Topology};

use crate::kit::*;

fn chained() -> Topology {
    topology().batcher(out(4)).batcher(Batcher { after: Some("out".into()), ..Batcher::new("next") })
}

#[tokio::test(start_paused = true)]
async fn only_committed_messages_go_on() {
    let (pusher, source) = source();
    let ((first, mut in_first), (second, mut in_second)) = (step(), step());
    let first = first.all(|messages| {
        for message in messages.iter_mut() {
            match message.payload {
                0 => message.fail(Failure::permanent("refused")),
                1 => message.filter(),
                2 => message.finish(),
                _ => {}
            }
        }
        if messages.iter().any(|m| m.payload == 7) { Err(Failure::permanent("all of it")) } else { Ok(()) }
    });
    push(&pusher, 0..8).await;
    pusher.finish();
    let components = Components::new(source).sink("out", first).sink("next", second);
    assert_eq!(outcomes(&ended(&start(chained(), components)).await), [2, 5, 0, 1, 0]);
    assert_eq!(in_first.payloads(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(in_second.payloads(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acknowledged_after_the_last_sink_alone() {
    let (pusher, source) = source();
    let gate = gate(0);
    let ((first, mut in_first), (second, mut in_second)) = (step(), step());
    let acks = Acks::new();
    let components =
        Components::new(source.with_acknowledger(acks.clone())).sink("out", first).sink("next", second.gate(&gate));
    let pipeline = start(chained(), components);
    push(&pusher, 0..4).await;
    in_first.next().await;
    in_second.next().await;
    settle_down().await;
    assert_eq!(acks.calls(), []);
    gate.add_permits(1);
    assert_eq!(drained(&pipeline).await.ledger.settled_total(), 4);
    assert_eq!(acks.settled().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_already_has_a_message_is_passed_over() {
    let (pusher, source) = source();
    let ((first, mut in_first), (second, mut in_second)) = (step(), step());
    let acks = Acks::new();
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", first).sink("next", second);
    let delivered = Delivered::default();
    pusher.push(Message::new(0)).await;
    pusher.push(Message::new(1).with_delivered(delivered.with(0))).await;
    pusher.push(Message::new(2).with_delivered(delivered.with(1))).await;
    pusher.push(Message::new(3).with_delivered(delivered.with(0).with(1))).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(chained(), components)).await), [4, 0, 0, 0, 0]);
    assert_eq!(in_first.payloads(), [0, 2]);
    assert_eq!(in_second.payloads(), [0, 1]);
    assert!(acks.settled().iter().all(|(_, outcome)| *outcome == Outcome::Successful));
}

#[tokio::test(start_paused = true)]
async fn messages_passed_over_keep_their_place() {
    let (pusher, source) = source();
    let ((first, _in_first), (second, mut in_second)) = (step(), step());
    let components = Components::new(source).sink("out", first).sink("next", second);
    for payload in 0..4 {
        let delivered = if payload < 2 { Delivered::default().with(0) } else { Delivered::default() };
        pusher.push(Message::new(payload).with_delivered(delivered)).await;
    }
    pusher.finish();
    ended(&start(chained(), components)).await;
    assert_eq!(in_second.payloads(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_tells_which_sinks_have_it() {
    let (pusher, source) = source();
    let ((first, _), (second, _)) = (step(), step());
    let (told, asked) = std::sync::mpsc::channel();
    let handler = Handler(move |messages: &mut [Record]| told.send(messages[0].delivered()).unwrap());
    let components = Components::new(source)
        .sink("out", first)
        .sink("next", second.all(|_| Err(Failure::permanent("down"))))
        .failure_handler(handler);
    push(&pusher, [0]).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(chained(), components)).await), [0, 1, 0, 0, 0]);
    let delivered = asked.recv().unwrap();
    assert!(delivered.contains(0) && !delivered.contains(1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_sees_a_chain_through_to_its_end() {
    let (pusher, source) = source();
    let ((first, _), (second, mut in_second)) = (step(), step());
    let first = first.delay(|_| millis(500));
    let second = second.delay(|_| millis(500));
    let components = Components::new(source).sink("out", first).sink("next", second);
    let pipeline = start(chained(), components);
    push(&pusher, 0..6).await;
    settle_down().await;
    assert_eq!(outcomes(&drained(&pipeline).await), [6, 0, 0, 0, 0]);
    assert_eq!(in_second.payloads(), [0, 1, 2, 3, 4, 5]);
}
