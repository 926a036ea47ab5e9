//! Abyssal types for MutaMarket, one after the other, at its pace of about a call a second.
//!
//! What such a module is worth depends on its rolls, which no killmail tells: so a type costs the median of what the modules of that type that are listed are
//! estimated at, if there are enough of them. All pages of the list are read, five at most; but beyond the first of each, only six and half as many as there are
//! types in all, so that abyssal types, few as they are, do not cost more calls than all others together. The first few types may use what later ones do without.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::board::Board;
use super::keeper::Keeper;
use super::round::{End, Round, add};
use super::settings::Mutamarket as Settings;
use super::tasks::Tasks;
use crate::clients::mutamarket::{Error, Mutamarket};
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Quote, Source};

/// Types that wait at most: there are some hundred.
const WAITING_MAX: usize = 1_000;
/// Pages of a type.
const PAGES_MAX: u32 = 5;
/// What may be spent on pages beyond the first, at [`PAGE`] each, before types that need none have made room for them.
const CREDIT: u32 = 12;
const CREDIT_MOST: u32 = 40;
/// Each type that is asked for adds 1.
const PAGE: u32 = 2;
/// Between two calls.
const PACE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Abyssal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Mutamarket,
    settings: Settings,
    board: Arc<Board>,
    keeper: Keeper,
    state: Mutex<State>,
    tasks: Tasks,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<(TypeId, Arc<Round>)>,
    asked: HashMap<TypeId, Arc<Round>>,
    is_at_work: bool,
    credit: u32,
}

impl Abyssal {
    pub(super) fn new(client: Mutamarket, settings: Settings, board: Arc<Board>, keeper: Keeper) -> Self {
        let state = State { waiting: VecDeque::new(), asked: HashMap::new(), is_at_work: false, credit: CREDIT };
        Self(Arc::new(Inner { client, settings, board, keeper, state: Mutex::new(state), tasks: Tasks::default() }))
    }

    /// Whether MutaMarket is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.0.client.rests_for().is_some()
    }

    /// Queues what is not queued yet. Answers the rounds of those that may be over within `patience`; the others are too far behind to be waited for.
    pub(super) fn ask(&self, types: &[TypeId], patience: Duration) -> Vec<Arc<Round>> {
        let mut rounds = Vec::new();
        let mut state = self.state();
        for type_id in types {
            let round = match state.asked.get(type_id) {
                Some(round) => round.clone(),
                None if state.waiting.len() >= WAITING_MAX => continue,
                None => {
                    let round = Round::new();
                    state.waiting.push_back((*type_id, round.clone()));
                    state.asked.insert(*type_id, round.clone());
                    round
                }
            };
            let before = state.waiting.iter().position(|(waiting, _)| waiting == type_id).unwrap_or(0);
            if PACE * before as u32 <= patience {
                add(&mut rounds, &round);
            }
        }
        if !state.is_at_work && !state.waiting.is_empty() {
            let abyssal = self.clone();
            state.is_at_work = self.0.tasks.spawn(async move {
                let mut at_work = AtWork(Some(abyssal.clone()));
                abyssal.work().await;
                at_work.0 = None;
            });
        }
        rounds
    }

    async fn work(&self) {
        loop {
            let next = {
                let mut state = self.state();
                state.is_at_work = !state.waiting.is_empty();
                state.waiting.pop_front()
            };
            let Some((type_id, round)) = next else { return };
            let end = match self.median(type_id).await {
                Ok(median) => {
                    self.put(type_id, median);
                    End::Answered
                }
                Err(error) => {
                    tracing::debug!(%type_id, "an abyssal type gets another price: failed to {error}");
                    End::Failed
                }
            };
            self.state().asked.remove(&type_id);
            round.end(end);
        }
    }

    async fn median(&self, type_id: TypeId) -> Result<Option<Cents>, Error> {
        {
            let mut state = self.state();
            state.credit = (state.credit + 1).min(CREDIT_MOST);
        }
        let mut values = Vec::new();
        for number in 1..=PAGES_MAX {
            let page = self.0.client.modules(type_id, number).await?;
            values.extend(page.values);
            if !page.has_next || !self.may_go_on() {
                break;
            }
        }
        Ok(median(values, self.0.settings.least))
    }

    fn may_go_on(&self) -> bool {
        let mut state = self.state();
        let left = state.credit.checked_sub(PAGE);
        state.credit = left.unwrap_or(state.credit);
        left.is_some()
    }

    fn put(&self, type_id: TypeId, median: Option<Cents>) {
        match median {
            Some(price) => {
                let fetched_at = Timestamp::now();
                let quote = Quote { type_id, source: Source::Mutamarket, market: 0, price, fetched_at };
                self.0.board.put(&[quote]);
                self.0.keeper.keep(&[quote]);
            }
            None => self.0.board.put_none(Source::Mutamarket, 0, [type_id]),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Should whoever works through the queue be cut off, nobody waits in vain.
struct AtWork(Option<Abyssal>);

impl Drop for AtWork {
    fn drop(&mut self) {
        let Some(abyssal) = &self.0 else { return };
        let mut state = abyssal.state();
        state.is_at_work = false;
        state.waiting.clear();
        let left: Vec<_> = state.asked.drain().collect();
        drop(state);
        left.into_iter().for_each(|(_, round)| round.end(End::Failed));
    }
}

/// Of at least so many; of an even number the middle of the two in the middle, halves up.
fn median(mut values: Vec<Cents>, least: usize) -> Option<Cents> {
    if values.len() < least.max(1) {
        return None;
    }
    values.sort_unstable();
    let (low, high) = (values[(values.len() - 1) / 2].0, values[values.len() / 2].0);
    Some(Cents(low + (high - low + 1) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_needs_enough_values() {
        let of = |values: &[i64]| median(values.iter().copied().map(Cents).collect(), 3).map(|cents| cents.0);
        assert_eq!(of(&[5, 1]), None);
        assert_eq!(of(&[5, 1, 3]), Some(3));
        assert_eq!(of(&[5, 1, 4, 3]), Some(4), "3.5, halves up");
        assert_eq!(of(&[i64::MAX, i64::MAX, i64::MAX - 2, 1]), Some(i64::MAX - 1));
        assert_eq!(median(Vec::new(), 0), None);
    }
}
