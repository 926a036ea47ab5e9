//! What limits a pipeline, from two looks at it: shares of its workers' time, who waits for whom, and one sentence.
//!
//! A group that waits for room is held up by the one behind it; a group that waits for messages, by the one before it. So what limits is where
//! the one ends and the other begins: the last of those that everybody before waits for. If there is none, it is the source, or a limit that was set.

use std::time::Duration;

use crate::pipeline::{GroupStatus, StageStatus, State, Status};
use crate::topology::Topology;

/// A share of its time that a group waits for the one behind it before that counts.
const WAITS: f64 = 0.15;
/// A group that is busy for this share of its time is at its end.
const BUSY: f64 = 0.7;

/// What limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The source brings no more.
    Source,
    /// The rate limit that was set.
    RateLimit,
    /// As much is in flight as may be, and nobody has too much to do.
    InFlight,
    /// A processor has too few workers for what they compute.
    Processor,
    /// A stage waits for something outside.
    Stage,
    /// A sink takes too long, or has too few workers.
    Sink,
    /// The breaker has tripped.
    Breaker,
    Paused,
    /// It drains, or has ended.
    Ending,
    /// Nothing comes in.
    Idle,
}

impl Verdict {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::RateLimit => "rate_limit",
            Self::InFlight => "in_flight",
            Self::Processor => "processor",
            Self::Stage => "stage",
            Self::Sink => "sink",
            Self::Breaker => "breaker",
            Self::Paused => "paused",
            Self::Ending => "ending",
            Self::Idle => "idle",
        }
    }
}

/// What a worker group did meanwhile. Shares are of its workers' time, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupShare {
    pub name: String,
    /// `producer`, `processor` or `batcher`.
    pub kind: &'static str,
    pub workers: usize,
    pub busy: f64,
    pub starved: f64,
    /// Waiting for room downstream, or for a permit in flight.
    pub blocked: f64,
    /// Of a producer: waiting for the rate limit.
    pub limited: f64,
    /// Who it was blocked by, if it was.
    pub blocked_by: Option<String>,
    /// The share of `busy` in which it computed; the rest it waited for something outside.
    pub computing: f64,
    pub queue_depth: usize,
    pub queue_capacity: usize,
    pub messages_per_second: f64,
    /// Messages that a worker took up at once, on average: a batcher's batches.
    pub group_size: f64,
    /// How long a worker was busy with them, on average.
    pub group_time: Duration,
}

/// What a stage did meanwhile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageShare {
    pub group: String,
    pub stage: String,
    /// Of its group's stages' time.
    pub share: f64,
    /// The share of its time in which it computed.
    pub computing: f64,
    /// A worker's time for one message.
    pub per_message: Duration,
}

/// What limits a pipeline, and the figures that say so.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub verdict: Verdict,
    /// The source, group, sink or stage that is meant.
    pub subject: Option<String>,
    /// What limits, in words, and what would not help.
    pub sentence: String,
    /// The time that was looked at.
    pub window: Duration,
    pub received_per_second: f64,
    pub settled_per_second: f64,
    pub in_flight: u64,
    pub in_flight_max: usize,
    pub oldest_unsettled: Option<Duration>,
    /// The source first, then in the order in which messages pass them.
    pub groups: Vec<GroupShare>,
    pub stages: Vec<StageShare>,
}

/// Compares two looks at a pipeline of this shape; `cores`: on how many the process runs.
#[must_use]
pub fn explain(before: &Status, after: &Status, between: Duration, topology: &Topology, cores: usize) -> Explanation {
    let groups = group_shares(before, after, between);
    let stages = stage_shares(before, after);
    let (received, settled) = (after.ledger.received, after.ledger.settled_total());
    let (was_received, was_settled) = (before.ledger.received, before.ledger.settled_total());
    let look = Look {
        after,
        topology,
        cores,
        groups: &groups,
        stages: &stages,
        received: received - was_received.min(received),
    };
    let (verdict, subject, sentence) = look.verdict();
    Explanation {
        verdict,
        subject,
        sentence,
        window: between,
        received_per_second: per_second(received, was_received, between),
        settled_per_second: per_second(settled, was_settled, between),
        in_flight: after.ledger.in_flight,
        in_flight_max: after.in_flight_max,
        oldest_unsettled: after.oldest_unsettled,
        groups,
        stages,
    }
}

