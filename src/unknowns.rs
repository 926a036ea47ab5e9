//! What the static data lack: types and systems that came with a patch after the last import. ESI is asked once for each, and what it says is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clients::cache::{Cache, LEARNED, UNLEARNABLE, UNLEARNED};
use crate::clients::esi::{Ask, Error, Esi};
use crate::killmail::{ConstellationId, SystemId, TypeId};
use crate::statics::{Shelf, Statics, System, name};
use crate::store::Store;

/// Look-ups at once.
const AT_ONCE: usize = 8;

/// Something that the static data lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unknown {
    Type(TypeId),
    System(SystemId),
}

/// What became of those that were asked for and are not on the shelf now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// Not found out by the deadline: perhaps another time.
    pub later: BTreeSet<Unknown>,
    /// ESI knows nothing of them either, or nothing was imported, so that it is not asked.
    pub never: BTreeSet<Unknown>,
}

/// Shared by all components.
#[derive(Debug)]
pub struct Unknowns {
    /// `None`: what it learns is not kept.
    store: Option<Arc<dyn Store>>,
    shelf: Arc<Shelf>,
    /// One look-up at a time for each.
    found: Cache<Unknown, Arc<Statics>>,
    absent: Cache<Unknown, ()>,
    resting: Cache<Unknown, ()>,
}

enum Verdict {
    Found(Arc<Statics>),
    Later,
    Never,
}

impl Unknowns {
    /// Puts what it learns into the store and onto the shelf.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, shelf: Arc<Shelf>) -> Self {
        Self::with(Some(store), shelf)
    }

    /// Puts what it learns onto the shelf alone: for a rehearsal, on a shelf of its own.
    #[must_use]
    pub fn unkept(shelf: Arc<Shelf>) -> Self {
        Self::with(None, shelf)
    }

    fn with(store: Option<Arc<dyn Store>>, shelf: Arc<Shelf>) -> Self {
        let (found, absent, resting) = (Cache::new(LEARNED), Cache::new(UNLEARNABLE), Cache::new(UNLEARNED));
        Self { store, shelf, found, absent, resting }
    }

    /// Sees to it that these are on the shelf, as far as that can be done by the deadline. What is there already costs nothing, and what is asked for
    /// by several at once is fetched once. Take the shelf's [`current`](Shelf::current) anew afterwards.
    ///
    /// ESI's 404 holds for a day. What it could not be asked for is left alone for a minute, so that an outage does not hold up every kill.
    pub async fn learn(&self, esi: &Esi, types: &[TypeId], systems: &[SystemId], deadline: Instant) -> Learned {
        let known = self.shelf.current();
        let types = types.iter().filter(|id| !known.types.contains_key(id)).map(|id| Unknown::Type(*id));
        let systems = systems.iter().filter(|id| !known.systems.contains_key(id)).map(|id| Unknown::System(*id));
        let lacking: BTreeSet<Unknown> = types.chain(systems).collect();
        let mut learned = Learned::default();
        if lacking.is_empty() {
            return learned;
        }
        if known.is_empty() {
            return Learned { never: lacking, ..learned };
        }
        let mut found = Statics::default();
        // Calls of ESI are large futures: boxed, as many of them side by side would fill a stack.
        let look_up = |unknown| async move { (unknown, Box::pin(self.look_up(esi, unknown, deadline)).await) };
        let mut verdicts = stream::iter(lacking).map(look_up).buffer_unordered(AT_ONCE);
        while let Some((unknown, verdict)) = verdicts.next().await {
            let result = match verdict {
                Verdict::Found(part) => {
                    found.add(&part);
                    "found"
                }
                Verdict::Later => {
                    learned.later.insert(unknown);
                    "later"
                }
                Verdict::Never => {
                    learned.never.insert(unknown);
                    "never"
                }
            };
            metrics::counter!("broadside_unknowns_total", "result" => result).increment(1);
        }
        self.keep(found).await;
        learned
    }

    async fn look_up(&self, esi: &Esi, unknown: Unknown, deadline: Instant) -> Verdict {
        if self.absent.get(&unknown).await.is_some() {
            return Verdict::Never;
        }
        if self.resting.get(&unknown).await.is_some() {
            return Verdict::Later;
        }
        let ask = Ask::live(deadline.saturating_duration_since(Instant::now()));
        // Somebody else's look-up may last longer than this one has time.
        let fetched = timeout_at(deadline, self.found.fetch(unknown, Box::pin(self.ask(esi, unknown, ask)))).await;
        match fetched.unwrap_or_else(|_| Err(Arc::new(Error::Late))) {
            Ok(found) => Verdict::Found(found),
            Err(error) if matches!(*error, Error::Status { status: 404, .. }) => {
                self.absent.put(unknown, ()).await;
                Verdict::Never
            }
            Err(error) => {
                tracing::debug!(?unknown, "the static data lack it: failed to {error}");
                self.resting.put(unknown, ()).await;
                Verdict::Later
            }
        }
    }

    /// It, and what it belongs to if that is not known either.
    async fn ask(&self, esi: &Esi, unknown: Unknown, ask: Ask) -> Result<Arc<Statics>, Error> {
        let (mut found, known) = (Statics::default(), self.shelf.current());
        match unknown {
            Unknown::Type(id) => {
                let made = Box::pin(esi.item_type(id, ask)).await?;
                if !known.groups.contains_key(&made.group_id) {
                    let group = Box::pin(esi.item_group(made.group_id, ask)).await.map_err(of_another)?;
                    found.groups.insert(group.group_id, group);
                }
                found.types.insert(id, made);
            }
            Unknown::System(system_id) => {
                let made = Box::pin(esi.system(system_id.get(), ask)).await?;
                let unusable = || Error::Unusable(format!("system {system_id} is in no constellation"));
                let constellation_id = ConstellationId::new(made.constellation_id).ok_or_else(unusable)?;
                let constellation = match known.constellations.get(&constellation_id) {
                    Some(constellation) => constellation.clone(),
                    None => Box::pin(esi.constellation(constellation_id, ask)).await.map_err(of_another)?,
                };
                let (region_id, name) = (constellation.region_id, name(&made.name));
                let security_status = made.security_status.clamp(-1.0, 1.0);
                let system = System { system_id, name, constellation_id, region_id, security_status };
                found.constellations.insert(constellation_id, constellation);
                found.systems.insert(system_id, system);
            }
        }
        Ok(Arc::new(found))
    }

    /// What the store does not take is still of use here, until the process ends.
    async fn keep(&self, found: Statics) {
        let known = self.shelf.current();
        let has_type = |id| known.types.contains_key(id);
        // Somebody else who asked for the same may have been first.
        if found.types.keys().all(has_type) && found.systems.keys().all(|id| known.systems.contains_key(id)) {
            return;
        }
        let Some(store) = &self.store else { return self.shelf.add(&found, None) };
        let version = match store.add_statics(&found, Timestamp::now()).await {
            Ok(version) => version,
            Err(error) => {
                tracing::warn!("what ESI told of new types and systems is not stored: failed to {error}");
                None
            }
        };
        self.shelf.add(&found, version);
        if version.is_some() {
            let (types, systems) = (found.types.len(), found.systems.len());
            tracing::info!(types, systems, "learned from ESI what the static data lack");
        }
    }
}

/// That what it belongs to is not there is no word on the thing itself.
fn of_another(error: Error) -> Error {
    match error {
        Error::Status { status: 404, text } => Error::Unusable(format!("what it belongs to is not there: {text}")),
        error => error,
    }
}
