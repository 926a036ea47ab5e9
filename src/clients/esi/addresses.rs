//! One client for each address: its limits are an address's.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Esi;
use crate::clients::address;

/// The client of each address in this process.
#[derive(Debug, Default)]
pub struct Addresses(Mutex<BTreeMap<String, Esi>>);

impl Addresses {
    /// The client of an address; made when it is first asked for.
    ///
    /// # Errors
    /// As [`Esi::new`].
    pub fn at(&self, base: &str, contact: Option<&str>) -> Result<Esi, address::Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let base = base.trim().trim_end_matches('/');
        if let Some(esi) = known.get(base) {
            return Ok(esi.clone());
        }
        let esi = Esi::new(base, contact)?;
        known.insert(base.to_owned(), esi.clone());
        Ok(esi)
    }

    /// All clients, with their addresses.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Esi)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(base, esi)| (base.clone(), esi.clone())).collect()
    }
}
