//! Types for Janice, asked for together.
//!
//! The first type that is needed begins a round; others join it for a few milliseconds (`gather`), and for as long as another round is under way. A round that
//! has room is filled up with types that are likely to be needed ([`fill`]): so all types there are cost some fifty calls, whether kills come by the thousand or one by one.
//! One call is under way at a time.
//!
//! A type that is absent from an answer is unknown to Janice, or its line was lost. Of one that is on the market, or that Janice has ever priced, the second is
//! likelier: it is asked for up to twice more when it is needed, before it counts as unknown. Once more only while more such types are absent than have a price:
//! then Janice knows little, and asking for the rest again and again would cost more calls than it is worth.
//!
//! After a call that failed Janice is left alone for a second, then for longer: whoever needs it meanwhile does without.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics::counter;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::fill::{Standing, candidates, fill};
use super::keeper::Keeper;
use super::round::{End, Round, add};
use super::settings::{Janice as Settings, Settings as All};
use super::tasks::Tasks;
use crate::clients::janice::{Error, Janice, LINES_MAX};
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Quote, Source};
use crate::statics::{Shelf, Statics};

/// Times that a line may be lost …
const ABSENCES: u8 = 3;
/// … while more are absent than priced.
const ABSENCES_OF_MANY: u8 = 2;
/// After the first failure; each further one doubles it …
const REST: Duration = Duration::from_secs(1);
/// … up to here.
const REST_MOST: Duration = Duration::from_secs(8);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Bulk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    janice: Janice,
    settings: Settings,
    gather: Duration,
    patience: Duration,
    board: Arc<Board>,
    shelf: Arc<Shelf>,
    keeper: Keeper,
    state: Mutex<State>,
    /// One call is under way at a time.
    turn: Semaphore,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct State {
    collecting: Option<Arc<Wave>>,
    /// Types in rounds that have not ended.
    asked: HashMap<TypeId, Arc<Round>>,
    /// Since when each call is under way.
    flying: Vec<Instant>,
    absences: HashMap<TypeId, u8>,
    rest: Option<Rest>,
    candidates: Option<(Arc<Statics>, Arc<[TypeId]>)>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
}

/// A round that types still join.
#[derive(Debug)]
struct Wave {
    round: Arc<Round>,
    types: Mutex<Vec<TypeId>>,
    full: CancellationToken,
}

impl Bulk {
    pub(super) fn new(janice: Janice, all: &All, board: Arc<Board>, shelf: Arc<Shelf>, keeper: Keeper) -> Self {
        Self(Arc::new(Inner {
            janice,
            settings: all.janice.clone(),
            gather: all.gather.0,
            patience: all.patience.0,
            board,
            shelf,
            keeper,
            state: Mutex::default(),
            turn: Semaphore::new(1),
            tasks: Tasks::default(),
        }))
    }

    /// Whether Janice is known to be down: nothing can be had of it now.
    pub(super) fn is_down(&self) -> bool {
        let now = Instant::now();
        self.0.janice.rests_for().is_some() || self.state().rest.is_some_and(|rest| now < rest.until)
    }

    /// Whether a call has been under way for nearly as long as anybody waits.
    pub(super) fn is_stuck(&self) -> bool {
        let now = Instant::now();
        self.state().flying.iter().any(|since| now.saturating_duration_since(*since) > self.0.patience * 3 / 4)
    }

    /// Rounds that these types are in, begun where there are none. A type that is refused, for too many are waiting, is in none.
    pub(super) fn ask(&self, types: &[TypeId]) -> Vec<Arc<Round>> {
        let mut rounds = Vec::new();
        let mut state = self.state();
        for type_id in types {
            if let Some(round) = state.asked.get(type_id) {
                add(&mut rounds, round);
                continue;
            }
            let Some(wave) = state.collecting.clone().or_else(|| self.begin(&mut state)) else { continue };
            state.asked.insert(*type_id, wave.round.clone());
            add(&mut rounds, &wave.round);
            let mut joined = wave.types.lock().unwrap_or_else(PoisonError::into_inner);
            joined.push(*type_id);
            if joined.len() >= LINES_MAX {
                state.collecting = None;
                wave.full.cancel();
            }
        }
        rounds
    }

    fn begin(&self, state: &mut State) -> Option<Arc<Wave>> {
        let wave = Arc::new(Wave { round: Round::new(), types: Mutex::default(), full: CancellationToken::new() });
        let (bulk, flying) = (self.clone(), wave.clone());
        let has_room = self.0.tasks.spawn(async move {
            let mut flight = Flight { bulk: bulk.clone(), round: flying.round.clone(), since: None, end: End::Failed };
            bulk.fly(&flying, &mut flight).await;
        });
        has_room.then(|| state.collecting.insert(wave).clone())
    }

