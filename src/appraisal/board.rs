//! The newest quote of each type, by who says so and on which market: shared by whoever asks for prices and by the job that keeps them warm.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::{Quote, Source};

/// Types of one source and market at most: ten times as many as there are. Beyond it the oldest half goes.
const TYPES_MAX: usize = 500_000;

/// A price that was had at some time, or the answer that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub price: Option<Cents>,
    /// `None`: longer ago than this machine's clock goes back.
    at: Option<Instant>,
}

impl Known {
    /// Whether it is as good as new.
    #[must_use]
    pub fn is_within(&self, age: Duration, now: Instant) -> bool {
        self.at.is_some_and(|at| now.saturating_duration_since(at) < age)
    }
}

type Sides = HashMap<(Source, i64), HashMap<TypeId, Known>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Board(RwLock<Sides>);

impl Board {
    /// Keeps quotes that are newer than what is known.
    pub fn put(&self, quotes: &[Quote]) {
        let (now, wall) = (Instant::now(), Timestamp::now());
        let mut sides = self.write();
        for quote in quotes {
            let age = Duration::try_from(wall.duration_since(quote.fetched_at)).unwrap_or_default();
            let known = Known { price: Some(quote.price), at: now.checked_sub(age) };
            keep(sides.entry((quote.source, quote.market)).or_default(), quote.type_id, known);
        }
    }

    /// This source has no price for these types there, as of now.
    pub fn put_none(&self, source: Source, market: i64, types: impl IntoIterator<Item = TypeId>) {
        let known = Known { price: None, at: Some(Instant::now()) };
        let mut sides = self.write();
        let side = sides.entry((source, market)).or_default();
        types.into_iter().for_each(|type_id| keep(side, type_id, known));
    }

    /// For many looks at one time. Nothing can be put while it is held: not across an await.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        Look(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many answers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.look().0.values().map(HashMap::len).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sides> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known at one time.
#[derive(Debug)]
pub struct Look<'a>(RwLockReadGuard<'a, Sides>);

impl Look<'_> {
    /// What one source says of one market.
    #[must_use]
    pub fn side(&self, source: Source, market: i64) -> Option<&HashMap<TypeId, Known>> {
        self.0.get(&(source, market))
    }
}

fn keep(side: &mut HashMap<TypeId, Known>, type_id: TypeId, known: Known) {
    if side.len() >= TYPES_MAX && !side.contains_key(&type_id) {
        let mut times: Vec<_> = side.values().map(|known| known.at).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        side.retain(|_, known| known.at > median);
    }
    let kept = side.entry(type_id).or_insert(known);
    if kept.at <= known.at {
        *kept = known;
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn quote(type_id: i64, cents: i64, age: i64) -> Quote {
        Quote {
            type_id: TypeId::new(type_id).expect("an id"),
            source: Source::Janice,
            market: 2,
            price: Cents(cents),
            fetched_at: Timestamp::now() - SignedDuration::from_secs(age),
        }
    }

    fn price(board: &Board, type_id: i64, within: u64) -> Option<Option<Cents>> {
        let look = board.look();
        let known = look.side(Source::Janice, 2)?.get(&TypeId::new(type_id)?)?;
        known.is_within(Duration::from_secs(within), Instant::now()).then_some(known.price)
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_quote_of_a_type_holds_until_it_is_too_old() {
        tokio::time::advance(Duration::from_secs(100_000)).await;
        let board = Board::default();
        board.put(&[quote(34, 7, 10), quote(34, 5, 60), quote(35, 1, 1_000_000_000)]);
        assert_eq!(price(&board, 34, 30), Some(Some(Cents(7))));
        assert_eq!(price(&board, 34, 5), None);
        assert_eq!(price(&board, 35, 1_000_000), None, "older than the clock");
        board.put_none(Source::Janice, 2, TypeId::new(34));
        assert_eq!(price(&board, 34, 5), Some(None));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(price(&board, 34, 30), None);
        assert_eq!(board.len(), 2);
    }
}
