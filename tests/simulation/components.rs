//! The source, stages, sinks, acknowledger and failure handler of the simulated world.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{
    Acknowledger, Batch, BatchKey, BatchMode, Class, Components, Demand, Factory, Failure, FailureHandler, Flow,
    Message, Sink, Source, Stage,
};

use crate::watch::{Item, Watch};
use crate::world::{Fate, TOLD};

type Record = Message<Item>;

pub(crate) fn components(watch: &Watch) -> Components<Item> {
    let world = watch.world.clone();
    let mut components = Components::new(Log(watch.clone())).failure_handler(Handler(watch.clone()));
    for processor in &world.topology.processors {
        let partitioned = world.partitioned.contains(&processor.name);
        for name in &processor.stages {
            let (watch, name) = (watch.clone(), name.clone());
            let step = Step { watch, name: name.clone(), most: processor.max_demand, partitioned };
            components = components.stage(name, step);
        }
    }
    for (index, batcher) in world.topology.batchers.iter().enumerate() {
        let partitioned = world.partitioned.contains(&batcher.name);
        components = components.sink(batcher.name.clone(), Deliver { watch: watch.clone(), index, partitioned });
    }
    for name in &world.partitioned {
        let world = world.clone();
        components = components.partition_by(name.clone(), move |item: &Item| world.lane(item.position));
    }
    components.size_of(move |item| world.bytes(item.position))
}

fn items(messages: &[Record]) -> Vec<Item> {
    messages.iter().map(|message| message.payload).collect()
}

/// Reads the log from the checkpoint, and crashes now and then.
struct Log(Watch);

#[async_trait]
impl Factory<Item> for Log {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Item>>, Failure> {
        let watch = &self.0;
        let ((calm, _), attempt) = (watch.mood(), watch.attempt());
        watch.note(("build", index));
        tokio::time::sleep(watch.world.time("build", attempt, calm, 0)).await;
        if watch.world.strikes(1_000, calm, ("build", attempt)) {
            return Err(Failure::transient("no connection"));
        }
        // most start where the last one stopped; some know no more than the checkpoint
        if watch.world.draw(("rewind", attempt)).is_multiple_of(4) && !calm {
            watch.rewind();
        }
        Ok(Box::new(Reader(watch.clone())))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Item>> {
        Arc::new(Checkpoint(self.0.clone()))
    }
}

struct Reader(Watch);

#[async_trait]
impl Source<Item> for Reader {
    async fn pull(&mut self, demand: &mut Demand<Item>) -> Result<Flow, Failure> {
        let watch = &self.0;
        let ((calm, life), attempt) = (watch.mood(), watch.attempt());
        let time = watch.world.time("pull", attempt, calm, life);
        watch.note(("pull", demand.room()));
        watch.check(demand.room() > 0 && !demand.is_interrupted(), || "a pull without demand".to_owned());
        if !time.is_zero() {
            tokio::select! {
                biased;
                () = demand.interrupted() => return Ok(Flow::More),
                () = tokio::time::sleep(time) => {}
            }
        }
        let wanted = 1 + watch.world.draw(("pull", attempt)) as usize % 40;
        for _ in 0..wanted.min(demand.room()) {
            let Some(item) = watch.hand_out() else { return Ok(Flow::Finished) };
            demand.push(Message::new(item).with_position(item.position % 3, item.position));
        }
        if watch.world.strikes(500, calm, ("crash", attempt)) {
            watch.note("crash");
            assert!(watch.world.draw(("how", attempt)).is_multiple_of(2), "{TOLD}");
            return Err(Failure::transient("connection lost"));
        }
        Ok(Flow::More)
    }
}

/// Moves the checkpoint; sometimes slow, sometimes it panics and the source does not learn.
struct Checkpoint(Watch);

#[async_trait]
impl Acknowledger<Item> for Checkpoint {
    async fn acknowledge(&self, reference: u64, messages: &mut [Record]) {
        let watch = &self.0;
        let (calm, life) = watch.mood();
        watch.check(!messages.is_empty(), || "an acknowledgement of nothing".to_owned());
        for message in messages.iter() {
            watch.check(message.reference() == reference, || "a message of another reference".to_owned());
            watch.told(message.payload, message.outcome());
        }
        let first = messages[0].payload.position;
        assert!(!watch.world.strikes(100, calm, ("ack", first, life)), "{TOLD}");
        if watch.world.draw(("slow ack", first)).is_multiple_of(10) {
            tokio::time::sleep(watch.world.time("ack", first, calm, life)).await;
        }
        for message in messages.iter() {
            watch.settled(message.payload, message.outcome());
        }
    }
}

/// Rescues, dead-letters, leaves, or panics.
struct Handler(Watch);

#[async_trait]
impl FailureHandler<Item> for Handler {
    async fn handle(&self, messages: &mut [Record]) {
        let watch = &self.0;
        let (calm, life) = watch.mood();
        let first = messages[0].payload.position;
        tokio::time::sleep(watch.world.time("handler", first, calm, life)).await;
        for message in messages.iter_mut() {
            let placed = message.failure().is_some_and(|failure| failure.group.is_some() && failure.stage.is_some());
            watch.check(placed, || "a failure without a place".to_owned());
            let invalid = message.failure().is_some_and(|failure| failure.class == Class::Invalid);
            let bad = (0..watch.world.topology.batchers.len()).any(|sink| is_bad(watch, message.payload, sink));
            watch.check(!invalid || bad, || "a good message failed with a bad one's batch".to_owned());
            match watch.world.draw(("handle", message.payload.position, life)) % 10 {
                0..6 => message.dead_letter(),
                6..8 => {
                    watch.excuse(message.payload);
                    message.rescue();
                }
                8 => {}
                _ => panic!("{TOLD}"),
            }
        }
    }
}

/// Whether a sink refuses every batch with this message.
fn is_bad(watch: &Watch, item: Item, sink: usize) -> bool {
    let (calm, life) = watch.mood();
    watch.world.strikes(300, calm, ("bad", item.position, sink, life))
}

/// What stages and sinks do alike.
fn meet(watch: &Watch, place: &str, message: &mut Record) -> Fate {
    let (calm, life) = watch.mood();
    let item = message.payload;
    let fate = watch.world.fate(place, item.position, calm, life);
    match fate {
        Fate::Fail => message.fail(Failure::permanent("told to fail")),
        Fate::Filter => message.filter(),
        Fate::Finish => {
            watch.excuse(item);
            message.finish();
        }
        Fate::AcknowledgeNow => {
            watch.excuse(item);
            message.acknowledge_now();
        }
        Fate::Pass | Fate::Panic => {}
    }
    fate
}

struct Step {
    watch: Watch,
    name: String,
    most: usize,
    partitioned: bool,
}

#[async_trait]
impl Stage<Item> for Step {
    async fn process(&self, messages: &mut [Record]) {
        let Self { watch, name, .. } = self;
        let items = items(messages);
        watch.enter(name, &items, self.most, self.partitioned);
        let _left = Leave { watch, name, items: &items };
        watch.check(messages.iter().all(Message::is_active), || format!("{name}: a message that is not active"));
        let (calm, life) = watch.mood();
        tokio::time::sleep(watch.world.time(name, items[0].position, calm, life)).await;
        let mut panics = false;
        for message in messages {
            let item = message.payload;
            watch.pass(name, item);
            panics |= meet(watch, name, message) == Fate::Panic;
            message.put_batch_key(BatchKey(watch.world.key(item.position)));
            if watch.world.draw(("flush", item.position)).is_multiple_of(20) {
                message.put_batch_mode(BatchMode::Flush);
            }
            self.route(message);
        }
        assert!(!panics || !watch.world.draw(("panic", items[0].position)).is_multiple_of(4), "{TOLD}");
    }
}

impl Step {
    fn route(&self, message: &mut Record) {
        let world = &self.watch.world;
        let drawn = world.draw(("route", message.payload.position)) as usize;
        let roots: Vec<usize> =
            world.topology.batchers.iter().enumerate().filter(|(_, b)| b.after.is_none()).map(|b| b.0).collect();
        // order is promised along one path
        if roots.is_empty() || world.ordered || drawn.is_multiple_of(3) {
            return;
        }
        let batcher = roots[drawn / 3 % roots.len()];
        self.watch.route(message.payload, batcher);
        message.put_batcher(world.topology.batchers[batcher].name.as_str());
    }
}

struct Leave<'a> {
    watch: &'a Watch,
    name: &'a str,
    items: &'a [Item],
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.watch.leave(self.name, self.items);
    }
}

