//! A real pipeline behind the routes: what it does is what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside::http::{PipelineView, Pipelines, Running};
use broadside::hub::Hub;
use broadside::killmail::Kill;
use broadside::resources::Resources;
use broadside::sinks::pubsub;
use broadside_engine::testing::{Pusher, push_source};
use broadside_engine::topology::{Batcher, Processor, Source, Topology};
use broadside_engine::{Batch, Components, Failure, Message, Pipeline, Sink, stage};
use serde_json::json;

use crate::client::Stream;
use crate::memory_store::MemoryStore;
use crate::metrics::{keeps_to_the_table, passes_promtool};
use crate::world::{World, mail, recorder};

/// Stores events, as the database sink does.
struct Keep(Arc<MemoryStore>);

#[async_trait]
impl Sink<Kill> for Keep {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages {
            let mail = message.payload.mail.clone().unwrap();
            let payload = serde_json::to_string(&*mail).unwrap();
            let event_id = self.0.commit(mail.solar_system_id, mail.killmail_id, payload);
            message.payload.event_id = Some(event_id);
        }
        Ok(())
    }
}

/// Kills whose id ends in 9 fail, those that end in 8 are duplicates.
async fn started() -> (World, Arc<Pipeline>, Pusher<Kill>) {
    recorder();
    let (store, hub) = (Arc::new(MemoryStore::default()), Arc::new(Hub::default()));
    let (pusher, source) = push_source(100);
    let topology = Topology::new("kills", Source::new("wanderer"))
        .processor(Processor { stages: vec!["decode".into()], ..Processor::new("parse") })
        .batcher(Batcher { eager: true, concurrency: 2, ..Batcher::new("db_insert") })
        .batcher(Batcher { after: Some("db_insert".into()), batch_size: 1, ..Batcher::new("pubsub") });
    let decode = stage::each(|message: &mut Message<Kill>| match message.position() {
        id if id % 10 == 9 => message.fail(Failure::invalid("not a kill")),
        id if id % 10 == 8 => message.filter(),
        id => message.payload.mail = Some(mail(id as i64, 30_000_142)),
    });
    let resources = Resources { hub: hub.clone(), ..Resources::new(store.clone()) };
    let mut components = Components::new(source).stage("decode", decode).sink("db_insert", Keep(store.clone()));
    components.sinks.insert("pubsub".into(), pubsub::Config {}.build(&resources));
    let pipeline = Arc::new(Pipeline::start(topology, components).unwrap());
    let sinks = BTreeMap::from([("db_insert".into(), "database".into()), ("pubsub".into(), "pubsub".into())]);
    let running = Arc::new(One(Running { pipeline: pipeline.clone(), sinks, feeds: resources.feeds.clone() }));
    (World::over(store, hub, running).await, pipeline, pusher)
}

/// A worker with one pipeline, which stays.
#[derive(Debug)]
struct One(Running);

impl Pipelines for One {
    fn views(&self) -> Vec<PipelineView> {
        vec![self.0.clone().view()]
    }

    fn publish(&self) {
        self.0.pipeline.publish();
    }
}

async fn push(pusher: &Pusher<Kill>, id: u64) {
    let kill = Kill::new("{}".into(), "wanderer", "2026-11-20T10:00:00Z".parse().unwrap(), false);
    pusher.push(Message::new(kill).with_position(0, id)).await;
}

#[tokio::test]
async fn a_running_pipeline_is_ready_counted_and_streamed() {
    let (world, pipeline, pusher) = started().await;
    let mut stream = Stream::open(world.address, "", None).await;
    for id in 1..=1000 {
        push(&pusher, id).await;
    }
    assert_eq!(stream.ids(800).await, (1..=800).collect::<Vec<_>>());
    assert_eq!(world.get("/readyz").await.status, 200);

    pipeline.drain();
    let draining = world.get("/readyz").await;
    assert_eq!((draining.status, &draining.json()["not_ready"][0]["what"]), (503, &json!("pipeline kills")));
    let report = tokio::time::timeout(Duration::from_secs(100), pipeline.finished()).await.unwrap();
    assert_eq!(report.ledger.received, 1000);

    let kills = &world.get("/api/pipelines").await.json()["pipelines"][0];
    assert_eq!(kills["state"], "stopped");
    assert_eq!(
        kills["ledger"]["settled"],
        json!({
            "successful": 800, "filtered": 100, "failed": 100, "dead_lettered": 0, "abandoned": 0,
        })
    );
    let groups: Vec<&str> = kills["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(groups, ["wanderer", "parse", "db_insert", "pubsub"]);

    let metrics = world.get("/metrics").await.body;
    keeps_to_the_table(&metrics);
    passes_promtool(&metrics);
    for line in [
        "broadside_messages_settled_total{pipeline=\"kills\",outcome=\"failed\"} 100",
        "# TYPE broadside_worker_busy_seconds_total counter",
        "# TYPE broadside_end_to_end_seconds histogram",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    world.stop().await;
}
