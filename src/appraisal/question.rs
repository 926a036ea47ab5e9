//! What many types cost now: one question, answered type by type.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use metrics::{counter, gauge, histogram};
use tokio::time::{Instant, timeout_at};

use super::round::{End, Round};
use super::{Inner, Known, left, table};
use crate::killmail::TypeId;
use crate::market::Cents;
use crate::price::Source;
use crate::statics::Statics;

/// Meta group of abyssal modules.
const ABYSSAL: i64 = 15;
/// Times that a lost line is asked for, and some.
const PASSES_MAX: u32 = 8;

/// Why a price may be better later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delay {
    /// A service had not answered when the time was over.
    Slow,
    /// A service is down, or its call failed.
    Down,
}

/// What a type costs, as far as could be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) price: Option<(Source, Cents)>,
    pub(super) delay: Option<Delay>,
}

/// A type that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    type_id: TypeId,
    /// By [`Step`]: who is not asked any more.
    skipped: [bool; 4],
    delay: Option<Delay>,
}

impl Open {
    fn skip(&mut self, step: Step, delay: Option<Delay>) {
        self.skipped[step as usize] = true;
        self.delay = self.delay.max(delay);
    }
}

/// Who has to be asked before a type is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Mutamarket,
    Janice,
    Table,
    Esi,
}

/// What is being waited for.
type Rounds = Vec<(Step, Arc<Round>)>;

/// Waits for all; answers whose failed.
async fn ended(rounds: &Rounds) -> Vec<Step> {
    let ends = join_all(rounds.iter().map(|(_, round)| round.ended())).await;
    rounds.iter().zip(ends).filter(|(_, end)| *end == End::Failed).map(|((step, _), _)| *step).collect()
}

/// What is known of a type.
enum Seen {
    Final(Option<(Source, Cents)>),
    /// Janice's price, which will have grown old soon.
    Expiring(Cents),
    /// These are to be asked: the first, and Janice too when it is not the first.
    Lacks(Step, bool),
}

/// See the module.
pub(super) struct Question<'a> {
    inner: &'a Inner,
    statics: Arc<Statics>,
    deadline: Instant,
    found: HashMap<TypeId, Found>,
    open: Vec<Open>,
}

impl<'a> Question<'a> {
    pub(super) fn new(inner: &'a Inner, statics: Arc<Statics>, deadline: Instant) -> Self {
        Self { inner, statics, deadline, found: HashMap::new(), open: Vec::new() }
    }

    /// Every type with what could be found out by the deadline.
    pub(super) async fn answer(mut self, types: impl Iterator<Item = TypeId>) -> HashMap<TypeId, Found> {
        if let Some(averages) = &self.inner.averages {
            averages.keep_fresh();
        }
        self.take(types);
        if self.open.is_empty() {
            return self.found;
        }
        let started = Instant::now();
        for _ in 0..PASSES_MAX {
            self.pass().await;
            self.settle();
            if self.open.is_empty() {
                break;
            }
        }
        self.give_up();
        histogram!("broadside_price_wait_seconds").record(started.elapsed());
        self.found
    }

    /// Whether one of them lacks the answer of a service that is known to be down.
    pub(super) fn needs_what_is_down(mut self, types: impl Iterator<Item = TypeId>) -> bool {
        self.open = types.map(|type_id| Open { type_id, skipped: [false; 4], delay: None }).collect();
        let steps = self.lacking();
        let is_down = |step: Step| match step {
            Step::Mutamarket => self.inner.abyssal.as_ref().is_some_and(super::Abyssal::is_down),
            Step::Janice => self.inner.bulk.as_ref().is_some_and(super::Bulk::is_down),
            Step::Table | Step::Esi => false,
        };
        steps.iter().any(|(_, step, with_janice)| is_down(*step) || (*with_janice && is_down(Step::Janice)))
    }

    /// What is known at once.
    fn take(&mut self, types: impl Iterator<Item = TypeId>) {
        let mut asked = 0;
        self.open.extend(types.map(|type_id| {
            asked += 1;
            Open { type_id, skipped: [false; 4], delay: None }
        }));
        self.settle();
        if !self.open.is_empty() {
            self.open.sort_unstable_by_key(|open| open.type_id);
            self.open.dedup_by_key(|open| open.type_id);
        }
        let missed = self.open.len() as u64;
        counter!("broadside_cache_hits_total", "cache" => "prices").increment(asked - missed.min(asked));
        counter!("broadside_cache_misses_total", "cache" => "prices").increment(missed);
        gauge!("broadside_cache_entries", "cache" => "prices").set(self.inner.board.len() as f64);
    }

