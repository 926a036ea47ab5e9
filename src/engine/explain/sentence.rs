//! The verdict, and the sentence that says it with its figures.

use std::time::Duration;

use super::{BUSY, GroupShare, StageShare, Verdict, WAITS};
use crate::pipeline::{State, Status};
use crate::topology::Topology;

pub(super) type Said = (Verdict, Option<String>, String);

pub(super) struct Look<'a> {
    pub(super) after: &'a Status,
    pub(super) topology: &'a Topology,
    pub(super) cores: usize,
    pub(super) groups: &'a [GroupShare],
    pub(super) stages: &'a [StageShare],
    pub(super) received: u64,
}

impl Look<'_> {
    pub(super) fn verdict(&self) -> Said {
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
        let is_at_its_end = |at: usize| groups.get(at).is_some_and(|next| next.busy >= 0.9);
        let waits = |at: usize| {
            let group = &groups[at];
            group.blocked >= WAITS && (group.blocked >= group.starved || is_at_its_end(at + 1))
        };
        match (0..groups.len()).rev().find(|at| waits(*at)) {
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
