//! Hands dead letters out again: the source of a replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use broadside_engine::{
    Acknowledger, Delivered, Demand, Factory, Failure, Flow, Message, Outcome as Settlement, Topology,
};
use jiff::{SignedDuration, Timestamp};

use super::letter::Writer;
use super::reports::{Outcome, Reports, Told};
use super::{ATTEMPTS, LETTER, Origin};
use crate::killmail::{Kill, progress};
use crate::store::{
    DeadLetter, DeadLetterFilter, DeadLetterState, Error, NewDeadLetter, REHEARSED, Settled, Store, fingerprint, retry,
};

/// Letters read at once: their payloads are in memory until they are settled.
const CHUNK: usize = 100;
/// How long a letter may be on its way before it counts as left behind. Renewed while it is.
pub(super) const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// How letters are handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// Letters that are in none of these states are passed over.
    pub from: Vec<DeadLetterState>,
    /// Nothing is claimed, and nothing settled: the letters stay as they are.
    pub dry_run: bool,
    /// Whether reports carry the rows that a dry run found.
    pub diff: bool,
    /// With the raw bytes, at the first stage, whatever is known of them.
    pub from_start: bool,
    /// No more are handed out once so many have failed, and never so many at once that more could fail.
    pub stop_after_failures: Option<u64>,
}

/// The source, by which letters go through the stages again from the one that failed; sinks that have a letter already are passed over.
///
/// A letter is `retrying` from when it is handed out until it is settled: then `replayed`, or `open` again with the new cause.
/// Finite: ends when all were handed out.
#[derive(Debug, Clone)]
pub struct Source(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    way: Way,
    known: OnceLock<Known>,
    progress: Mutex<Progress>,
    reports: Arc<Reports>,
}

/// The pipeline that it feeds.
#[derive(Debug)]
struct Known {
    writer: Writer,
    topology: Topology,
}

#[derive(Debug, Default)]
struct Progress {
    waiting: VecDeque<i64>,
    out: BTreeMap<i64, Held>,
    passed_over: Vec<i64>,
    tally: Tally,
}

/// A letter that is on its way.
#[derive(Debug, Clone, Default)]
struct Held {
    /// The group in which it was.
    fingerprint: String,
    began_at: Option<String>,
}

/// What became of the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Went through, or would.
    pub replayed: u64,
    /// Failed as before.
    pub same_failure: u64,
    /// Failed otherwise.
    pub new_failure: u64,
    /// Not in a state to be handed out: somebody else has it, or it is done.
    pub passed_over: u64,
}

impl Tally {
    /// Failed again.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.same_failure + self.new_failure
    }

    /// Of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            replayed: self.replayed + other.replayed,
            same_failure: self.same_failure + other.same_failure,
            new_failure: self.new_failure + other.new_failure,
            passed_over: self.passed_over + other.passed_over,
        }
    }
}

