//! The failure handler: called once for each failed message, before the acknowledgement; it can rescue and dead-letter. Rules A2, A5.

use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{Components, Failure, Outcome, Topology, stage};

use crate::kit::*;

fn judge() -> impl broadside_engine::Stage<u32> {
    stage::each(|m: &mut Record| {
        if m.payload < 3 {
            m.fail(Failure::invalid("small"));
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_handler_rescues_dead_letters_or_leaves_a_failure() {
    let (pusher, source) = source();
    let acks = Acks::new();
    let handler = Handler(|messages: &mut [Record]| {
        for message in messages {
            match message.payload {
                0 => message.rescue(),
                1 => message.dead_letter(),
                _ => {}
            }
        }
    });
    let components =
        Components::new(source.with_acknowledger(acks.clone())).stage("step", judge()).failure_handler(handler);
    push(&pusher, 0..4).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping(), components)).await), [2, 1, 1, 0, 0]);
    let mut heard = acks.settled();
    heard.sort();
    let [ok, failed, dead_lettered] = [Outcome::Successful, Outcome::Failed, Outcome::DeadLettered];
    assert_eq!(heard, [(0, ok), (1, dead_lettered), (2, failed), (3, ok)]);
}

#[tokio::test(start_paused = true)]
async fn a_rescued_message_does_not_go_on() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let rescue = Handler(|messages: &mut [Record]| messages.iter_mut().for_each(Record::rescue));
    let components = Components::new(source).stage("step", judge()).sink("out", sink).failure_handler(rescue);
    push(&pusher, 0..5).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping().batcher(out(5)), components)).await), [5, 0, 0, 0, 0]);
    assert_eq!(delivered.payloads(), [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_each_failure_once_with_the_place_where_it_happened() {
    let (pusher, source) = source();
    let (sink, _delivered) = step();
    let (last, _seen) = step();
    let refuse = |m: &mut Record, payload: u32| {
        if m.payload == payload {
            m.fail(Failure::permanent("refused"));
        }
    };
    let topology = Topology { processors: Vec::new(), ..topology() }
        .processor(Processor { concurrency: 1, stages: vec!["a".into(), "b".into()], ..Processor::new("first") })
        .processor(Processor { concurrency: 1, stages: vec!["c".into()], ..Processor::new("second") })
        .batcher(out(10))
        .batcher(Batcher { after: Some("out".into()), ..Batcher::new("last") });
    let (handler, failures) = failures();
    let components = Components::new(source)
        .stage("a", stage::each(move |m: &mut Record| refuse(m, 0)))
        .stage("b", stage::each(move |m: &mut Record| refuse(m, 1)))
        .stage("c", stage::each(move |m: &mut Record| refuse(m, 2)))
        .sink("out", sink.each(move |m| refuse(m, 3)))
        .sink("last", last.all(|_| Err(Failure::permanent("down"))))
        .failure_handler(handler);
    push(&pusher, 0..5).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(topology, components)).await), [0, 5, 0, 0, 0]);
    let places: Vec<_> = failures
        .lock()
        .unwrap()
        .iter()
        .map(|(m, f)| (*m, f.group.as_deref().unwrap().to_owned(), f.stage.as_deref().unwrap().to_owned()))
        .collect();
    let expected = [(0, "first", "a"), (1, "first", "b"), (2, "second", "c"), (3, "out", "out"), (4, "last", "last")];
    assert_eq!(places, expected.map(|(m, g, s)| (m, g.to_owned(), s.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_stop_the_messages_behind_it() {
    let (pusher, source) = source();
    let (sink, mut delivered) = step();
    let components = Components::new(source).stage("step", judge()).sink("out", sink).partition_by("work", |_| 7);
    push(&pusher, 0..6).await;
    pusher.finish();
    assert_eq!(outcomes(&ended(&start(stepping().batcher(out(10)), components)).await), [3, 3, 0, 0, 0]);
    assert_eq!(delivered.payloads(), [3, 4, 5]);
}
