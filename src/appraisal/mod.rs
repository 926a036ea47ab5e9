//! What types cost: now, or on a day that is over. Asked of all who say so, in this order:
//!
//! ```text
//! abyssal? ── MutaMarket's median (6 h) ─┐
//!          └─ Janice (1 h) ──────────────┴─► our own market prices ─► ESI's averages ─► the static data's base price
//! ```
//!
//! What is known and as good as new is answered at once, without an await ([`Board`]). What is not is asked for together with what others need
//! (`bulk`, `abyssal`, `averages`), and waited for until the caller's deadline, which wins over everything: then the next source serves, and the
//! price is marked as late, so that its kill is priced again. A service that is known to be down is not waited for at all.
//!
//! Calls run as tasks of the appraiser's own, few and bounded in time: a caller that goes takes nothing from the others. What was fetched is stored aside
//! (`keeper`), and read again at the first question: a restart is warm. A kill older than a day is priced with what was kept for its UTC day (`days`), by
//! the same order, and by today's price where nothing was.

mod abyssal;
mod averages;
mod board;
mod bulk;
mod days;
mod fill;
mod keeper;
mod question;
mod round;
mod settings;
mod table;
mod tasks;
mod warmth;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use abyssal::Abyssal;
use averages::Averages;
pub use board::{Board, Known, Look};
use bulk::Bulk;
use days::{Day, Days};
use keeper::Keeper;
pub use question::Delay;
use question::{Found, Question};
pub use settings::{Figure, Janice, Key, Market, Mutamarket, Settings};
use table::Table;
use warmth::Warmth;

use crate::clients::{address, esi, janice, mutamarket};
use crate::killmail::TypeId;
use crate::price::Source;
use crate::price::worth::Price;
use crate::statics::{Shelf, Statics};
use crate::store::Store;

/// A kill that is older gets the prices of its day.
const HISTORIC: SignedDuration = SignedDuration::from_hours(24);

/// What an appraiser is made of: shared with others.
#[derive(Debug, Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub shelf: Arc<Shelf>,
    pub board: Arc<Board>,
    pub esi: Arc<esi::Addresses>,
    pub janice: Arc<janice::Addresses>,
    /// An address for the User-Agent.
    pub contact: Option<String>,
    /// Whether what is fetched is stored.
    pub keeps: bool,
}

/// What a kill needs: the price of each of these types, today's or a day's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Each once.
    pub types: Vec<TypeId>,
    /// Of a historic kill.
    pub day: Option<Date>,
}

/// Cheap to clone: all clones share queues and caches.
#[derive(Debug, Clone)]
pub struct Appraiser(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    board: Arc<Board>,
    bulk: Option<Bulk>,
    abyssal: Option<Abyssal>,
    table: Table,
    averages: Option<Averages>,
    days: Days,
    warmth: Warmth,
}

impl Appraiser {
    /// Connected to nothing yet. A service whose address cannot be used is not asked, which is said here.
    #[must_use]
    pub fn new(settings: &Settings, parts: &Parts) -> Self {
        let keeper = Keeper::new(parts.keeps.then(|| parts.store.clone()));
        let (board, contact) = (&parts.board, parts.contact.as_deref());
        let janice = &settings.janice;
        let bulk = if janice.is_wanted() {
            usable("Janice", parts.janice.at(&janice.url, janice.key.reveal(), contact))
                .map(|client| Bulk::new(client, settings, board.clone(), parts.shelf.clone(), keeper.clone()))
        } else {
            tracing::info!("Janice is not asked for prices: no key is set (JANICE_API_KEY)");
            None
        };
        let muta = &settings.mutamarket;
        let abyssal = (!muta.url.trim().is_empty())
            .then(|| usable("MutaMarket", mutamarket::Mutamarket::new(&muta.url, contact)))
            .flatten()
            .map(|client| Abyssal::new(client, muta.clone(), board.clone(), keeper.clone()));
        let averages = (!settings.esi.trim().is_empty())
            .then(|| usable("ESI", parts.esi.at(&settings.esi, contact)))
            .flatten()
            .map(|esi| Averages::new(esi, keeper.clone()));
        let table = Table::new(parts.store.clone(), board.clone(), keeper, settings.market.clone());
        let sides = [(Source::Mutamarket, 0), (Source::Janice, janice.market), table.side(), (Source::Esi, 0)].to_vec();
        Self(Arc::new(Inner {
            settings: settings.clone(),
            board: board.clone(),
            bulk,
            abyssal,
            table,
            averages,
            days: Days::new(parts.store.clone(), sides),
            warmth: Warmth::new(parts.store.clone()),
        }))
    }

