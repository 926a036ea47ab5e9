//! Two feeds as one: a primary that is fast and forgets, and a fallback that can be asked again.
//!
//! Both are read all the time. While the primary serves, the fallback's kills are held until the primary's copy is safe (stored, and
//! whole); then only the fallback's mark moves. A held kill goes on by itself
//!
//! * when the primary has not brought it within `behind`, or what the primary brought failed or could not be completed;
//! * at once when it was published while the primary was not connected, or in the five seconds after that, since it repeats nothing;
//! * at once while the fallback serves.
//!
//! So whatever the primary loses, by a cut, a crash of ours or of theirs, a wedge, or silently, comes from the fallback, and the fallback's
//! checkpoint never passes a kill that is not safe. Copies meet in `deduplicate` and in the store. What the fallback itself has forgotten is
//! its own matter (`zkillboard` reads the daily history).
//!
//! While the breaker has tripped, the same holds for what the primary sent long ago: it lies in buffers, would be tried one a second, and says nothing of what
//! the primary sends now. So as long as probes fail the primary is connected to anew now and then; what it had sent comes from the fallback.
//!
//! Which feed **serves** is decided by [`judge`]: it shows in `/api/pipelines`, in the log and in the metrics. Time in which the pipeline
//! did not ask for anything (it was full, or the database away) counts neither as the primary's silence nor as a kill's absence.

mod acks;
mod board;
mod hold;
pub mod judge;
mod side;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Demand, Factory, Failure, Flow, Message, Source};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::clients::pulse::Pulse;
use crate::duration::Span;
use crate::feeds::Feeds;
use crate::killmail::Kill;
use crate::killmail::wire::{Peek, peek};

use acks::Acks;
use board::Board;
use hold::{Fate, Hold, Primary};
use judge::{Judge, Limits, Signs};
use side::Side;

/// Between two looks at how it stands.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The primary's service drops kills that are older than an hour when it first sees them: these are not expected of it.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(50);
/// What one feed may hand over while the other's messages are taken.
const SIDE_ROOM: usize = 100;
/// A pause between pulls beyond this is time in which nobody listened.
const ASLEEP_AFTER: Duration = Duration::from_secs(1);
/// While probes fail, the primary is connected to anew when its connection is so old.
const FRESH_FOR: Duration = Duration::from_secs(10);

/// `[source.failover]`, with `primary.<kind>` and `fallback.<kind>`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config<P, F> {
    /// Nothing at all from the primary for this long: the fallback serves.
    #[serde(default = "silence")]
    pub silence: Span,
    /// A kill that only the fallback has had for this long: the fallback serves.
    #[serde(default = "two_minutes")]
    pub behind: Span,
    /// How long the primary must have worked well before it serves again.
    #[serde(default = "two_minutes")]
    pub healthy_for: Span,
    /// The feed that serves when it can.
    pub primary: P,
    /// The feed that remembers.
    pub fallback: F,
}

fn silence() -> Span {
    Span::from_secs(90)
}

fn two_minutes() -> Span {
    Span::from_secs(120)
}

impl<P, F> Config<P, F> {
    /// The limits, if they make sense.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn limits(&self) -> Result<Limits, String> {
        for (name, span) in [("silence", self.silence), ("behind", self.behind), ("healthy_for", self.healthy_for)] {
            if span.0 < Duration::from_secs(1) {
                return Err(format!("use a {name} of {span}: less than 1s would switch all the time"));
            }
        }
        Ok(Limits { silence: self.silence.0, behind: self.behind.0, healthy_for: self.healthy_for.0 })
    }
}

/// One of the two feeds, before it is built.
#[derive(Clone)]
pub struct Feed {
    /// Its name in logs, metrics and the column `source`.
    pub name: &'static str,
    /// What builds it.
    pub factory: Arc<dyn Factory<Kill>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Feed").field(&self.name).finish()
    }
}

/// Builds the source.
#[derive(Debug)]
pub struct Failover {
    primary: Feed,
    pulse: Pulse,
    fallback: Feed,
    limits: Limits,
    board: Board,
    acks: Arc<Acks>,
}

impl Failover {
    /// Of a primary that shows its `pulse`, and a fallback.
    #[must_use]
    pub fn new(
        pipeline: &str,
        (primary, pulse): (Feed, Pulse),
        fallback: Feed,
        limits: Limits,
        feeds: Arc<Feeds>,
    ) -> Self {
        let acks = Arc::new(Acks::new(fallback.factory.acknowledger()));
        let board = Board::new(pipeline, primary.name, fallback.name, feeds);
        Self { primary, pulse, fallback, limits, board, acks }
    }
}

