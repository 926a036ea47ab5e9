//! Where the static data in use lie: read by many, replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use super::Statics;

/// Shared by all components.
#[derive(Debug, Default)]
pub struct Shelf(RwLock<Arc<Statics>>);

impl Shelf {
    /// What is in use now. Whoever works on a group of kills takes it once.
    #[must_use]
    pub fn current(&self) -> Arc<Statics> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these are in use.
    pub fn put(&self, statics: Statics) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(statics);
    }
}
