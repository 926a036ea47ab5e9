//! A failover between two feeds that a test feeds by hand.

use std::sync::Arc;
use std::time::Duration;

use broadside::clients::pulse::Pulse;
use broadside::feeds::{Feeds, Standing};
use broadside::killmail::{Kill, wire};
use broadside::sources::failover::judge::Limits;
use broadside::sources::failover::{Failover, Feed};
use broadside_engine::testing::{Caller, Pusher, Settlement, push_source};
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Message, Source};
use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

pub(crate) const SILENCE: Duration = Duration::from_secs(90);
pub(crate) const BEHIND: Duration = Duration::from_secs(120);
pub(crate) const HEALTHY_FOR: Duration = Duration::from_secs(120);

/// Long enough for anything that happens at once, a look included.
pub(crate) const SOON: Duration = Duration::from_secs(1);

pub(crate) struct World {
    primary: Pusher<Kill>,
    fallback: Pusher<Kill>,
    pub(crate) pulse: Pulse,
    feeds: Arc<Feeds>,
    source: Box<dyn Source<Kill>>,
    acks: Arc<dyn Acknowledger<Kill>>,
    covered: Receiver<Settlement<Kill>>,
}

/// A kill as a feed has it: whole from the fallback, without items from the primary.
pub(crate) fn kill(source: &'static str, id: i64) -> Kill {
    aged(source, id, Duration::ZERO)
}

pub(crate) fn aged(source: &'static str, id: i64, age: Duration) -> Kill {
    let time = Timestamp::now() - age;
    let raw = match source {
        "primary" => format!(
            r#"{{"killmail_id":{id},"kill_time":"{time:.0}","system_id":30000142,"victim":{{}},"attackers":[]}}"#
        ),
        _ => format!(
            r#"{{"killmail_id":{id},"esi":{{"killmail_id":{id},"killmail_time":"{time:.0}","solar_system_id":30000142,"victim":{{"ship_type_id":587,"damage_taken":1}},"attackers":[]}},"uploaded_at":{}}}"#,
            time.as_second()
        ),
    };
    Kill::new(raw.into(), source, Timestamp::now(), source == "fallback")
}

impl World {
    /// Both feeds are well, and have been for a while.
    pub(crate) async fn new() -> Self {
        let mut world = Self::disconnected().await;
        world.pulse.connected(Instant::now());
        world.run(Duration::from_secs(31)).await;
        world
    }

    pub(crate) async fn disconnected() -> Self {
        let (primary, primary_source) = push_source(1000);
        let (caller, covered) = Caller::new(1000);
        let (fallback, fallback_source) = push_source(1000);
        let (pulse, feeds) = (Pulse::default(), Arc::<Feeds>::default());
        let failover = Failover::new(
            "kills",
            (Feed { name: "primary", factory: Arc::new(primary_source) }, pulse.clone()),
            Feed { name: "fallback", factory: Arc::new(fallback_source.with_acknowledger(caller)) },
            Limits { silence: SILENCE, behind: BEHIND, healthy_for: HEALTHY_FOR },
            feeds.clone(),
        );
        let source = failover.build(0).await.unwrap();
        Self { primary, fallback, pulse, feeds, source, acks: failover.acknowledger(), covered }
    }

    pub(crate) async fn primary(&self, id: i64) {
        self.pulse.heard(Instant::now());
        self.primary.push(Message::new(kill("primary", id))).await;
    }

    pub(crate) async fn fallback(&self, id: i64) {
        self.push_fallback(kill("fallback", id)).await;
    }

    pub(crate) async fn push_fallback(&self, kill: Kill) {
        let id = wire::peek(&kill.raw).map_or(0, |peek| peek.killmail_id.get().unsigned_abs());
        self.fallback.push(Message::new(kill).with_position(7, id)).await;
    }

    /// What goes on within this time.
    pub(crate) async fn run(&mut self, time: Duration) -> Vec<Message<Kill>> {
        let end = Instant::now() + time;
        let mut found = Vec::new();
        loop {
            let mut demand = Demand::of(10);
            match timeout_at(end, self.source.pull(&mut demand)).await {
                Ok(flow) => {
                    flow.unwrap();
                    found.extend(demand.into_messages());
                }
                Err(_) => return found,
            }
        }
    }

    /// One pull.
    pub(crate) async fn pull(&mut self, mut demand: Demand<Kill>) -> Vec<String> {
        self.source.pull(&mut demand).await.unwrap();
        demand.into_messages().iter().map(name).collect()
    }

    /// The same, as `primary 1`.
    pub(crate) async fn names(&mut self, time: Duration) -> Vec<String> {
        self.run(time).await.iter().map(name).collect()
    }

    /// Lets time pass, with a ping of the primary every ten seconds.
    pub(crate) async fn names_with_pings(&mut self, time: Duration) -> Vec<String> {
        let mut found = Vec::new();
        for _ in 0..time.as_secs() / 10 {
            found.extend(self.names(Duration::from_secs(10)).await);
            self.pulse.heard(Instant::now());
        }
        found
    }

    /// The pipeline has done with a message of the primary, which is stored as far as it could be had.
    pub(crate) async fn stored(&self, mut message: Message<Kill>, whole: bool) {
        let id = wire::peek(&message.payload.raw).unwrap().killmail_id.get();
        let form = if whole { "fallback" } else { "primary" };
        message.payload.mail = Some(Arc::new(wire::decode(&kill(form, id).raw).unwrap()));
        self.acks.acknowledge(message.reference(), &mut [message]).await;
    }

    pub(crate) async fn failed(&self, mut message: Message<Kill>) {
        message.fail(Failure::permanent("be stored"));
        self.acks.acknowledge(message.reference(), &mut [message]).await;
    }

    /// Positions of the fallback that were settled without passing the pipeline.
    pub(crate) fn covered(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        while let Ok(settlement) = self.covered.try_recv() {
            all.extend(settlement.iter().map(|settled| settled.position));
        }
        all
    }

    pub(crate) fn standing(&self) -> Standing {
        self.feeds.get("kills").unwrap()
    }

    pub(crate) async fn close(&mut self) {
        self.source.close().await;
    }
}

pub(crate) fn name(message: &Message<Kill>) -> String {
    let id = wire::peek(&message.payload.raw).unwrap().killmail_id;
    format!("{} {id}", message.payload.source)
}
