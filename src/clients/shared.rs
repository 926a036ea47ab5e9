//! Clients that a whole process shares, because what they must keep to is counted by address: one for each service and base.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::address;
use super::esi::Esi;

/// Built as they are asked for.
#[derive(Debug, Default)]
pub struct Shared {
    esi: Mutex<HashMap<String, Esi>>,
}

impl Shared {
    /// ESI at this address.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn esi(&self, base: &str, contact: Option<&str>) -> Result<Esi, address::Error> {
        let mut known = self.esi.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(esi) = known.get(base) {
            return Ok(esi.clone());
        }
        let esi = Esi::new(base, contact)?;
        known.insert(base.to_owned(), esi.clone());
        Ok(esi)
    }
}
