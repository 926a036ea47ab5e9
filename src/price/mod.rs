//! What things cost, as plain values: quotes, the order in which sources are asked, what a kill is worth.

mod quote;
pub mod worth;

pub use quote::{Quote, Source};
