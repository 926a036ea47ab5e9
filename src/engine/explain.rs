//! What limits a pipeline, from two looks at it: shares of its workers' time, who waits for whom, and one sentence.
//!
//! A group that waits for room is held up by the one behind it; a group that waits for messages, by the one before it. So what limits is where
//! the one ends and the other begins: the last of those that everybody before waits for. If there is none, it is the source, or a limit that was set.

mod sentence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::pipeline::{GroupStatus, StageStatus, Status};
use crate::topology::Topology;
use sentence::Look;

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
