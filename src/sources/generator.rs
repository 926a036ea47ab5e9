//! Kills made up from a seed: to try a pipeline out, and to load it.
//!
//! They look like real ones in shape and proportion (see [`crate::killmail::sample`]), bear rising ids and the present time, and are the same for the same seed.
//! Nothing outside is asked, so nothing can be handed out again after a crash.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::ack::Noop;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Message, Source};
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::killmail::Kill;
use crate::killmail::sample::{Sample, Sampler};
use crate::resources::Resources;

/// A pull makes no more than these, so that it does not keep the thread to itself: about a millisecond.
const PULL_MAX: u64 = 256;
/// A generator that could not keep its rate (no demand, a pause) catches up this much and forgets the rest.
const CATCH_UP: Duration = Duration::from_secs(1);
/// More than any machine makes; so that ticks stay apart.
const RATE_MAX: f64 = 1e8;

/// What `[source.generator]` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The same seed gives the same kills.
    pub seed: u64,
    /// Kills a second; unless set, as many as are asked for.
    pub rate: Option<f64>,
    /// How many in all; unless set, there is no end.
    pub count: Option<u64>,
    /// In which shape they come.
    pub form: Form,
}

impl Default for Config {
    fn default() -> Self {
        Self { seed: 1, rate: None, count: None, form: Form::Package }
    }
}

/// A shape of kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// zKillboard's: ESI's killmail, hash and values.
    Package,
    /// ESI's.
    Esi,
    /// wanderer-kills' own.
    Feed,
}

impl Config {
    /// What builds the source.
    ///
    /// # Errors
    /// The rate is not a positive number.
    pub fn build(&self, _resources: &Resources) -> Result<Arc<dyn Factory<Kill>>, String> {
        Ok(Arc::new(self.factory()?))
    }

    fn factory(&self) -> Result<Generators, String> {
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= RATE_MAX)) {
            return Err(format!("rate must be more than 0 and at most {RATE_MAX:.0} kills a second"));
        }
        let work = Work {
            sampler: Sampler::new(self.seed),
            left: self.count.unwrap_or(u64::MAX),
            rate: self.rate,
            begun: None,
            made: 0,
        };
        Ok(Generators { work: Arc::new(Mutex::new(work)), form: self.form })
    }
}

/// What all incarnations and producers share: one sequence of ids, one pace.
struct Work {
    sampler: Sampler,
    left: u64,
    rate: Option<f64>,
    begun: Option<Instant>,
    /// Since `begun`.
    made: u64,
}

/// What a pull finds.
enum Due {
    Now(u64),
    At(Instant),
    Never,
}

impl Work {
    fn due(&mut self, now: Instant, room: u64) -> Due {
        let wanted = room.min(PULL_MAX).min(self.left);
        if self.left == 0 {
            return Due::Never;
        }
        let Some(rate) = self.rate else { return Due::Now(wanted) };
        let begun = *self.begun.get_or_insert(now);
        let tick = |kill: u64| begun + Duration::from_secs_f64(kill as f64 / rate);
        // An estimate first, and then by the ticks themselves: what rounding says is due must be due by the clock too.
        let mut due = (now.duration_since(begun).as_secs_f64() * rate) as u64;
        while tick(due) <= now {
            due += 1;
        }
        let late = due.saturating_sub(self.made);
        let late_max = (CATCH_UP.as_secs_f64() * rate) as u64 + 1;
        if late > late_max {
            // Counted as made, so that ticks stay where they are.
            self.made += late - late_max;
            due = self.made + late_max;
        }
        match due.saturating_sub(self.made) {
            0 => Due::At(tick(self.made)),
            ready => Due::Now(wanted.min(ready)),
        }
    }

    fn make(&mut self, now: Timestamp) -> Sample {
        self.made += 1;
        self.left -= 1;
        self.sampler.next(now)
    }
}

struct Generators {
    work: Arc<Mutex<Work>>,
    form: Form,
}

#[async_trait]
impl Factory<Kill> for Generators {
    async fn build(&self, _index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        Ok(Box::new(Generator { work: self.work.clone(), form: self.form }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        Arc::new(Noop)
    }
}

struct Generator {
    work: Arc<Mutex<Work>>,
    form: Form,
}

impl Generator {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes what is due; or says when something will be.
    fn push(&self, demand: &mut Demand<Kill>) -> Due {
        let mut work = self.work();
        let due = work.due(Instant::now(), demand.room() as u64);
        if let Due::Now(count) = due {
            let now = Timestamp::now();
            demand.reserve(count as usize);
            for _ in 0..count {
                let sample = work.make(now);
                let json = match self.form {
                    Form::Package => sample.package_json(),
                    Form::Esi => sample.esi_json(),
                    Form::Feed => sample.feed_json(),
                };
                demand.push(Message::new(Kill::new(Bytes::from(json), "generator", now, false)));
            }
        }
        due
    }
}

#[async_trait]
impl Source<Kill> for Generator {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        loop {
            match self.push(demand) {
                Due::Now(_) => return Ok(Flow::More),
                Due::Never => return Ok(Flow::Finished),
                Due::At(tick) => tokio::select! {
                    () = tokio::time::sleep_until(tick) => {}
                    () = demand.interrupted() => return Ok(Flow::More),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn kills_come_on_absolute_ticks() {
        let factory = Config { rate: Some(100.0), ..Config::default() }.factory().expect("a rate");
        let mut source = factory.build(0).await.expect("a source");
        let begun = Instant::now();
        let mut made = 0;
        while made < 250 {
            let mut demand = Demand::of(7);
            source.pull(&mut demand).await.expect("a pull");
            made += demand.into_messages().len();
        }
        let took = begun.elapsed();
        assert!((2.48..2.51).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_it_catches_up_a_second_and_forgets_the_rest() {
        let factory = Config { rate: Some(10.0), ..Config::default() }.factory().expect("a rate");
        let mut source = factory.build(0).await.expect("a source");
        source.pull(&mut Demand::of(1)).await.expect("a pull");
        tokio::time::advance(Duration::from_secs(60)).await;
        let mut demand = Demand::of(1000);
        source.pull(&mut demand).await.expect("a pull");
        assert_eq!(demand.into_messages().len(), 11);
    }

    #[test]
    fn a_rate_must_make_sense() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Config { rate: Some(rate), ..Config::default() }.factory().is_err(), "{rate}");
        }
    }
}