fn per_second(now: u64, then: u64, between: Duration) -> f64 {
    now.saturating_sub(then) as f64 / between.as_secs_f64().max(1e-9)
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { (part.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
}

fn group_shares(before: &Status, after: &Status, between: Duration) -> Vec<GroupShare> {
    let nothing = GroupStatus::default();
    let share = |now: &GroupStatus| {
        let then = before.groups.iter().find(|then| then.name == now.name && then.kind == now.kind).unwrap_or(&nothing);
        let spent = |of: fn(&GroupStatus) -> Duration| of(now).saturating_sub(of(then));
        let (busy, starved, blocked, limited) =
            (spent(|g| g.busy), spent(|g| g.starved), spent(|g| g.blocked), spent(|g| g.limited));
        let whole = busy + starved + blocked + limited;
        let (messages, groups) = (now.messages.saturating_sub(then.messages), now.groups.saturating_sub(then.groups));
        GroupShare {
            name: now.name.clone(),
            kind: now.kind,
            workers: now.workers,
            busy: ratio(busy, whole),
            starved: ratio(starved, whole),
            blocked: ratio(blocked, whole),
            limited: ratio(limited, whole),
            blocked_by: None,
            computing: ratio(spent(|g| g.computing), busy),
            queue_depth: now.queue_depth,
            queue_capacity: now.queue_capacity,
            messages_per_second: messages as f64 / between.as_secs_f64().max(1e-9),
            group_size: messages as f64 / (groups as f64).max(1.0),
            group_time: busy / u32::try_from(groups).unwrap_or(u32::MAX).max(1),
        }
    };
    let mut shares: Vec<GroupShare> = after.groups.iter().map(share).collect();
    for at in 1..shares.len() {
        let next = shares[at].name.clone();
        if shares[at - 1].blocked >= WAITS {
            shares[at - 1].blocked_by = Some(next);
        }
    }
    shares
}

fn stage_shares(before: &Status, after: &Status) -> Vec<StageShare> {
    let nothing = StageStatus::default();
    let difference = |now: &StageStatus| {
        let is_same = |then: &&StageStatus| then.group == now.group && then.stage == now.stage;
        let then = before.stages.iter().find(is_same).unwrap_or(&nothing);
        let messages = now.messages.saturating_sub(then.messages);
        (now.spent.saturating_sub(then.spent), now.computing.saturating_sub(then.computing), messages)
    };
    let spent: Vec<(&StageStatus, (Duration, Duration, u64))> =
        after.stages.iter().map(|now| (now, difference(now))).collect();
    let share = |(now, (time, computing, messages)): &(&StageStatus, (Duration, Duration, u64))| {
        let of_group: Duration =
            spent.iter().filter(|(other, _)| other.group == now.group).map(|(_, (t, ..))| *t).sum();
        StageShare {
            group: now.group.clone(),
            stage: now.stage.clone(),
            share: ratio(*time, of_group),
            computing: ratio(*computing, *time),
            per_message: *time / u32::try_from(*messages).unwrap_or(u32::MAX).max(1),
        }
    };
    spent.iter().map(share).collect()
}

type Said = (Verdict, Option<String>, String);

struct Look<'a> {
    after: &'a Status,
    topology: &'a Topology,
    cores: usize,
    groups: &'a [GroupShare],
    stages: &'a [StageShare],
    received: u64,
}

impl Look<'_> {
    fn verdict(&self) -> Said {
        let said = |verdict, sentence: &str| (verdict, None, sentence.to_owned());
        match self.after.state {
            State::Paused => return said(Verdict::Paused, "It is paused: nothing is pulled until it is resumed."),
            State::Draining => {
                let left = self.after.ledger.in_flight;
                return (
                    Verdict::Ending,
                    None,
                    format!("It drains: {left} messages are still in flight, and nothing more is pulled."),
                );
            }
            State::Stopped => return said(Verdict::Ending, "It has ended."),
            State::Running => {}
        }
        if let Some(breaker) = self.after.breaker.filter(|breaker| breaker.open) {
            let needed = self.topology.breaker.map_or(0, |rules| rules.successes);
            let sentence = format!(
                "The breaker has tripped because messages fail: only probes are pulled, and {} of the {needed} that must succeed in a row have done so; nothing \
                 else is worth changing before what fails is mended.",
                breaker.successes
            );
            return (Verdict::Breaker, Some(self.topology.source.name.clone()), sentence);
        }
        let Some((producer, groups)) = self.groups.split_first() else { return self.idle() };
        if self.received == 0 && self.after.ledger.in_flight == 0 {
            return self.idle();
        }
        if producer.limited > producer.starved.max(producer.blocked) {
            return self.rate_limit(producer);
        }
        match self.culprit(producer, groups) {
            Some(culprit) if culprit.kind == "batcher" => self.sink(culprit),
            Some(culprit) => self.processor(culprit),
            None if producer.blocked > producer.starved => self.in_flight(producer),
            None => self.source(producer),
        }
    }

    /// The group that those before it wait for.
    fn culprit<'g>(&self, producer: &GroupShare, groups: &'g [GroupShare]) -> Option<&'g GroupShare> {
        let busiest = groups.iter().rev().max_by(|a, b| a.busy.total_cmp(&b.busy))?;
        let waits = |group: &GroupShare| group.blocked >= WAITS && group.blocked >= group.starved;
        match groups.iter().rposition(waits) {
            // also while the queues before it are still filling, and the source is not held up yet
            Some(last) => groups.get(last + 1).or(Some(busiest)),
            // nobody waits for anybody but the source
            None if producer.starved >= producer.blocked => None,
            // its queue is what the source waits for
            None => {
                let first = groups.iter().find(|group| group.busy >= BUSY).unwrap_or(busiest);
                let is_full = |group: &&GroupShare| 2 * group.queue_depth >= group.queue_capacity.max(1);
                if first.busy >= BUSY {
                    Some(first)
                } else {
                    groups.iter().find(is_full).filter(|_| producer_waits_for_room(self.after))
                }
            }
        }
    }

    fn idle(&self) -> Said {
        let source = &self.topology.source.name;
        let sentence = format!("Nothing comes in: source `{source}` has brought nothing, and everybody waits for it.");
        (Verdict::Idle, Some(source.clone()), sentence)
    }

    fn source(&self, producer: &GroupShare) -> Said {
        let busiest = self.groups.iter().skip(1).max_by(|a, b| a.busy.total_cmp(&b.busy));
        let busiest = busiest.map_or_else(String::new, |group| {
            format!("; the busiest, `{}`, has {} of its time to spare", group.name, percent(1.0 - group.busy))
        });
        let sentence = format!(
            "Source `{}` brings no more: the pipeline waits for it {} of the time{busiest}. More workers, larger batches or higher limits would not help.",
            producer.name,
            percent(producer.starved),
        );
        (Verdict::Source, Some(producer.name.clone()), sentence)
    }

    fn rate_limit(&self, producer: &GroupShare) -> Said {
        let limit = self.topology.source.rate_limit;
        let limit =
            limit.map_or_else(String::new, |limit| format!(" of {} messages in {:?}", limit.messages, limit.per));
        let sentence = format!(
            "The rate limit{limit} holds source `{}` back {} of the time. More workers, larger batches or a higher in_flight_max would not help.",
            producer.name,
            percent(producer.limited),
        );
        (Verdict::RateLimit, Some(producer.name.clone()), sentence)
    }

    fn in_flight(&self, producer: &GroupShare) -> Said {
        let fullest = self.groups.iter().skip(1).max_by_key(|group| group.queue_depth);
        let fullest = fullest.filter(|group| group.queue_depth > 0);
        let where_they_are = fullest
            .map_or_else(String::new, |group| format!("; {} of them wait at `{}`", group.queue_depth, group.name));
        let sentence = format!(
            "in_flight_max limits it: {} of {} messages are in flight{where_they_are}, nobody is at work all the time, and source `{}` waits for a \
             message to settle {} of the time. More workers would not help; a shorter batch_timeout, smaller batches or a higher in_flight_max would.",
            self.after.ledger.in_flight,
            self.after.in_flight_max,
            producer.name,
            percent(producer.blocked),
        );
        (Verdict::InFlight, None, sentence)
    }

    /// Who waits for it, in words.
    fn waiting(&self, culprit: &GroupShare) -> String {
        let at = self.groups.iter().position(|group| group.name == culprit.name && group.kind == culprit.kind);
        let before = at.and_then(|at| self.groups.get(at.checked_sub(1)?));
        before.map_or_else(String::new, |before| {
            format!("; `{}` waits for it {} of the time", before.name, percent(before.blocked))
        })
    }

    /// The other groups, which more workers would not help.
    fn others(&self, culprit: &GroupShare) -> String {
        let others = self.groups.iter().skip(1).filter(|group| group.name != culprit.name);
        let names: Vec<String> = others.map(|group| format!("`{}`", group.name)).collect();
        if names.is_empty() { String::new() } else { format!("More workers in {} or a higher", names.join(", ")) }
    }

    fn in_vain(&self, culprit: &GroupShare) -> String {
        let others = self.others(culprit);
        let start = if others.is_empty() { "A higher".to_owned() } else { others };
        format!("{start} rate_limit or in_flight_max would not help")
    }

    fn sink(&self, culprit: &GroupShare) -> Said {
        let waiting = self.waiting(culprit);
        let in_vain = self.in_vain(culprit);
        let name = &culprit.name;
        let batcher = self.topology.batchers.iter().find(|batcher| batcher.name == *name);
        let sentence = if culprit.busy < BUSY {
            format!(
                "Sink `{name}` limits it although its workers are busy only {} of the time: {} of {} messages wait there, those of one partition for \
                 each other{waiting}. {in_vain}.",
                percent(culprit.busy),
                culprit.queue_depth,
                culprit.queue_capacity,
            )
        } else {
            let full = batcher.is_some_and(|b| culprit.group_size >= 0.9 * b.batch_size as f64);
            let larger =
                if full { "larger batches or more sink workers" } else { "a faster sink or more sink workers" };
            format!(
                "Sink `{name}` limits it: its {} busy {} of the time, {} for a batch of {:.0}{waiting}. {in_vain}; {larger} may.",
                workers(culprit.workers, "sink worker"),
                percent(culprit.busy),
                time(culprit.group_time),
                culprit.group_size,
            )
        };
        (Verdict::Sink, Some(name.clone()), sentence)
    }

    fn processor(&self, culprit: &GroupShare) -> Said {
        let name = &culprit.name;
        let stages = self.stages.iter().filter(|stage| stage.group == *name);
        let slowest = stages.max_by(|a, b| a.share.total_cmp(&b.share)).filter(|stage| stage.share > 0.0);
        let (waiting, in_vain) = (self.waiting(culprit), self.in_vain(culprit));
        let busy = format!("its {} busy {} of the time", workers(culprit.workers, "worker"), percent(culprit.busy));
        match slowest {
            Some(stage) if stage.computing < 0.5 => {
                let sentence = format!(
                    "Stage `{}` of `{name}` limits it: {busy}, {} of it in this stage, which waits for something outside {} of its time ({} a message){waiting}. \
                     {in_vain}; more workers in `{name}`, or a faster service behind it, would.",
                    stage.stage,
                    percent(stage.share),
                    percent(1.0 - stage.computing),
                    time(stage.per_message),
                );
                (Verdict::Stage, Some(stage.stage.clone()), sentence)
            }
            slowest => {
                let stage = slowest.map_or_else(String::new, |stage| {
                    format!(
                        ", {} of it in stage `{}` ({} a message)",
                        percent(stage.share),
                        stage.stage,
                        time(stage.per_message)
                    )
                });
                let more = if culprit.busy < BUSY {
                    ": messages of one partition wait for each other".to_owned()
                } else if culprit.workers < self.cores {
                    format!("; more workers in `{name}` would: there are {} cores", self.cores)
                } else {
                    format!("; nor would more workers in `{name}`: there are {} cores, and it computes", self.cores)
                };
                let sentence = format!("Processor `{name}` limits it: {busy}{stage}{waiting}. {in_vain}{more}.");
                (Verdict::Processor, Some(name.clone()), sentence)
            }
        }
    }
}

