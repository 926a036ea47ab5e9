//! The engine alone: no database, one processor, one batcher.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use broadside_engine::pipeline::Pipeline;
use broadside_engine::topology::{Batcher, Processor};
use broadside_engine::{
    Acknowledger, Batch, Components, Demand, Factory, Failure, Flow, Message, Sink, Source, Stage, Topology, ack,
    topology,
};
use bytes::Bytes;

use super::super::ending::{self, Ended};
use super::super::print;
use super::super::progress::rate;
use super::super::worker::ledgers;
use super::Latencies;
use super::usage::Used;
use crate::killmail::{Killmail, wire};

/// A record with the moment it was pushed. Without pacing nobody asks for that moment.
struct Record {
    pushed: Option<Instant>,
    raw: Bytes,
    mail: Option<Arc<Killmail>>,
}

pub(super) async fn noop(rate: Option<u32>, duration: Duration) -> anyhow::Result<ExitCode> {
    measure("noop", Bytes::new(), |_| {}, rate, duration).await
}

pub(super) async fn decode(rate: Option<u32>, duration: Duration) -> anyhow::Result<ExitCode> {
    let raw = kill();
    print(&format!("kill of {} bytes", raw.len()));
    let decode = |message: &mut Message<Record>| match wire::decode(&message.payload.raw) {
        Ok(mail) => message.payload.mail = Some(Arc::new(mail)),
        Err(error) => message.fail(Failure::invalid(error.to_string())),
    };
    measure("decode", raw, decode, rate, duration).await
}

async fn measure(
    name: &str,
    raw: Bytes,
    step: impl Fn(&mut Message<Record>) + Send + Sync + 'static,
    paced: Option<u32>,
    duration: Duration,
) -> anyhow::Result<ExitCode> {
    let (to_stage, to_sink) = (Latencies::new(), Latencies::new());
    let stop = Arc::new(AtomicBool::new(false));
    let source = Feed { raw, rate: paced, stop: stop.clone() };
    let stage = Timed { step, latencies: to_stage.clone(), timed: paced.is_some() };
    let components = Components::new(source).stage(name, stage).sink("sink", Last(to_sink.clone()));
    let used = Used::now();
    let started = Instant::now();
    let pipeline = Pipeline::start(shape(name, paced.is_some()), components).context("failed to start the pipeline")?;
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    pipeline.drain();
    let ended = [Ended { pipeline: name.to_owned(), report: pipeline.finished().await }];
    let took = started.elapsed();
    print(&format!("throughput: {}", rate(ended[0].report.ledger.settled_total(), took)));
    if paced.is_some() {
        print(&format!("push to stage: {}", to_stage.line()));
        print(&format!("push to sink:  {}", to_sink.line()));
    }
    print(&used.line(took));
    print(&ledgers(&ended));
    Ok(ending::exit_code(&ended))
}

/// Paced: batches of one, so that nothing waits for company. Otherwise groups and batches of 100.
fn shape(name: &str, paced: bool) -> Topology {
    let batch_size = if paced { 1 } else { 100 };
    Topology::new("bench", topology::Source::new("feed"))
        .processor(Processor { stages: vec![name.to_owned()], ..Processor::new("work") })
        .batcher(Batcher { batch_size, ..Batcher::new("sink") })
}

/// The same record again and again: as many as there is room for, or so many a second.
struct Feed {
    raw: Bytes,
    rate: Option<u32>,
    stop: Arc<AtomicBool>,
}

#[async_trait]
impl Factory<Record> for Feed {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<Record>>, Failure> {
        let pace = self.rate.map(Pace::new);
        Ok(Box::new(Pushing { raw: self.raw.clone(), pace, stop: self.stop.clone() }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Record>> {
        Arc::new(ack::Noop)
    }
}

struct Pushing {
    raw: Bytes,
    pace: Option<Pace>,
    stop: Arc<AtomicBool>,
}

/// How many are due: counted from the start, so that a late timer does not lower the rate.
struct Pace {
    every: tokio::time::Interval,
    rate: f64,
    started: Instant,
    pushed: u64,
}

impl Pace {
    fn new(rate: u32) -> Self {
        let every = tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(rate.min(1000))));
        Self { every, rate: f64::from(rate), started: Instant::now(), pushed: 0 }
    }