#[async_trait]
impl Factory<Kill> for Failover {
    async fn build(&self, index: usize) -> Result<Box<dyn Source<Kill>>, Failure> {
        let (primary, fallback) = (self.primary.factory.build(index).await?, self.fallback.factory.build(index).await?);
        let now = Instant::now();
        let judge = Judge::new(self.limits, now);
        self.board.show(&judge, 0);
        Ok(Box::new(Both {
            primary: Side::new(primary),
            again: self.primary.clone(),
            index,
            fresh_at: now,
            fallback: Side::new(fallback),
            pulse: self.pulse.clone(),
            acks: self.acks.clone(),
            board: self.board.clone(),
            limits: self.limits,
            judge,
            hold: Hold::default(),
            ready: VecDeque::new(),
            waking: Waking { seen_at: now, woken_at: now, asleep: Duration::ZERO },
            looked_at: None,
            is_fallbacks_turn: false,
            brought: 0,
        }))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        self.acks.clone()
    }
}

/// A clock that stands still while nobody asks.
#[derive(Debug)]
struct Waking {
    /// When it was last seen to be awake: several times a second while anybody asks.
    seen_at: Instant,
    woken_at: Instant,
    asleep: Duration,
}

impl Waking {
    fn at(&mut self, now: Instant) {
        let away = now.duration_since(self.seen_at);
        if away > ASLEEP_AFTER {
            self.asleep += away;
            self.woken_at = now;
        }
        self.seen_at = now;
    }

    fn time(&self, now: Instant) -> Instant {
        now.checked_sub(self.asleep).unwrap_or(now)
    }

    /// Since then, as far as anybody listened.
    fn since(&self, then: Option<Instant>, now: Instant) -> Duration {
        now.duration_since(then.unwrap_or(self.woken_at).max(self.woken_at))
    }
}

/// Both feeds, and what is known of them.
struct Both {
    primary: Side,
    /// What builds the primary again, for which producer, and when that was last done.
    again: Feed,
    index: usize,
    fresh_at: Instant,
    fallback: Side,
    pulse: Pulse,
    acks: Arc<Acks>,
    board: Board,
    limits: Limits,
    judge: Judge,
    hold: Hold,
    /// To be handed over: at most what both feeds had room for, and what was held.
    ready: VecDeque<Message<Kill>>,
    waking: Waking,
    looked_at: Option<Instant>,
    /// Whose messages are taken first: a feed that always has some must not keep the other one waiting.
    is_fallbacks_turn: bool,
    /// Kills of the primary since the last look.
    brought: u64,
}

#[async_trait]
impl Source<Kill> for Both {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if demand.is_distrustful() && self.fresh_at.elapsed() >= FRESH_FOR {
            self.freshen().await?;
        }
        loop {
            let now = Instant::now();
            self.waking.at(now);
            if self.looked_at.is_none_or(|before| now.duration_since(before) >= LOOK_EVERY) {
                self.looked_at = Some(now);
                self.look(now).await;
            }
            self.hand_over(demand);
            if !demand.is_empty() {
                return Ok(Flow::More);
            }
            if self.primary.is_finished() && self.fallback.is_finished() && self.hold.len() == 0 {
                return Ok(Flow::Finished);
            }
            if demand.is_interrupted() && !self.primary.is_pulling() && !self.fallback.is_pulling() {
                return Ok(Flow::More);
            }
            self.wait(demand).await?;
        }
    }

    async fn close(&mut self) {
        self.look(Instant::now()).await;
        self.primary.close().await;
        self.fallback.close().await;
    }
}

impl Both {
    /// Waits for either feed, or for the next look. Pulls that an interrupt calls back are waited for: they may hold kills.
    async fn wait(&mut self, demand: &Demand<Kill>) -> Result<(), Failure> {
        if !demand.is_interrupted() {
            self.primary.start(|| demand.share(SIDE_ROOM));
            let room = self.hold.room().min(SIDE_ROOM);
            if room > 0 {
                self.fallback.start(|| demand.share(room));
            }
        }
        let (first, second) = match self.is_fallbacks_turn {
            true => (&mut self.fallback, &mut self.primary),
            false => (&mut self.primary, &mut self.fallback),
        };
        let (is_first, (messages, flow)) = tokio::select! {
            biased;
            pulled = first.pulled() => (true, pulled),
            pulled = second.pulled() => (false, pulled),
            () = tokio::time::sleep(LOOK_EVERY) => return Ok(()),
        };
        let is_primary = is_first != self.is_fallbacks_turn;
        self.is_fallbacks_turn = is_primary;
        if is_primary {
            self.take_primary(messages)
        } else {
            self.take_fallback(messages)
        }
        flow
    }

