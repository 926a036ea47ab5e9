//! Hands dead letters out again: the source of a replay.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use broadside_engine::{Acknowledger, Delivered, Demand, Factory, Failure, Flow, Message, Outcome, Topology};
use jiff::{SignedDuration, Timestamp};

use super::letter::Writer;
use super::{ATTEMPTS, LETTER, Origin};
use crate::killmail::Kill;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetterState, Error, Settled, Store, retry};

/// Letters read at once: their payloads are in memory until they are settled.
const CHUNK: usize = 100;
/// How long a letter may be on its way before it counts as left behind.
const LEASE: SignedDuration = SignedDuration::from_mins(10);

/// The source, by which raw bytes go through all stages again; sinks that have a letter already are passed over.
///
/// A letter is `retrying` from when it is handed out until it is settled: then `replayed`, or `open` again with the new cause.
/// Finite: ends when all were handed out.
#[derive(Debug, Clone)]
pub struct Source(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    /// Letters that are in none of these states are passed over.
    from: Vec<DeadLetterState>,
    writer: OnceLock<Writer>,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    waiting: VecDeque<i64>,
    out: BTreeSet<i64>,
    tally: Tally,
}

/// What became of the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Went through.
    pub replayed: u64,
    /// Failed again.
    pub failed: u64,
    /// Not in a state to be handed out: somebody else has it, or it is done.
    pub passed_over: u64,
}

impl Source {
    /// Hands out `ids`, as far as they are in one of the states `from`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ids: impl IntoIterator<Item = i64>, from: &[DeadLetterState]) -> Self {
        let progress = Progress { waiting: ids.into_iter().collect(), ..Progress::default() };
        Self(Arc::new(Shared { store, from: from.to_vec(), writer: OnceLock::new(), progress: Mutex::new(progress) }))
    }

    /// Tells the shape of the pipeline that it feeds, by which the names of sinks are understood. To be called before the pipeline is started.
    pub fn feeds(&self, topology: &Topology) {
        let _ = self.0.writer.set(Writer::new(topology, Origin::default()));
    }

    /// What became of the letters so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.progress().tally
    }

    /// Opens letters again that were handed out and never settled (the drain deadline passed); answers how many.
    ///
    /// # Errors
    /// The store cannot: they stay `retrying`.
    pub async fn release(&self) -> Result<usize, Error> {
        let left: Vec<i64> = std::mem::take(&mut self.0.progress().out).into_iter().collect();
        let moved = self.0.settle(&left, Settled::Open).await?;
        Ok(moved.len())
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
        retry::hold(self.store.health(), "move dead letters", call).await
    }

    /// Takes the next letters for this replay, with their payloads.
    async fn take(&self, room: usize) -> Result<Vec<DeadLetter>, Error> {
        let next: Vec<i64> = self.progress().waiting.iter().copied().take(room.min(CHUNK)).collect();
        // Counted as out before they are: should this be dropped in between, they are released at the end.
        self.progress().out.extend(&next);
        let until = Timestamp::now() + LEASE;
        let call = || self.store.claim_dead_letters(&next, &self.from, until);
        let taken = retry::hold(self.store.health(), "claim dead letters", call).await?;
        {
            let mut progress = self.progress();
            progress.waiting.drain(..next.len());
            progress.out.retain(|id| !next.contains(id) || taken.binary_search(id).is_ok());
            progress.tally.passed_over += (next.len() - taken.len()) as u64;
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let filter = DeadLetterFilter { ids: taken, payload: true, ..DeadLetterFilter::default() };
        retry::hold(self.store.health(), "read dead letters", || self.store.dead_letters(&filter)).await
    }

    async fn failed_again(&self, message: &Message<Kill>) -> Result<(), Error> {
        let Some(writer) = self.writer.get() else { return Ok(()) };
        let letter = writer.letter(message, Timestamp::now());
        let again = [(message.position() as i64, letter)];
        let call = || self.store.dead_letters_failed_again(&again);
        retry::hold(self.store.health(), "keep dead letters", call).await.map(drop)
    }

    fn message(&self, letter: DeadLetter) -> Message<Kill> {
        let id = letter.id;
        let known = self.writer.get();
        let attempts = letter.attempts;
        let done = letter.letter.sinks_done.iter().filter_map(|name| known?.batcher(name));
        let delivered = done.fold(Delivered::default(), Delivered::with);
        let kill = Kill::new(letter.letter.payload.into(), "dead_letters", Timestamp::now(), true);
        let mut message = Message::new(kill).with_position(0, id.unsigned_abs()).with_delivered(delivered);
        message.put_metadata(LETTER, id.to_string());
        message.put_metadata(ATTEMPTS, attempts.to_string());
        message
    }
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
        if self.0.progress().waiting.is_empty() {
            return Ok(Flow::Finished);
        }
        let letters = tokio::select! {
            letters = self.0.take(demand.room()) => letters,
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
        let id = |message: &Message<Kill>| message.position() as i64;
        let is_through = |m: &&Message<Kill>| matches!(m.outcome(), Outcome::Successful | Outcome::Filtered);
        let through: Vec<i64> = messages.iter().filter(is_through).map(id).collect();
        if let Err(error) = self.settle(&through, Settled::Replayed).await {
            tracing::error!(%error, letters = through.len(), "failed to mark dead letters as replayed");
            return;
        }
        let mut settled: Vec<i64> = messages.iter().map(id).collect();
        for message in messages.iter().filter(|message| message.outcome() == Outcome::Failed) {
            // No keeper, or one that could not write it down: once more here, else it is released at the end.
            if let Err(error) = self.failed_again(message).await {
                tracing::error!(%error, letter = id(message), "failed to keep a dead letter");
                settled.retain(|settled| *settled != id(message));
            }
        }
        let mut progress = self.progress();
        progress.tally.replayed += through.len() as u64;
        progress.tally.failed += (messages.len() - through.len()) as u64;
        progress.out.retain(|id| !settled.contains(id));
    }
}