    /// The day whose prices a kill of this time gets; `None`: today's.
    #[must_use]
    pub fn day(time: Timestamp) -> Option<Date> {
        let is_historic = Timestamp::now().duration_since(time) > HISTORIC;
        is_historic.then(|| time.to_zoned(TimeZone::UTC).date())
    }

    /// What these kills need, by the deadline; none of the static data's absence, of a service's or of the store's fails it.
    pub async fn appraise(&self, statics: &Arc<Statics>, wants: &[Want], deadline: Instant) -> Prices {
        self.0.warmth.warm(&self.0, deadline).await;
        let days = self.days(wants, deadline).await;
        let of_today = wants.iter().flat_map(|want| {
            let day = want.day.and_then(|day| days.get(&day));
            want.types.iter().copied().filter(move |type_id| day.is_none_or(|day| !day.contains_key(type_id)))
        });
        let today = Question::new(&self.0, statics.clone(), deadline).answer(of_today).await;
        Prices { days, today }
    }

    /// Whether a kill that needs these types cannot be priced any better now, because a service that it needs is known to be down.
    #[must_use]
    pub fn is_in_vain(&self, statics: &Arc<Statics>, want: &Want) -> bool {
        let day = want.day.and_then(|day| self.0.days.known(day));
        let of_today =
            want.types.iter().copied().filter(|type_id| day.as_ref().is_none_or(|day| !day.contains_key(type_id)));
        Question::new(&self.0, statics.clone(), Instant::now()).needs_what_is_down(of_today)
    }

    async fn days(&self, wants: &[Want], deadline: Instant) -> HashMap<Date, Arc<Day>> {
        let mut days = HashMap::new();
        for day in wants.iter().filter_map(|want| want.day) {
            if days.contains_key(&day) {
                continue;
            }
            let known = match self.0.days.known(day) {
                Some(known) => Some(known),
                None => match timeout_at(deadline, self.0.days.of(day)).await {
                    Ok(Ok(prices)) => Some(prices),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, %day, "prices of a day cannot be read");
                        None
                    }
                    Err(_) => None,
                },
            };
            days.extend(known.map(|known| (day, known)));
        }
        days
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub struct Prices {
    days: HashMap<Date, Arc<Day>>,
    today: HashMap<TypeId, Found>,
}

impl Prices {
    /// What a type costs, for a kill of that day; `None`: nobody knows.
    #[must_use]
    pub fn of(&self, day: Option<Date>, type_id: TypeId) -> Option<Price> {
        if let Some((source, cents)) = day.and_then(|day| self.days.get(&day)?.get(&type_id)) {
            return Some(Price { cents: *cents, source: *source, is_of_another_day: false });
        }
        let (source, cents) = self.today.get(&type_id)?.price?;
        // A base price is no day's.
        Some(Price { cents, source, is_of_another_day: day.is_some() && source != Source::Base })
    }

    /// Why the prices of a kill may be better later.
    #[must_use]
    pub fn delay(&self, want: &Want) -> Option<Delay> {
        want.types.iter().filter_map(|type_id| self.today.get(type_id)?.delay).max()
    }
}

fn usable<T>(name: &str, client: Result<T, address::Error>) -> Option<T> {
    client.inspect_err(|error| tracing::warn!("{name} is not asked for prices: failed to {error}")).ok()
}

/// One appraiser for each choice of whom to ask: what one has fetched, all with the same choice know.
#[derive(Debug, Default)]
pub struct Appraisers(Mutex<HashMap<Settings, Appraiser>>);

impl Appraisers {
    /// The one of these settings; made when it is first asked for.
    #[must_use]
    pub fn at(&self, settings: &Settings, parts: &Parts) -> Appraiser {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(settings.clone()).or_insert_with(|| Appraiser::new(settings, parts)).clone()
    }
}

/// How long is left until then.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