impl Source {
    /// Hands out `ids`. What becomes of each is told to `reports`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ids: impl IntoIterator<Item = i64>, way: Way, reports: Arc<Reports>) -> Self {
        let progress = Mutex::new(Progress { waiting: ids.into_iter().collect(), ..Progress::default() });
        Self(Arc::new(Shared { store, way, known: OnceLock::new(), progress, reports }))
    }

    /// Tells what it feeds: the shape by which stages and sinks are understood. To be called before the pipeline is started.
    pub fn feeds(&self, topology: &Topology, origin: Origin) {
        let (writer, topology) = (Writer::new(topology, origin), topology.clone());
        let _ = self.0.known.set(Known { writer, topology });
    }

    /// How it hands letters out.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.0.way
    }

    /// What became of the letters so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.progress().tally
    }

    /// Whether it ended early, because too many have failed.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        let progress = self.0.progress();
        self.0.way.stop_after_failures.is_some_and(|most| progress.tally.failed() >= most)
            && !progress.waiting.is_empty()
    }

    /// Those that were passed over.
    #[must_use]
    pub fn passed_over(&self) -> Vec<i64> {
        self.0.progress().passed_over.clone()
    }

    /// Holds what is on its way longer. To be called more often than every [`LEASE`].
    pub(super) async fn renew(&self) {
        let out: Vec<i64> = self.0.progress().out.keys().copied().collect();
        if self.0.way.dry_run || out.is_empty() {
            return;
        }
        if let Err(error) = self.0.store.renew_dead_letters(&out, Timestamp::now() + LEASE).await {
            tracing::debug!(%error, "dead letters on their way are not held longer");
        }
    }

    /// Opens letters again that were handed out and never settled (the drain deadline passed); answers how many.
    ///
    /// # Errors
    /// The store cannot: they stay `retrying` until their lease has passed.
    pub async fn release(&self) -> Result<usize, Error> {
        let left: Vec<i64> = std::mem::take(&mut self.0.progress().out).into_keys().collect();
        if self.0.way.dry_run {
            return Ok(0);
        }
        Ok(self.0.settle(&left, Settled::Open).await?.len())
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle(&self, ids: &[i64], to: Settled<'_>) -> Result<Vec<i64>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = || self.store.settle_dead_letters(ids, &[DeadLetterState::Retrying], to);
        retry::hold(self.store.health(), "settle dead letters", call).await
    }

    /// How many may be handed out now.
    fn room(&self, room: usize) -> usize {
        let progress = self.progress();
        let Some(most) = self.way.stop_after_failures else { return room.min(CHUNK) };
        let left = most.saturating_sub(progress.tally.failed() + progress.out.len() as u64);
        room.min(CHUNK).min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Whether there is nothing more to hand out.
    fn is_done(&self) -> bool {
        let progress = self.progress();
        let too_many = self.way.stop_after_failures.is_some_and(|most| progress.tally.failed() >= most);
        progress.waiting.is_empty() || too_many
    }

    /// Takes the next letters for this replay, with their payloads.
    async fn take(&self, room: usize) -> Result<Vec<DeadLetter>, Error> {
        let next: Vec<i64> = self.progress().waiting.iter().copied().take(room).collect();
        // Counted as out before they are: should this be dropped in between, they are released at the end.
        self.progress().out.extend(next.iter().map(|id| (*id, Held::default())));
        let filter = DeadLetterFilter { ids: self.claim(&next).await?, payload: true, ..DeadLetterFilter::default() };
        let read = || self.store.dead_letters(&filter);
        let mut letters = if filter.ids.is_empty() {
            Vec::new()
        } else {
            retry::hold(self.store.health(), "read dead letters", read).await?
        };
        if self.way.dry_run {
            letters.retain(|letter| self.way.from.contains(&letter.state));
        }
        let there = |id: &i64| letters.iter().any(|letter| letter.id == *id);
        let mut progress = self.progress();
        progress.waiting.drain(..next.len());
        let over: Vec<i64> = next.iter().copied().filter(|id| !there(id)).collect();
        over.iter().for_each(|id| drop(progress.out.remove(id)));
        progress.tally.passed_over += over.len() as u64;
        progress.passed_over.extend(over);
        Ok(letters)
    }

    /// Of these, those that are ours from now on.
    async fn claim(&self, ids: &[i64]) -> Result<Vec<i64>, Error> {
        if self.way.dry_run || ids.is_empty() {
            return Ok(ids.to_vec());
        }
        let call = || self.store.claim_dead_letters(ids, &self.way.from, Timestamp::now() + LEASE);
        retry::hold(self.store.health(), "claim dead letters", call).await
    }

    fn message(&self, letter: DeadLetter) -> Message<Kill> {
        let DeadLetter { id, attempts, fingerprint, letter, .. } = letter;
        let known = self.known.get();
        let done = letter.sinks_done.iter().filter_map(|name| known?.writer.batcher(name));
        let delivered = done.fold(Delivered::default(), Delivered::with);
        let mut kill = Kill::new(letter.payload.clone().into(), "dead_letters", Timestamp::now(), true);
        let begin = known.filter(|_| !self.way.from_start).map_or(0, |known| known.begin(&letter, &mut kill));
        // With the sinks that have it, it is no copy of itself.
        kill.revises |= delivered != Delivered::default();
        let began_at = (begin > 0).then_some(letter.stage);
        self.progress().out.insert(id, Held { fingerprint, began_at });
        let mut message = Message::new(kill).with_position(0, id.unsigned_abs());
        message = message.with_delivered(delivered).with_begin(begin);
        message.put_metadata(LETTER, id.to_string());
        message.put_metadata(ATTEMPTS, attempts.to_string());
        message
    }

    async fn failed_again(&self, message: &Message<Kill>) -> Result<(), Error> {
        let Some(known) = self.known.get() else { return Ok(()) };
        let again = [(id(message), known.writer.letter(message, Timestamp::now()))];
        let call = || self.store.dead_letters_failed_again(&again);
        retry::hold(self.store.health(), "keep dead letters", call).await.map(drop)
    }

    /// Notes what became of these, and says so.
    fn tell(&self, messages: &[&Message<Kill>]) {
        for message in messages {
            let held = self.progress().out.remove(&id(message)).unwrap_or_default();
            let (told, bytes) = self.told(message, held);
            let mut progress = self.progress();
            match told.outcome {
                Outcome::Replayed | Outcome::WouldSucceed => progress.tally.replayed += 1,
                Outcome::SameFailure => progress.tally.same_failure += 1,
                _ => progress.tally.new_failure += 1,
            }
            drop(progress);
            self.reports.add(told, bytes);
        }
    }

    fn told(&self, message: &Message<Kill>, held: Held) -> (Told, usize) {
        let known = self.known.get();
        let kill = &message.payload;
        let failed: Option<NewDeadLetter> =
            known.filter(|_| !is_through(message)).map(|known| known.writer.letter(message, Timestamp::now()));
        let now = failed.as_ref().map(|letter| fingerprint(letter).hash);
        let outcome = match &now {
            None if self.way.dry_run => Outcome::WouldSucceed,
            None => Outcome::Replayed,
            Some(now) if *now == held.fingerprint => Outcome::SameFailure,
            Some(_) => Outcome::NewFailure,
        };
        let rows = message.metadata(REHEARSED).filter(|_| self.way.diff && failed.is_none());
        let bytes = rows.map_or(0, str::len);
        let killmail_id = kill.mail.as_ref().map(|mail| mail.killmail_id.get());
        let told = Told {
            id: id(message),
            pipeline: known.map(|known| known.topology.name.clone()).unwrap_or_default(),
            killmail_id: killmail_id.or_else(|| failed.as_ref()?.killmail_id.map(|id| id.get())),
            outcome,
            began_at: held.began_at,
            stage: failed.as_ref().map(|letter| letter.stage.clone()),
            class: failed.as_ref().map(|letter| letter.class.clone()),
            error: failed.as_ref().map(|letter| letter.error.clone()),
            fingerprint: now,
            rows: rows.map(|rows| serde_json::from_str(rows).unwrap_or_default()),
        };
        (told, bytes)
    }
}

impl Known {
    /// At which stage the letter begins; the kill is put back to where it was. 0: with its bytes.
    fn begin(&self, letter: &NewDeadLetter, kill: &mut Kill) -> usize {
        let Some(begin) = self.topology.begin_at(&letter.stage) else { return 0 };
        let stages: Vec<&str> = self.topology.stages().take(begin).collect();
        let is_there = letter.progress.as_ref().is_some_and(|written| progress::read(kill, written, &stages));
        if is_there { begin } else { 0 }
    }
}

fn id(message: &Message<Kill>) -> i64 {
    message.position() as i64
}

fn is_through(message: &Message<Kill>) -> bool {
    matches!(message.outcome(), Settlement::Successful | Settlement::Filtered)
}

#[async_trait]
impl Factory<Kill> for Source {
    async fn build(&self, _index: usize) -> Result<Box<dyn broadside_engine::Source<Kill>>, Failure> {
        Ok(Box::new(Reader(self.0.clone())))
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledger<Kill>> {
        self.0.clone()
    }
}

/// One incarnation; what was handed out is known to all of them.
struct Reader(Arc<Shared>);

#[async_trait]
impl broadside_engine::Source<Kill> for Reader {
    async fn pull(&mut self, demand: &mut Demand<Kill>) -> Result<Flow, Failure> {
        if self.0.is_done() {
            return Ok(Flow::Finished);
        }
        let room = self.0.room(demand.room());
        if room == 0 {
            // those that are out may be the last that may fail
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_millis(10)) => {}
                () = demand.interrupted() => {}
            }
            return Ok(Flow::More);
        }
        let letters = tokio::select! {
            letters = self.0.take(room) => letters,
            // Letters that were taken and are not handed out are released at the end.
            () = demand.interrupted() => return Ok(Flow::More),
        };
        let letters = letters.map_err(|error| Failure::permanent(format!("read dead letters: {error}")))?;
        letters.into_iter().for_each(|letter| demand.push(self.0.message(letter)));
        Ok(Flow::More)
    }
}

#[async_trait]
impl Acknowledger<Kill> for Shared {
    async fn acknowledge(&self, _reference: u64, messages: &mut [Message<Kill>]) {
        if self.way.dry_run {
            return self.tell(&messages.iter().collect::<Vec<_>>());
        }
        let through: Vec<i64> = messages.iter().filter(|message| is_through(message)).map(id).collect();
        let mut settled: Vec<&Message<Kill>> = Vec::with_capacity(messages.len());
        match self.settle(&through, Settled::Replayed).await {
            Ok(_) => settled.extend(messages.iter().filter(|message| is_through(message))),
            // They are released at the end, and go through another time.
            Err(error) => tracing::error!(%error, letters = through.len(), "failed to mark dead letters as replayed"),
        }
        for message in messages.iter().filter(|message| !is_through(message)) {
            // No keeper, or one that could not write it down: once more here, else it is released at the end.
            let kept = match message.outcome() {
                Settlement::Failed => self.failed_again(message).await,
                _ => Ok(()),
            };
            match kept {
                Ok(()) => settled.push(message),
                Err(error) => tracing::error!(%error, letter = id(message), "failed to keep a dead letter"),
            }
        }
        self.tell(&settled);
    }
}
