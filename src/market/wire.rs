//! A page's bytes as orders.

use super::Order;

/// What was read from a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    /// In the order of the page.
    pub orders: Vec<Order>,
    /// Entries that are no orders; the rest of the page is good.
    pub refused: usize,
    /// What is wrong with the first of them.
    pub first_refusal: Option<String>,
}

/// Why a page could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a page of orders: {0}")]
pub struct Error(pub String);