    async fn due(&mut self) -> usize {
        self.every.tick().await;
        let due = (self.started.elapsed().as_secs_f64() * self.rate) as u64;
        usize::try_from(due.saturating_sub(self.pushed)).unwrap_or(usize::MAX)
    }
}

#[async_trait]
impl Source<Record> for Pushing {
    async fn pull(&mut self, demand: &mut Demand<Record>) -> Result<Flow, Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Flow::Finished);
        }
        let count = match &mut self.pace {
            None => demand.room(),
            Some(pace) => {
                let due = pace.due().await.min(demand.room());
                pace.pushed += due as u64;
                due
            }
        };
        let pushed = self.pace.is_some().then(Instant::now);
        demand.reserve(count);
        for _ in 0..count {
            demand.push(Message::new(Record { pushed, raw: self.raw.clone(), mail: None }));
        }
        Ok(Flow::More)
    }
}

/// Does the step on each message, after noting when it came.
struct Timed<F> {
    step: F,
    latencies: Latencies,
    timed: bool,
}

#[async_trait]
impl<F: Fn(&mut Message<Record>) + Send + Sync> Stage<Record> for Timed<F> {
    async fn process(&self, messages: &mut [Message<Record>]) {
        if self.timed {
            note(&self.latencies, messages);
        }
        messages.iter_mut().for_each(&self.step);
    }
}

struct Last(Latencies);

#[async_trait]
impl Sink<Record> for Last {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Record>]) -> Result<(), Failure> {
        note(&self.0, messages);
        std::hint::black_box(messages.iter().filter(|message| message.payload.mail.is_some()).count());
        Ok(())
    }
}

fn note(latencies: &Latencies, messages: &[Message<Record>]) {
    if messages.iter().any(|message| message.payload.pushed.is_some()) {
        let now = Instant::now();
        latencies.record(messages.iter().filter_map(|message| Some(now - message.payload.pushed?)));
    }
}

/// A kill in ESI's form of about 2.6 kB: the size of an ordinary fight between small gangs.
fn kill() -> Bytes {
    let attacker = |n: u32| {
        format!(
            r#"{{"alliance_id":9900{n:04},"character_id":9200{n:04},"corporation_id":9800{n:04},"damage_done":{},"final_blow":{},"security_status":-1.{n},"ship_type_id":11{n:03},"weapon_type_id":2{n:03}}}"#,
            1000 + n,
            n == 0
        )
    };
    let item = |n: u32| {
        format!(r#"{{"flag":{},"item_type_id":{},"quantity_destroyed":{},"singleton":0}}"#, 11 + n, 2000 + n, 1 + n % 3)
    };
    let list = |count: u32, one: &dyn Fn(u32) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    Bytes::from(format!(
        r#"{{"attackers":[{}],"killmail_id":123456789,"killmail_time":"2026-01-02T03:04:05Z","solar_system_id":30000142,"victim":{{"alliance_id":99000001,"character_id":92000001,"corporation_id":98000001,"damage_taken":6015,"items":[{}],"position":{{"x":1.5,"y":-2.5,"z":3.5}},"ship_type_id":587}}}}"#,
        list(6, &attacker),
        list(18, &item)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_kill_of_an_ordinary_size() {
        let raw = kill();
        assert!((2500..2750).contains(&raw.len()), "{}", raw.len());
        let mail = wire::decode(&raw).expect("a kill");
        assert_eq!((mail.attackers.len(), mail.victim.items.len()), (6, 18));
    }
}
