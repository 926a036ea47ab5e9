//! Where the static data in use lie: read by many, replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Statics;

/// Shared by all components.
#[derive(Debug, Default)]
pub struct Shelf(RwLock<Held>);

#[derive(Debug, Default)]
struct Held {
    /// The store's, where they are what the store has.
    version: Option<i64>,
    statics: Arc<Statics>,
}

impl Shelf {
    /// What is in use now. Whoever works on a group of kills takes it once.
    #[must_use]
    pub fn current(&self) -> Arc<Statics> {
        self.held().statics.clone()
    }

    /// The version of the store that these are; `None`: of none.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.held().version
    }

    /// From now on these are in use.
    pub fn put(&self, statics: Statics) {
        *self.held_mut() = Held { version: None, statics: Arc::new(statics) };
    }

    /// From now on the store's are in use.
    pub fn replace(&self, version: i64, statics: Statics) {
        *self.held_mut() = Held { version: Some(version), statics: Arc::new(statics) };
    }

    /// Adds what was found out. `version`: the one that the store has since it has them too. Where nobody else changed the store in between, the shelf
    /// is as the store then; else it is to be loaded anew.
    pub fn add(&self, found: &Statics, version: Option<i64>) {
        let mut held = self.held_mut();
        let mut statics = (*held.statics).clone();
        statics.add(found);
        held.statics = Arc::new(statics);
        if version.is_some_and(|version| held.version == Some(version - 1)) {
            held.version = version;
        }
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
