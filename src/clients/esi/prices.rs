//! What every type was traded for of late, all regions together (`/markets/prices`): one list, renewed once an hour.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::{Ask, Error, Esi};
use crate::killmail::TypeId;
use crate::killmail::wire::cents;
use crate::market::Cents;

/// The list as it is used: types with an average, and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Averages {
    pub prices: Vec<(TypeId, Cents)>,
    pub holds: Duration,
}

#[derive(Deserialize)]
struct Row {
    type_id: i64,
    average_price: Option<f64>,
}

impl Row {
    fn read(&self) -> Option<(TypeId, Cents)> {
        let cents = cents(self.average_price?).filter(|cents| *cents > 0)?;
        Some((TypeId::new(self.type_id)?, Cents(cents)))
    }
}

impl Esi {
    /// The average price of every type that has one. Not asked for again before it expires.
    ///
    /// # Errors
    /// No answer that could be used came in time.
    pub async fn average_prices(&self, ask: Ask) -> Result<Averages, Error> {
        let fresh = self.get("/markets/prices", ask).await?;
        let rows: Vec<Row> = serde_json::from_slice(&fresh.body)
            .map_err(|error| Error::Unusable(format!("the list of prices: {error}")))?;
        let holds = fresh.fresh_until.saturating_duration_since(Instant::now());
        Ok(Averages { prices: rows.iter().filter_map(Row::read).collect(), holds })
    }
}
