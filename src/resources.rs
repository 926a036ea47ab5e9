//! What components share: built once, at start.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::store::Store;

/// Handed to every component when it is built.
#[derive(Debug, Clone)]
pub struct Resources {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Live topics.
    pub hub: Arc<crate::hub::Hub>,
    /// Kills seen of late, shared by `deduplicate` (reads, marks as pending) and the `database` sink (marks as stored).
    pub recent: Arc<crate::recent::RecentKills>,
    /// Which feed serves each pipeline.
    pub feeds: Arc<crate::feeds::Feeds>,
    /// Where each region of the market stands.
    pub regions: Arc<crate::regions::Regions>,
    /// What is known of each region's orders.
    pub books: Arc<crate::books::Books>,
    /// ESI, once for each address: its limits are an address's.
    pub esi: Arc<crate::clients::esi::Addresses>,
    /// Janice, once for each address: its pauses are an address's.
    pub janice: Arc<crate::clients::janice::Addresses>,
    /// The price cache job, as this process knows it.
    pub price_job: Arc<crate::price_job::PriceJob>,
    /// The static data in use.
    pub statics: Arc<crate::statics::Shelf>,
    /// The newest price of each type, by who says so: whoever fetches one puts it there.
    pub quotes: Arc<crate::appraisal::Board>,
    /// Who finds out what types cost, once for each choice of whom to ask.
    pub appraisers: Arc<crate::appraisal::Appraisers>,
    /// Learns from ESI what the static data lack.
    pub unknowns: Arc<crate::unknowns::Unknowns>,
    /// The surveillance profiles in use.
    pub surveillance: Arc<crate::surveillance::Surveillance>,
    /// Where alerts are made out.
    pub desk: Arc<crate::courier::Desk>,
    /// Matches of stored kills, until the store is told.
    pub tally: Arc<crate::profile::Tally>,
    /// New kills that this process has stored.
    pub stored: Arc<AtomicU64>,
    /// An address for the User-Agent.
    pub contact: Option<String>,
    /// Whether killfeed events are written (a backfill writes none unless asked).
    pub events: bool,
    /// Whether what components learn on their way (prices, static data) is stored.
    pub keeps: bool,
}

impl Resources {
    /// On this store, without a contact; events are written.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let statics: Arc<crate::statics::Shelf> = Arc::default();
        Self {
            unknowns: Arc::new(crate::unknowns::Unknowns::new(store.clone(), statics.clone())),
            store,
            hub: Arc::default(),
            recent: Arc::default(),
            feeds: Arc::default(),
            regions: Arc::default(),
            books: Arc::default(),
            esi: Arc::default(),
            janice: Arc::default(),
            price_job: Arc::default(),
            quotes: Arc::default(),
            appraisers: Arc::default(),
            statics,
            surveillance: Arc::default(),
            desk: Arc::default(),
            tally: Arc::default(),
            stored: Arc::default(),
            contact: None,
            events: true,
            keeps: true,
        }
    }

    /// For stages that are only tried out: they ask the same services within the same limits, and read the same store, profiles and static data; what they
    /// learn is kept from the others, and written nowhere.
    #[must_use]
    pub fn for_rehearsal(&self) -> Self {
        let statics: Arc<crate::statics::Shelf> = Arc::default();
        statics.put((*self.statics.current()).clone());
        Self {
            hub: Arc::default(),
            recent: Arc::default(),
            feeds: Arc::default(),
            quotes: Arc::default(),
            appraisers: Arc::default(),
            unknowns: Arc::new(crate::unknowns::Unknowns::unkept(statics.clone())),
            statics,
            tally: Arc::default(),
            stored: Arc::default(),
            keeps: false,
            ..self.clone()
        }
    }
}