    /// Moves what can be answered to what is found.
    fn settle(&mut self) {
        let (now, look) = (Instant::now(), self.inner.board.look());
        let averages = self.inner.averages.as_ref().and_then(super::Averages::list);
        let (mut open, mut expiring) = (std::mem::take(&mut self.open), Vec::new());
        open.retain(|open| {
            let price = match self.seen(open, &look, averages.as_deref(), now) {
                Seen::Final(price) => price,
                Seen::Expiring(cents) => {
                    expiring.push(open.type_id);
                    Some((Source::Janice, cents))
                }
                Seen::Lacks(..) => return true,
            };
            self.found.insert(open.type_id, Found { price, delay: open.delay });
            false
        });
        drop(look);
        self.open = open;
        // Nobody waits for these: so nobody has to when they have expired.
        if let Some(bulk) = self.inner.bulk.as_ref().filter(|bulk| !expiring.is_empty() && !bulk.is_down()) {
            bulk.ask(&expiring);
        }
    }

    fn lacking(&self) -> Vec<(usize, Step, bool)> {
        let (now, look) = (Instant::now(), self.inner.board.look());
        let averages = self.inner.averages.as_ref().and_then(super::Averages::list);
        let lacks = |(at, open): (usize, &Open)| match self.seen(open, &look, averages.as_deref(), now) {
            Seen::Final(_) | Seen::Expiring(_) => None,
            Seen::Lacks(step, with_janice) => Some((at, step, with_janice)),
        };
        self.open.iter().enumerate().filter_map(lacks).collect()
    }

    fn seen(
        &self,
        open: &Open,
        look: &super::Look<'_>,
        averages: Option<&HashMap<TypeId, Cents>>,
        now: Instant,
    ) -> Seen {
        let (type_id, inner) = (open.type_id, self.inner);
        let kind = self.statics.types.get(&type_id);
        let known = |(source, market): (Source, i64), ttl| {
            let known = look.side(source, market)?.get(&type_id)?;
            known.is_within(ttl, now).then_some(*known)
        };
        let is_asked = |step: Step| !open.skipped[step as usize];
        let is_abyssal = kind.and_then(|kind| kind.meta_group_id).is_some_and(|meta| meta.get() == ABYSSAL);
        let (settings, ttl) = (&inner.settings, inner.settings.janice.ttl.0);
        let janice = inner.bulk.as_ref().and_then(|_| known((Source::Janice, settings.janice.market), ttl));
        let lacks_janice = inner.bulk.is_some() && janice.is_none() && is_asked(Step::Janice);
        if is_abyssal && inner.abyssal.is_some() {
            match known((Source::Mutamarket, 0), settings.mutamarket.ttl.0).map(|known| known.price) {
                Some(Some(cents)) => return Seen::Final(Some((Source::Mutamarket, cents))),
                None if is_asked(Step::Mutamarket) => return Seen::Lacks(Step::Mutamarket, lacks_janice),
                Some(None) | None => {}
            }
        }
        match janice {
            Some(Known { price: Some(cents), .. })
                if janice.is_some_and(|known| !known.is_within(ttl * 9 / 10, now)) =>
            {
                return Seen::Expiring(cents);
            }
            Some(Known { price: Some(cents), .. }) => return Seen::Final(Some((Source::Janice, cents))),
            None if lacks_janice => return Seen::Lacks(Step::Janice, false),
            Some(Known { price: None, .. }) | None => {}
        }
        match known(inner.table.side(), table::FRESH).map(|known| known.price) {
            Some(Some(cents)) => return Seen::Final(Some((Source::Market, cents))),
            None if is_asked(Step::Table) => return Seen::Lacks(Step::Table, false),
            Some(None) | None => {}
        }
        match averages {
            Some(averages) => {
                if let Some(cents) = averages.get(&type_id) {
                    return Seen::Final(Some((Source::Esi, *cents)));
                }
            }
            None if inner.averages.is_some() && is_asked(Step::Esi) => return Seen::Lacks(Step::Esi, false),
            None => {}
        }
        let base = kind.and_then(|kind| kind.base_price).filter(|cents| *cents > 0);
        Seen::Final(base.map(|cents| (Source::Base, Cents(cents))))
    }