struct Deliver {
    watch: Watch,
    index: usize,
    partitioned: bool,
}

#[async_trait]
impl Sink<Item> for Deliver {
    async fn deliver(&self, batch: &Batch, messages: &mut [Record]) -> Result<(), Failure> {
        let watch = &self.watch;
        let world = &watch.world;
        let shape = &world.topology.batchers[self.index];
        let items = items(messages);
        watch.enter(&shape.name, &items, shape.batch_size, self.partitioned);
        let _left = Leave { watch, name: &shape.name, items: &items };
        self.check_batch(batch, messages);
        let (calm, life) = watch.mood();
        tokio::time::sleep(world.time(&shape.name, items[0].position, calm, life)).await;
        watch.check(messages.iter().all(Message::is_active), || "a sink gets a message that is not active".to_owned());
        if items.iter().any(|item| is_bad(watch, *item, self.index)) {
            return Err(Failure::invalid("told to refuse"));
        }
        if world.strikes(200, calm, ("down", items[0].position, self.index, life)) {
            return Err(Failure::permanent("told to be down"));
        }
        assert!(!world.strikes(100, calm, ("panic", items[0].position, self.index, life)), "{TOLD}");
        for message in messages {
            let item = message.payload;
            meet(watch, &shape.name, message);
            watch.pass(&shape.name, item);
            if message.is_active() {
                watch.commit(item, self.index);
            }
        }
        Ok(())
    }
}

impl Deliver {
    fn check_batch(&self, batch: &Batch, messages: &[Record]) {
        let (watch, world) = (&self.watch, &self.watch.world);
        let shape = &world.topology.batchers[self.index];
        watch.check(*batch.batcher == *shape.name, || "a batch of another batcher".to_owned());
        let one_key = messages.iter().all(|message| message.batch_key() == batch.key);
        watch.check(one_key, || format!("{}: several keys in a batch", shape.name));
        watch.check(batch.partition.is_some() == self.partitioned, || format!("{}: partition", shape.name));
        let one_lane = |lane| messages.iter().all(|message| world.lane(message.payload.position) == lane);
        watch.check(batch.partition.is_none_or(one_lane), || format!("{}: several partitions in a batch", shape.name));
        let bytes: usize = messages.iter().map(|message| world.bytes(message.payload.position)).sum();
        let fits = shape.batch_bytes.is_none_or(|most| bytes <= most || messages.len() == 1);
        watch.check(fits, || format!("{}: {bytes} bytes", shape.name));
    }
}
