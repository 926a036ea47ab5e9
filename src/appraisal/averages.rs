//! ESI's averages: one list for all types, asked for once and again when it has expired.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::keeper::Keeper;
use super::round::{End, Round};
use super::tasks::Tasks;
use crate::clients::esi::{Ask, Esi};
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Quote, Source};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// After a failure it is left alone.
const REST: Duration = Duration::from_secs(20);
/// A list that cannot be renewed serves on for so long.
const STALE: Duration = Duration::from_secs(24 * 3600);

type List = Arc<HashMap<TypeId, Cents>>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Averages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    esi: Esi,
    keeper: Keeper,
    state: Mutex<State>,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct State {
    list: Option<(List, Instant)>,
    /// Since when a call is under way.
    round: Option<(Arc<Round>, Instant)>,
    again_at: Option<Instant>,
}

impl Averages {
    pub(super) fn new(esi: Esi, keeper: Keeper) -> Self {
        Self(Arc::new(Inner { esi, keeper, state: Mutex::default(), tasks: Tasks::default() }))
    }

    /// What was kept of a list that holds for so long still.
    pub(super) fn seed(&self, quotes: &[Quote], holds: Duration) {
        let list = quotes.iter().map(|quote| (quote.type_id, quote.price)).collect();
        self.put(list, holds);
    }

    /// The list, if there is one; one that has expired while it is being renewed.
    pub(super) fn list(&self) -> Option<List> {
        self.state(|state| state.list.clone())
            .filter(|(_, until)| Instant::now() < *until + STALE)
            .map(|(list, _)| list)
    }

    /// Begins a call for the list, unless there is one that holds.
    pub(super) fn keep_fresh(&self) {
        if self.state(|state| state.list.as_ref().is_none_or(|(_, until)| Instant::now() >= *until)) {
            self.ask();
        }
    }

    /// A call for it, begun if there is none; `None`: it failed of late.
    pub(super) fn ask(&self) -> Option<Arc<Round>> {
        let now = Instant::now();
        let (round, is_new) = self.state(|state| match &state.round {
            Some((round, _)) => Some((round.clone(), false)),
            None if state.again_at.is_some_and(|again_at| now < again_at) => None,
            None => Some((state.round.insert((Round::new(), now)).0.clone(), true)),
        })?;
        if is_new {
            let (averages, task_round) = (self.clone(), round.clone());
            let work = async move {
                let mut ending = Ending { averages: averages.clone(), round: task_round, end: End::Failed };
                ending.end = averages.renew().await;
            };
            if !self.0.tasks.spawn(work) {
                self.over(&round, End::Failed);
            }
        }
        Some(round)
    }

    /// Whether a call has been under way for nearly as long as anybody waits.
    pub(super) fn is_stuck(&self, patience: Duration) -> bool {
        let since = self.state(|state| state.round.as_ref().map(|(_, since)| *since));
        since.is_some_and(|since| since.elapsed() > patience * 3 / 4)
    }

    async fn renew(&self) -> End {
        match self.0.esi.average_prices(Ask::live(CALL)).await {
            Ok(answer) => {
                let fetched_at = Timestamp::now();
                let quote = |(type_id, price): &(TypeId, Cents)| Quote {
                    type_id: *type_id,
                    source: Source::Esi,
                    market: 0,
                    price: *price,
                    fetched_at,
                };
                self.0.keeper.keep(&answer.prices.iter().map(quote).collect::<Vec<_>>());
                self.put(answer.prices.into_iter().collect(), answer.holds);
                End::Answered
            }
            Err(error) => {
                tracing::debug!("ESI's averages are not there: failed to {error}");
                self.state(|state| state.again_at = Some(Instant::now() + REST));
                End::Failed
            }
        }
    }

    fn put(&self, list: HashMap<TypeId, Cents>, holds: Duration) {
        self.state(|state| state.list = Some((Arc::new(list), Instant::now() + holds)));
    }

    fn over(&self, round: &Round, end: End) {
        self.state(|state| state.round = None);
        round.end(end);
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends a round however its call went.
struct Ending {
    averages: Averages,
    round: Arc<Round>,
    end: End,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.averages.over(&self.round, self.end);
    }
}
