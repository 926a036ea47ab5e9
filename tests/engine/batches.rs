//! Batches: by size, timeout, key, flush, bytes, capacity, eagerly, at the drain. Rule A4.

use broadside_engine::testing::Pusher;
use broadside_engine::topology::Batcher;
use broadside_engine::{BatchKey, BatchMode, Components, Message, Pipeline, Trigger, stage};

use crate::kit::*;

fn batching(batcher: Batcher) -> (Pipeline, Pusher<u32>, Log) {
    let (pusher, source) = source();
    let (sink, delivered) = step();
    let pipeline = start(topology().batcher(batcher), Components::new(source).sink("out", sink));
    (pipeline, pusher, delivered)
}

async fn push_keyed(pusher: &Pusher<u32>, messages: impl IntoIterator<Item = (u32, u64)>) {
    for (payload, key) in messages {
        let mut message = Message::new(payload);
        message.put_batch_key(BatchKey(key));
        pusher.push(message).await;
    }
}

fn summary(seen: &Seen) -> (Trigger, Vec<u32>) {
    (seen.batch().trigger, seen.payloads.clone())
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_it_is_full_and_its_messages_keep_their_order() {
    let (pipeline, pusher, mut delivered) = batching(out(3));
    push(&pusher, 0..7).await;
    assert_eq!(summary(&delivered.next().await), (Trigger::Size, vec![0, 1, 2]));
    let second = delivered.next().await;
    assert_eq!(summary(&second), (Trigger::Size, vec![3, 4, 5]));
    assert_eq!((&*second.batch().batcher, second.batch().size, second.batch().partition), ("out", 3, None));
    drained(&pipeline).await;
    assert_eq!(summary(&delivered.next().await), (Trigger::Drain, vec![6]));
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_at_the_timeout_counted_from_its_first_message() {
    let (_pipeline, pusher, mut delivered) = batching(Batcher { batch_timeout: millis(200), ..out(100) });
    push(&pusher, [0]).await;
    settle_down().await;
    let opened = tokio::time::Instant::now();
    pass(millis(150)).await;
    push(&pusher, [1]).await;
    let batch = delivered.next().await;
    assert_eq!(summary(&batch), (Trigger::Timeout, vec![0, 1]));
    let age = batch.at - opened;
    assert!(age <= millis(201) && age >= millis(199), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_does_not_carry_over_to_the_batch_after_a_full_one() {
    let (_pipeline, pusher, mut delivered) = batching(Batcher { batch_timeout: millis(200), ..out(2) });
    push(&pusher, [0]).await;
    pass(millis(150)).await;
    push(&pusher, [1, 2]).await;
    let full = delivered.next().await;
    assert_eq!(summary(&full), (Trigger::Size, vec![0, 1]));
    let late = delivered.next().await;
    assert_eq!(summary(&late), (Trigger::Timeout, vec![2]));
    assert!(late.at - full.at >= millis(199), "{:?}", late.at - full.at);
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_messages_of_one_key() {
    let (pipeline, pusher, mut delivered) = batching(out(2));
    push_keyed(&pusher, [(0, 1), (1, 2), (2, 1), (3, 2), (4, 3)]).await;
    settle_down().await;
    drained(&pipeline).await;
    let batches: Vec<_> = delivered.rest().iter().map(|seen| (seen.batch().key.0, seen.payloads.clone())).collect();
    assert_eq!(batches, [(1, vec![0, 2]), (2, vec![1, 3]), (3, vec![4])]);
}

#[tokio::test(start_paused = true)]
async fn flush_sends_the_batch_at_the_end_of_the_delivery_and_not_alone() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let flush = stage::each(|m: &mut Record| {
        if m.payload == 1 {
            m.put_batch_mode(BatchMode::Flush)
        }
    });
    let components = Components::new(source).stage("step", flush).sink("out", sink);
    push(&pusher, 0..4).await;
    let _pipeline = start(stepping().batcher(out(100)), components);
    assert_eq!(summary(&delivered.next().await), (Trigger::Flush, vec![0, 1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_of_trigger_size_even_with_a_message_in_flush_mode() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let flush = stage::each(|m: &mut Record| m.put_batch_mode(BatchMode::Flush));
    let components = Components::new(source).stage("step", flush).sink("out", sink);
    push(&pusher, 0..5).await;
    let _pipeline = start(stepping().batcher(out(3)), components);
    assert_eq!(summary(&delivered.next().await), (Trigger::Size, vec![0, 1, 2]));
    assert_eq!(summary(&delivered.next().await), (Trigger::Flush, vec![3, 4]));
}

#[tokio::test(start_paused = true)]
async fn an_eager_batch_leaves_at_once_when_a_sink_worker_is_idle() {
    let (_pipeline, pusher, mut delivered) = batching(Batcher { eager: true, ..out(100) });
    let started = tokio::time::Instant::now();
    push(&pusher, [0]).await;
    let batch = delivered.next().await;
    assert_eq!(summary(&batch), (Trigger::Eager, vec![0]));
    assert_eq!(batch.at, started);
}

#[tokio::test(start_paused = true)]
async fn an_eager_batch_grows_while_every_sink_worker_is_busy_up_to_the_batch_size() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let batcher = Batcher { eager: true, concurrency: 2, ..out(5) };
    let pipeline = start(topology().batcher(batcher), Components::new(source).sink("out", sink.gate(&gate)));
    for payload in 0..9 {
        push(&pusher, [payload]).await;
        settle_down().await;
    }
    // two in the workers' hands; the others wait in one full batch and one that grows
    assert_eq!(delivered.payloads(), [0, 1]);
    gate.add_permits(100);
    assert_eq!(summary(&delivered.next().await), (Trigger::Size, vec![2, 3, 4, 5, 6]));
    assert_eq!(summary(&delivered.next().await), (Trigger::Eager, vec![7, 8]));
    drained(&pipeline).await;
}

#[tokio::test(start_paused = true)]
async fn batch_bytes_is_a_ceiling_that_only_a_single_larger_message_breaks() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let batcher = Batcher { batch_bytes: Some(10), ..out(100) };
    let components = Components::new(source).sink("out", sink).size_of(|payload| *payload as usize);
    push(&pusher, [6, 4, 1, 99, 2, 3]).await;
    let pipeline = start(topology().batcher(batcher), components);
    settle_down().await;
    drained(&pipeline).await;
    let batches: Vec<_> = delivered.rest().iter().map(summary).collect();
    let bytes = Trigger::Bytes;
    assert_eq!(batches, [(bytes, vec![6, 4]), (bytes, vec![1]), (bytes, vec![99]), (Trigger::Drain, vec![2, 3])]);
}

#[tokio::test(start_paused = true)]
async fn many_keys_do_not_hold_more_than_the_capacity_until_the_timeout() {
    let (pipeline, pusher, mut delivered) = batching(Batcher { capacity: 20, ..out(10) });
    let started = tokio::time::Instant::now();
    push_keyed(&pusher, (0..100).map(|n| (n, u64::from(n)))).await;
    let first = delivered.next().await;
    assert_eq!((first.batch().trigger, first.at), (Trigger::Capacity, started));
    settle_down().await;
    assert!(pipeline.status().groups[2].queue_depth <= 40, "{:?}", pipeline.status().groups[2]);
    assert_eq!(drained(&pipeline).await.ledger.settled_total(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_batcher_holds_its_capacity_twice_and_no_more() {
    let (pusher, source) = source();
    let gate = gate(0);
    let (sink, mut delivered) = step();
    let batcher = Batcher { capacity: 10, ..out(7) };
    let pipeline = start(topology().batcher(batcher), Components::new(source).sink("out", sink.gate(&gate)));
    push(&pusher, 0..200).await;
    delivered.next().await;
    settle_down().await;
    let group = &pipeline.status().groups[2];
    assert!(group.queue_depth <= group.queue_capacity, "{group:?}");
    assert_eq!(group.queue_capacity, 20);
    gate.add_permits(1000);
    pusher.finish();
    assert_eq!(ended(&pipeline).await.ledger.received, 200);
}

#[tokio::test(start_paused = true)]
async fn failed_messages_never_reach_a_batcher() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let fail = stage::each(|m: &mut Record| {
        if m.payload % 2 == 1 {
            m.fail(broadside_engine::Failure::invalid("odd"));
        }
    });
    let components = Components::new(source).stage("step", fail).sink("out", sink);
    push(&pusher, 0..8).await;
    let _pipeline = start(stepping().batcher(out(4)), components);
    assert_eq!(summary(&delivered.next().await), (Trigger::Size, vec![0, 2, 4, 6]));
}
