//! A batch that fails for its data is halved until the bad messages stand alone.

use std::collections::BTreeSet;

use broadside_engine::{Class, Components, Failure};

use crate::kit::*;

/// Delivers one batch of `size` in which `bad` are bad; answers the deliveries.
async fn deliver(size: u32, bad: impl IntoIterator<Item = u32>) -> Vec<Vec<u32>> {
    let bad: BTreeSet<u32> = bad.into_iter().collect();
    let (pusher, source) = source();
    let acks = Acks::new();
    let (sink, mut delivered) = step();
    let (handler, failures) = failures();
    let is_bad = bad.clone();
    let sink = sink.all(move |messages| {
        let bad = messages.iter().find(|m| is_bad.contains(&m.payload));
        bad.map_or(Ok(()), |m| Err(Failure::invalid(format!("{} is bad", m.payload))))
    });
    let components = Components::new(source.with_acknowledger(acks.clone())).sink("out", sink).failure_handler(handler);
    push(&pusher, 0..size).await;
    pusher.finish();
    let report = ended(&start(topology().batcher(out(size as usize)), components)).await;
    let failed = bad.len() as u64;
    assert_eq!(outcomes(&report), [u64::from(size) - failed, failed, 0, 0, 0]);
    assert_eq!(acks.settled().len(), size as usize);
    let failures = failures.lock().unwrap();
    assert_eq!(failures.iter().map(|(m, _)| *m).collect::<BTreeSet<_>>(), bad);
    for (payload, failure) in failures.iter() {
        assert_eq!((failure.class, failure.error.clone()), (Class::Invalid, format!("{payload} is bad")));
        assert_eq!((failure.group.as_deref(), failure.stage.as_deref()), (Some("out"), Some("out")));
    }
    delivered.rest().into_iter().map(|seen| seen.payloads).collect()
}

#[tokio::test(start_paused = true)]
async fn bad_messages_fail_alone_and_the_others_are_delivered_once_in_order() {
    for bad in [vec![], vec![0], vec![99], vec![31, 32], vec![3, 17, 40, 77, 98]] {
        let deliveries = deliver(100, bad.clone()).await;
        let accepted: Vec<u32> = deliveries
            .iter()
            .filter(|batch| !batch.iter().any(|payload| bad.contains(payload)))
            .flatten()
            .copied()
            .collect();
        let expected: Vec<u32> = (0..100).filter(|payload| !bad.contains(payload)).collect();
        assert_eq!(accepted, expected);
        let most = 1.0 + bad.len() as f64 * (100_f64.log2() + 1.0) * 2.0;
        assert!(deliveries.len() as f64 <= most, "{} deliveries for {} bad ones", deliveries.len(), bad.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_but_bad_messages_ends_too() {
    assert_eq!(deliver(16, 0..16).await.len(), 31);
    assert_eq!(deliver(1, [0]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_of_other_classes_fail_the_batch_whole() {
    for class in [Class::Permanent, Class::Transient] {
        let (pusher, source) = source();
        let (sink, mut delivered) = step();
        let sink = sink.all(move |_| Err(Failure::new(class, "no")));
        push(&pusher, 0..8).await;
        pusher.finish();
        let pipeline = start(topology().batcher(out(8)), Components::new(source).sink("out", sink));
        assert_eq!(outcomes(&ended(&pipeline).await), [0, 8, 0, 0, 0]);
        assert_eq!(delivered.rest().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_settles_itself_is_not_split() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let sink = sink.each(|m| match m.payload {
        1 => m.fail(Failure::invalid("bad")),
        2 => m.filter(),
        _ => {}
    });
    push(&pusher, 0..8).await;
    pusher.finish();
    let pipeline = start(topology().batcher(out(8)), Components::new(source).sink("out", sink));
    assert_eq!(outcomes(&ended(&pipeline).await), [6, 1, 0, 1, 0]);
    assert_eq!(delivered.rest().len(), 1);
}
