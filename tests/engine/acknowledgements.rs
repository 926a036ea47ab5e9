//! Acknowledgements: once for each message, grouped by acknowledger and reference, in order. Rule A5.

use std::sync::Arc;

use broadside_engine::testing::{Caller, test_batch, test_message};
use broadside_engine::topology::Batcher;
use broadside_engine::{BatchMode, Components, Failure, Message, Outcome, stage};

use crate::kit::*;

const OK: Outcome = Outcome::Successful;

#[tokio::test(start_paused = true)]
async fn a_group_is_acknowledged_with_one_call_for_each_reference_in_order() {
    let (pusher, source) = source();
    let acks = Acks::new();
    for (payload, reference) in [(0, 7), (1, 3), (2, 7), (3, 3), (4, 9)] {
        pusher.push(Message::new(payload).with_position(reference, 0)).await;
    }
    pusher.finish();
    ended(&start(topology(), Components::new(source.with_acknowledger(acks.clone())))).await;
    let call = |reference, settled: &[u32]| Ack { reference, settled: settled.iter().map(|p| (*p, OK)).collect() };
    assert_eq!(acks.calls(), [call(7, &[0, 2]), call(3, &[1, 3]), call(9, &[4])]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_call_and_successes_and_failures_each_keep_their_order() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let (sink, _) = step();
    let sink = sink.each(|m| {
        if m.payload % 3 == 1 {
            m.fail(Failure::permanent("refused"))
        }
    });
    push(&pusher, 0..9).await;
    pusher.finish();
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", sink);
    ended(&start(topology().batcher(out(9)), components)).await;
    let calls = acks.calls();
    assert_eq!(calls.len(), 1);
    let (ok, failed): (Vec<_>, Vec<_>) = calls[0].settled.iter().partition(|(_, outcome)| *outcome == OK);
    assert_eq!(ok.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [0, 2, 3, 5, 6, 8]);
    assert_eq!(failed.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [1, 4, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_message_may_have_an_acknowledger_of_its_own() {
    let (pusher, source) = source();
    let (of_pipeline, own) = (Acks::new(), Acks::new());
    for payload in 0..4 {
        let message = Message::new(payload);
        let message = if payload % 2 == 0 { message.with_acknowledger(own.clone()) } else { message };
        pusher.push(message).await;
    }
    pusher.finish();
    ended(&start(topology(), Components::new(source.with_acknowledger(of_pipeline.clone())))).await;
    assert_eq!(own.calls(), [Ack { reference: 0, settled: vec![(0, OK), (2, OK)] }]);
    assert_eq!(of_pipeline.calls(), [Ack { reference: 0, settled: vec![(1, OK), (3, OK)] }]);
}

#[tokio::test(start_paused = true)]
async fn acknowledge_now_acknowledges_at_the_end_of_the_call_and_never_again() {
    let (pusher, source) = source();
    let gate = gate(0);
    let acks = Acks::new();
    let ((sink, _), early) = (
        step(),
        stage::each(|m: &mut Record| {
            if m.payload < 2 {
                m.acknowledge_now()
            }
        }),
    );
    let components = Components::new(source.with_acknowledger(acks.clone()))
        .stage("step", early)
        .sink("out", sink.gate(&gate).each(Message::acknowledge_now));
    let pipeline = start(stepping().batcher(out(4)), components);
    push(&pusher, 0..4).await;
    settle_down().await;
    assert_eq!(acks.settled(), [(0, OK), (1, OK)]);
    assert_eq!(pipeline.status().ledger.in_flight, 4, "acknowledged, and not yet settled");
    gate.add_permits(1);
    drained(&pipeline).await;
    let mut all = acks.settled();
    all.sort();
    assert_eq!(all, [(0, OK), (1, OK), (2, OK), (3, OK)]);
}

#[tokio::test(start_paused = true)]
async fn acknowledge_now_tells_the_status_of_that_moment_with_its_place() {
    let (pusher, source) = source();
    let (caller, mut calls) = Caller::new(8);
    let fail = stage::each(|m: &mut Record| {
        m.fail(Failure::invalid("bad"));
        m.acknowledge_now();
    });
    let rescue = Handler(|messages: &mut [Record]| messages.iter_mut().for_each(Record::rescue));
    let components = Components::new(source.with_acknowledger(caller)).stage("step", fail).failure_handler(rescue);
    push(&pusher, [5]).await;
    pusher.finish();
    let report = ended(&start(stepping(), components)).await;
    assert_eq!(outcomes(&report), [1, 0, 0, 0, 0]);
    let call = calls.recv().await.unwrap();
    assert_eq!((call.len(), call[0].outcome), (1, Outcome::Failed));
    assert_eq!(call[0].failure.as_ref().unwrap().stage.as_deref(), Some("step"));
    assert!(calls.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_before_its_sink_has_it() {
    let (pusher, source) = source();
    let gate = gate(0);
    let acks = Acks::new();
    let (sink, mut delivered) = step();
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", sink.gate(&gate));
    let pipeline = start(topology().batcher(out(2)), components);
    push(&pusher, 0..2).await;
    delivered.next().await;
    settle_down().await;
    assert_eq!(acks.calls(), []);
    gate.add_permits(1);
    drained(&pipeline).await;
    assert_eq!(acks.settled().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn test_messages_flush_and_test_batches_tell_their_outcomes_in_order() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let fail = stage::each(|m: &mut Record| {
        if m.payload == 3 {
            m.fail(Failure::invalid("three"))
        }
    });
    let components = Components::new(source).stage("step", fail).sink("out", sink);
    let pipeline = start(stepping().batcher(Batcher { batch_timeout: millis(300), ..out(100) }), components);
    let before = tokio::time::Instant::now();
    let settled = soon(test_message(&pusher, 1)).await;
    assert_eq!((settled.payload, settled.outcome, before.elapsed()), (1, OK, millis(0)));
    let settled = soon(test_batch(&pusher, vec![2, 3, 4], BatchMode::Bulk)).await;
    let outcomes: Vec<_> = settled.iter().map(|s| (s.payload, s.outcome)).collect();
    assert_eq!(outcomes, [(3, Outcome::Failed), (2, OK), (4, OK)]);
    assert_eq!(before.elapsed().as_millis(), 300);
    assert_eq!(delivered.payloads(), [1, 2, 4]);
    drained(&pipeline).await;
}

/// Two acknowledgers in one group, of which the second never returns: what the first was told of is settled, whatever comes.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_not_counted_as_abandoned_when_another_acknowledger_hangs() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let (stuck, _calls) = Caller::new(1);
    for payload in 0..3 {
        pusher.push(Message::new(payload).with_position(u64::from(payload), 0)).await;
    }
    for payload in 3..6 {
        let message = Message::new(payload).with_position(u64::from(payload), 0);
        pusher.push(message.with_acknowledger(stuck.clone() as Arc<_>)).await;
    }
    let components = Components::new(source.with_acknowledger(acks.clone()));
    let pipeline = start(topology(), components);
    settle_down().await;
    let report = drained(&pipeline).await;
    assert!(report.deadline_passed);
    assert_eq!(acks.settled().len(), 3);
    // the three above, and the one that the stuck acknowledger took before it hung
    assert_eq!(outcomes(&report), [4, 0, 0, 0, 2]);
}