/// Whether the source waited for room in the first queue rather than for a permit.
fn producer_waits_for_room(status: &Status) -> bool {
    status.groups.first().is_some_and(|producer| producer.blocked > producer.held * 2)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn workers(count: usize, what: &str) -> String {
    if count == 1 { format!("one {what} is") } else { format!("{count} {what}s are") }
}

fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Ledger;
    use crate::topology::{Batcher, BreakerRules, Processor, RateLimit, Source};
    use crate::{BreakerStatus, Latencies, Recent};

    const CORES: usize = 4;

    fn topology() -> Topology {
        let mut topology = Topology::new("kills", Source::new("feed"))
            .processor(Processor { stages: vec!["decode".into()], ..Processor::new("parse") })
            .processor(Processor {
                stages: vec!["tag".into(), "price".into()],
                concurrency: 10,
                ..Processor::new("enrich")
            })
            .batcher(Batcher { concurrency: 2, ..Batcher::new("db") })
            .batcher(Batcher { after: Some("db".into()), ..Batcher::new("publish") });
        topology.breaker = Some(BreakerRules::default());
        topology
    }

    fn status() -> Status {
        let group = |name: &str, kind, workers| GroupStatus {
            name: name.into(),
            kind,
            workers,
            queue_capacity: 1_000,
            ..GroupStatus::default()
        };
        let stage = |group: &str, stage: &str| StageStatus {
            group: group.into(),
            stage: stage.into(),
            ..StageStatus::default()
        };
        Status {
            state: State::Running,
            ledger: Ledger::default(),
            groups: vec![
                group("feed", "producer", 1),
                group("parse", "processor", 2),
                group("enrich", "processor", 10),
                group("db", "batcher", 2),
                group("publish", "batcher", 1),
            ],
            stages: vec![stage("parse", "decode"), stage("enrich", "tag"), stage("enrich", "price")],
            oldest_unsettled: None,
            source_restarts: 0,
            source_failure: None,
            acknowledgements: 0,
            acknowledgements_panicked: 0,
            in_flight_max: 5_000,
            rate_limit: None,
            breaker: None,
            recent: Recent::default(),
            latencies: Latencies::default(),
        }
    }

    /// Ten seconds later: the shares (busy, starved, blocked, limited) of each group's time.
    fn after(shares: [[f64; 4]; 5]) -> Status {
        let mut status = status();
        for (group, [busy, starved, blocked, limited]) in status.groups.iter_mut().zip(shares) {
            let time = |share: f64| Duration::from_secs_f64(10.0 * share * group.workers as f64);
            (group.busy, group.starved, group.blocked, group.limited) =
                (time(busy), time(starved), time(blocked), time(limited));
            (group.messages, group.groups) = (10_000, 100);
        }
        status.ledger = Ledger { received: 10_000, settled: [9_000, 0, 0, 0, 0], in_flight: 1_000 };
        status
    }

    fn said(after: &Status) -> Explanation {
        explain(&status(), after, Duration::from_secs(10), &topology(), CORES)
    }

    fn spend(status: &mut Status, stage: usize, spent: f64, computing: f64) {
        let seconds = Duration::from_secs_f64;
        let stage = &mut status.stages[stage];
        (stage.spent, stage.computing, stage.messages) = (seconds(spent), seconds(computing), 10_000);
    }

    #[test]
    fn a_slow_sink_is_named_and_who_waits_for_it() {
        let shares = [
            [0.0, 0.1, 0.9, 0.0],
            [0.1, 0.0, 0.9, 0.0],
            [0.3, 0.0, 0.7, 0.0],
            [0.97, 0.03, 0.0, 0.0],
            [0.1, 0.9, 0.0, 0.0],
        ];
        let said = said(&after(shares));
        assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Sink, Some("db")));
        assert_eq!(
            said.sentence,
            "Sink `db` limits it: its 2 sink workers are busy 97 % of the time, 194.0 ms for a batch of 100; `enrich` waits for it 70 % of the time. More \
             workers in `parse`, `enrich`, `publish` or a higher rate_limit or in_flight_max would not help; larger batches or more sink workers may."
        );
        assert_eq!(said.groups[2].blocked_by.as_deref(), Some("db"));
        assert_eq!((said.received_per_second, said.settled_per_second), (1_000.0, 900.0));
    }

    #[test]
    fn a_chain_of_sinks_ends_at_the_one_that_is_slow() {
        let shares = [
            [0.0, 0.1, 0.9, 0.0],
            [0.1, 0.0, 0.9, 0.0],
            [0.3, 0.0, 0.7, 0.0],
            [0.2, 0.0, 0.8, 0.0],
            [1.0, 0.0, 0.0, 0.0],
        ];
        assert_eq!(said(&after(shares)).subject.as_deref(), Some("publish"));
    }

    #[test]
    fn a_stage_that_waits_is_told_from_a_processor_that_computes() {
        let shares = [
            [0.0, 0.1, 0.9, 0.0],
            [0.2, 0.0, 0.8, 0.0],
            [0.99, 0.0, 0.01, 0.0],
            [0.1, 0.9, 0.0, 0.0],
            [0.1, 0.9, 0.0, 0.0],
        ];
        let mut after = after(shares);
        spend(&mut after, 1, 4.0, 4.0);
        spend(&mut after, 2, 95.0, 1.0);
        let waits = said(&after);
        assert_eq!((waits.verdict, waits.subject.as_deref()), (Verdict::Stage, Some("price")));
        assert!(
            waits.sentence.contains("waits for something outside 99 % of its time (9.5 ms a message)"),
            "{}",
            waits.sentence
        );
        spend(&mut after, 2, 95.0, 90.0);
        let computes = said(&after);
        assert_eq!((computes.verdict, computes.subject.as_deref()), (Verdict::Processor, Some("enrich")));
        assert!(
            computes.sentence.contains("nor would more workers in `enrich`: there are 4 cores"),
            "{}",
            computes.sentence
        );
    }

    #[test]
    fn too_few_workers_are_named_while_there_are_cores_for_more() {
        let shares = [
            [0.0, 0.1, 0.9, 0.0],
            [1.0, 0.0, 0.0, 0.0],
            [0.1, 0.9, 0.0, 0.0],
            [0.1, 0.9, 0.0, 0.0],
            [0.1, 0.9, 0.0, 0.0],
        ];
        let mut after = after(shares);
        spend(&mut after, 0, 20.0, 19.0);
        let said = said(&after);
        assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Processor, Some("parse")));
        assert!(
            said.sentence.ends_with("would not help; more workers in `parse` would: there are 4 cores."),
            "{}",
            said.sentence
        );
    }

    #[test]
    fn the_source_and_the_limits_that_were_set_are_told_apart() {
        let quiet = [0.1, 0.9, 0.0, 0.0];
        let with = |producer| after([producer, quiet, quiet, quiet, quiet]);
        let source = said(&with([0.05, 0.9, 0.05, 0.0]));
        assert_eq!((source.verdict, source.subject.as_deref()), (Verdict::Source, Some("feed")));
        assert!(source.sentence.contains("has 90 % of its time to spare"), "{}", source.sentence);
        let mut limited = topology();
        limited.source.rate_limit = Some(RateLimit { messages: 100, per: Duration::from_secs(1) });
        let limited = explain(&status(), &with([0.0, 0.2, 0.0, 0.8]), Duration::from_secs(10), &limited, CORES);
        assert_eq!(limited.verdict, Verdict::RateLimit);
        assert!(limited.sentence.contains("of 100 messages in 1s"), "{}", limited.sentence);
        let mut full = with([0.0, 0.05, 0.95, 0.0]);
        full.groups[0].held = full.groups[0].blocked;
        (full.ledger.in_flight, full.groups[3].queue_depth) = (5_000, 1_900);
        let full = said(&full);
        assert_eq!(full.verdict, Verdict::InFlight);
        assert!(full.sentence.contains("1900 of them wait at `db`"), "{}", full.sentence);
    }

    #[test]
    fn one_partition_that_others_wait_behind_is_a_limit_though_workers_are_idle() {
        let quiet = [0.1, 0.9, 0.0, 0.0];
        let mut after =
            after([[0.0, 0.1, 0.9, 0.0], [0.1, 0.1, 0.8, 0.0], [0.1, 0.1, 0.8, 0.0], [0.5, 0.5, 0.0, 0.0], quiet]);
        after.groups[3].queue_depth = 1_000;
        let said = said(&after);
        assert_eq!((said.verdict, said.subject.as_deref()), (Verdict::Sink, Some("db")));
        assert!(said.sentence.contains("those of one partition for each other"), "{}", said.sentence);
    }

    #[test]
    fn a_state_explains_itself() {
        let quiet = [0.0, 1.0, 0.0, 0.0];
        let verdict = |change: fn(&mut Status)| {
            let mut after = after([quiet; 5]);
            change(&mut after);
            said(&after).verdict
        };
        assert_eq!(verdict(|s| s.state = State::Paused), Verdict::Paused);
        assert_eq!(verdict(|s| s.state = State::Draining), Verdict::Ending);
        assert_eq!(verdict(|s| s.state = State::Stopped), Verdict::Ending);
        assert_eq!(verdict(|s| s.ledger = Ledger::default()), Verdict::Idle);
        assert_eq!(
            verdict(|s| s.breaker = Some(BreakerStatus { open: true, ..BreakerStatus::default() })),
            Verdict::Breaker
        );
    }

    #[test]
    fn nothing_at_all_is_explained_too() {
        let said = explain(&status(), &status(), Duration::ZERO, &topology(), CORES);
        assert_eq!((said.verdict, said.received_per_second), (Verdict::Idle, 0.0));
    }
}