    async fn fly(&self, wave: &Arc<Wave>, flight: &mut Flight) {
        tokio::select! {
            () = wave.full.cancelled() => {}
            () = sleep(self.0.gather) => {}
        }
        // Nobody closes it. One at a time: so a pause that is asked for is known before the next goes out.
        let _turn = self.0.turn.acquire().await;
        let since = Instant::now();
        flight.since = Some(since);
        let types = self.close(wave, since);
        match self.0.janice.prices(self.0.settings.choice(), &types).await {
            Ok(answer) => {
                self.land(&types, &answer);
                self.state().rest = None;
                flight.end = End::Answered;
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Nobody joins any more; room is filled up.
    fn close(&self, wave: &Arc<Wave>, now: Instant) -> Vec<TypeId> {
        let mut state = self.state();
        if state.collecting.as_ref().is_some_and(|collecting| Arc::ptr_eq(collecting, wave)) {
            state.collecting = None;
        }
        let mut types = std::mem::take(&mut *wave.types.lock().unwrap_or_else(PoisonError::into_inner));
        let needed = types.len();
        if needed < LINES_MAX {
            let candidates = self.candidates(&mut state);
            let look = self.0.board.look();
            let side = look.side(Source::Janice, self.0.settings.market);
            let ttl = self.0.settings.ttl.0;
            let standing = |type_id: TypeId| match side.and_then(|side| side.get(&type_id)) {
                _ if state.asked.contains_key(&type_id) => Standing::Known,
                Some(known) if known.is_within(ttl * 9 / 10, now) => Standing::Known,
                Some(known) if known.is_within(ttl, now) => Standing::Expiring,
                _ if state.absences.contains_key(&type_id) => Standing::Lost,
                Some(_) | None => Standing::Unknown,
            };
            fill(&mut types, LINES_MAX, &candidates, standing);
        }
        state.flying.push(now);
        types[needed..].iter().for_each(|type_id| drop(state.asked.insert(*type_id, wave.round.clone())));
        drop(state);
        counter!("broadside_price_types_asked_total", "service" => "janice", "why" => "needed")
            .increment(needed as u64);
        let filled = (types.len() - needed) as u64;
        counter!("broadside_price_types_asked_total", "service" => "janice", "why" => "filled").increment(filled);
        types
    }

    fn candidates(&self, state: &mut State) -> Arc<[TypeId]> {
        let statics = self.0.shelf.current();
        match &state.candidates {
            Some((of, candidates)) if Arc::ptr_eq(of, &statics) => candidates.clone(),
            _ => {
                let candidates = candidates(&statics);
                state.candidates = Some((statics, candidates.clone()));
                candidates
            }
        }
    }

    /// Puts an answer on the board.
    fn land(&self, types: &[TypeId], answer: &HashMap<TypeId, Option<Cents>>) {
        let (source, market, fetched_at) = (Source::Janice, self.0.settings.market, Timestamp::now());
        let quote = |(type_id, price): (&TypeId, &Option<Cents>)| {
            Some(Quote { type_id: *type_id, source, market, price: (*price)?, fetched_at })
        };
        let quotes: Vec<Quote> = answer.iter().filter_map(quote).collect();
        let mut none: Vec<TypeId> =
            answer.iter().filter(|(_, price)| price.is_none()).map(|(type_id, _)| *type_id).collect();
        let absent: Vec<TypeId> = types.iter().filter(|type_id| !answer.contains_key(type_id)).copied().collect();
        let (lost, unknown) = self.sorted(absent);
        let priced = self.priced() + quotes.len();
        {
            let mut state = self.state();
            let most = if state.absences.len() + lost.len() <= priced { ABSENCES } else { ABSENCES_OF_MANY };
            state.absences.retain(|type_id, _| !answer.contains_key(type_id));
            for type_id in lost {
                let absences = state.absences.entry(type_id).or_default();
                *absences += 1;
                if *absences >= most {
                    state.absences.remove(&type_id);
                    none.push(type_id);
                }
            }
        }
        self.0.board.put(&quotes);
        self.0.board.put_none(source, market, none.into_iter().chain(unknown));
        self.0.keeper.keep(&quotes);
    }

    /// Types of which Janice has told a price.
    fn priced(&self) -> usize {
        let look = self.0.board.look();
        let side = look.side(Source::Janice, self.0.settings.market);
        side.map_or(0, |side| side.values().filter(|known| known.price.is_some()).count())
    }

    /// Of types that are absent from an answer, those that Janice should know; and the others.
    fn sorted(&self, absent: Vec<TypeId>) -> (Vec<TypeId>, Vec<TypeId>) {
        let statics = self.0.shelf.current();
        let look = self.0.board.look();
        let side = look.side(Source::Janice, self.0.settings.market);
        let was_priced =
            |type_id: &TypeId| side.and_then(|side| side.get(type_id)).is_some_and(|known| known.price.is_some());
        let is_on_market = |type_id: &TypeId| statics.types.get(type_id).is_some_and(|kind| kind.is_on_market);
        absent.into_iter().partition(|type_id| is_on_market(type_id) || was_priced(type_id))
    }

    fn failed(&self, error: &Error) {
        let mut state = self.state();
        let length = state.rest.map_or(REST, |rest| (rest.length * 2).min(REST_MOST));
        if state.rest.is_none() {
            tracing::warn!("prices come from elsewhere for now: failed to {error}");
        } else {
            tracing::debug!("failed to {error}");
        }
        state.rest = Some(Rest { until: Instant::now() + length, length });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a round however its call went.
struct Flight {
    bulk: Bulk,
    round: Arc<Round>,
    since: Option<Instant>,
    end: End,
}

impl Drop for Flight {
    fn drop(&mut self) {
        {
            let mut state = self.bulk.state();
            state.asked.retain(|_, round| !Arc::ptr_eq(round, &self.round));
            if let Some(at) = self.since.and_then(|since| state.flying.iter().position(|flying| *flying == since)) {
                state.flying.swap_remove(at);
            }
            if state.collecting.as_ref().is_some_and(|wave| Arc::ptr_eq(&wave.round, &self.round)) {
                state.collecting = None;
            }
        }
        // From here on whoever asks begins another.
        self.round.end(self.end);
    }
}