    fn take_primary(&mut self, messages: Vec<Message<Kill>>) {
        self.brought += messages.len() as u64;
        for message in messages {
            let id = peek(&message.payload.raw).map(|peek| peek.killmail_id);
            if let Some(id) = id {
                self.acks.brought().insert(id);
            }
            let position = id.map_or(0, |id| id.get().unsigned_abs());
            self.ready.push_back(message.with_position(0, position));
        }
    }

    /// Lets go what the primary has sent and nobody has pulled yet, and connects to it anew.
    async fn freshen(&mut self) -> Result<(), Failure> {
        self.fresh_at = Instant::now();
        self.primary.close().await;
        let is_old = |message: &Message<Kill>| message.payload.source == self.again.name;
        let (old, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.ready).into_iter().partition(is_old);
        self.ready = kept.into();
        for id in old.iter().filter_map(|message| Some(peek(&message.payload.raw)?.killmail_id)) {
            self.acks.brought().settle(id, Fate::Lacking);
        }
        self.board.stale(old.len());
        tracing::info!(
            feed = self.again.name,
            passed_over = old.len(),
            "connecting anew: what it has sent fails, and what it sends now is to be tried"
        );
        self.primary = Side::new(self.again.factory.build(self.index).await?);
        Ok(())
    }

    /// Holds what the primary may bring; the rest goes on.
    fn take_fallback(&mut self, messages: Vec<Message<Kill>>) {
        let now = Instant::now();
        for message in messages {
            let peek = peek(&message.payload.raw);
            match peek.filter(|peek| is_expected(&message, peek)) {
                Some(peek) => {
                    let published = published(&message, &peek, now);
                    self.hold.push(message, peek.killmail_id, self.waking.time(now), published);
                }
                None => {
                    let is_brought = peek.is_some_and(|peek| self.acks.brought().fate(peek.killmail_id).is_some());
                    self.board.gap(u64::from(!is_brought && !message.payload.revises));
                    self.ready.push_back(self.acks.of_fallback(message));
                }
            }
        }
        // Not only at the next look: what need not wait is not to wait.
        self.looked_at = None;
    }

    fn hand_over(&mut self, demand: &mut Demand<Kill>) {
        let count = self.ready.len().min(demand.room());
        demand.reserve(count);
        self.ready.drain(..count).for_each(|message| demand.push(message));
    }

    /// Judges the primary, and lets go what need not be held any more.
    async fn look(&mut self, now: Instant) {
        let time = self.waking.time(now);
        let beat = self.pulse.beat();
        let primary = Primary { is_serving: self.judge.state().is_primary(), connected_at: beat.connected_at };
        let released = self.hold.release(&self.acks.brought(), time, self.limits.behind, primary);
        self.board.gap(released.absent);
        self.ready.extend(released.needed.into_iter().map(|message| self.acks.of_fallback(message)));
        self.acks.cover(released.covered).await;
        let signs = Signs {
            is_connected: beat.connected_at.is_some(),
            problem: beat.problem,
            silent_for: self.waking.since(beat.heard_at, now),
            waiting_for: self.hold.waiting_for(time),
            missing: released.missing,
            brought: std::mem::take(&mut self.brought),
        };
        let was_primary = self.judge.state().is_primary();
        if self.judge.look(time, &signs) {
            self.board.changed(&self.judge, was_primary);
            // What is held need not wait for the next look.
            self.looked_at = None;
        }
        self.board.show(&self.judge, self.hold.len());
    }
}

/// When it was published, as far as that can be told: never after it was read.
fn published(message: &Message<Kill>, peek: &Peek, now: Instant) -> Instant {
    let age = peek.uploaded_at.map(|at| message.payload.received_at.duration_since(at));
    let age = age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// Whether the primary is to bring this kill too: it is not one of long ago, nor a correction, nor broken.
fn is_expected(message: &Message<Kill>, peek: &Peek) -> bool {
    let kill = &message.payload;
    let is_late = peek.time.is_none_or(|time| kill.received_at.duration_since(time) > LATE_AFTER);
    message.is_active() && !kill.revises && !is_late
}
