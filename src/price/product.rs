//! What the messages of a prices pipeline carry.

use super::Quote;
use crate::killmail::TypeId;

/// A type to be priced on a market, in a run of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// The run that wants it: one that has ended wants nothing any more.
    pub run: u64,
    pub market: i64,
    pub type_id: TypeId,
    /// What it costs, once somebody has said so.
    pub quote: Option<Quote>,
}