    /// Asks everybody who has to be asked, and waits for them, no longer than the deadline.
    async fn pass(&mut self) {
        let lacking = self.lacking();
        let of = |wanted: Step| {
            let is_meant = move |(_, step, with_janice): &&(usize, Step, bool)| {
                *step == wanted || (wanted == Step::Janice && *with_janice)
            };
            lacking.iter().filter(is_meant).map(|(at, ..)| *at).collect::<Vec<usize>>()
        };
        let mut rounds = Rounds::default();
        self.ask_mutamarket(&of(Step::Mutamarket), &mut rounds);
        let janice = of(Step::Janice);
        self.ask_janice(&janice, &mut rounds);
        self.ask_esi(&of(Step::Esi), &mut rounds);
        // Who waits for Janice has our own prices at hand by the time that they may be needed.
        let table: Vec<usize> = of(Step::Table).into_iter().chain(janice).collect();
        let types = self.types(&table);
        let waited = async { tokio::join!(self.inner.table.read(&types), ended(&rounds)) };
        let Ok((read, failed)) = timeout_at(self.deadline, waited).await else { return self.give_up() };
        if let Err(error) = read {
            tracing::debug!(%error, "our own prices cannot be read");
            self.skip(&table, Step::Table, None);
        }
        for (at, step, with_janice) in self.lacking() {
            for step in [step].into_iter().chain(with_janice.then_some(Step::Janice)) {
                if failed.contains(&step) {
                    self.open[at].skip(step, Some(Delay::Down));
                }
            }
        }
    }

    fn ask_mutamarket(&mut self, of: &[usize], rounds: &mut Rounds) {
        let Some(abyssal) = self.inner.abyssal.as_ref().filter(|_| !of.is_empty()) else { return };
        if abyssal.is_down() {
            return self.skip(of, Step::Mutamarket, Some(Delay::Down));
        }
        for at in of {
            let asked = abyssal.ask(&[self.open[*at].type_id], left(self.deadline));
            if asked.is_empty() {
                self.skip(&[*at], Step::Mutamarket, Some(Delay::Slow));
            }
            rounds.extend(asked.into_iter().map(|round| (Step::Mutamarket, round)));
        }
    }

    fn ask_janice(&mut self, of: &[usize], rounds: &mut Rounds) {
        let Some(bulk) = self.inner.bulk.as_ref().filter(|_| !of.is_empty()) else { return };
        if bulk.is_down() {
            return self.skip(of, Step::Janice, Some(Delay::Down));
        }
        let asked = bulk.ask(&self.types(of));
        if asked.is_empty() || bulk.is_stuck() {
            return self.skip(of, Step::Janice, Some(Delay::Slow));
        }
        rounds.extend(asked.into_iter().map(|round| (Step::Janice, round)));
    }

    fn ask_esi(&mut self, of: &[usize], rounds: &mut Rounds) {
        let Some(averages) = self.inner.averages.as_ref().filter(|_| !of.is_empty()) else { return };
        match averages.ask() {
            Some(_) if averages.is_stuck(self.inner.settings.patience.0) => {
                self.skip(of, Step::Esi, Some(Delay::Slow));
            }
            Some(round) => rounds.push((Step::Esi, round)),
            None => self.skip(of, Step::Esi, Some(Delay::Down)),
        }
    }

    fn types(&self, of: &[usize]) -> Vec<TypeId> {
        of.iter().map(|at| self.open[*at].type_id).collect()
    }

    /// Does without a service for these.
    fn skip(&mut self, of: &[usize], step: Step, delay: Option<Delay>) {
        of.iter().for_each(|at| self.open[*at].skip(step, delay));
    }

    /// The time is over: what is known serves.
    fn give_up(&mut self) {
        for (at, step, with_janice) in self.lacking() {
            let open = &mut self.open[at];
            let delay = (step != Step::Table).then_some(Delay::Slow);
            open.skip(step, delay);
            if with_janice {
                open.skip(Step::Janice, delay);
            }
        }
        // Who would be next is not asked any more.
        let nobody = |open: &mut Open| open.skipped = [true; 4];
        if left(self.deadline).is_zero() {
            self.open.iter_mut().for_each(nobody);
        }
        self.settle();
        for open in std::mem::take(&mut self.open) {
            self.found.insert(open.type_id, Found { price: None, delay: open.delay });
        }
    }
}
