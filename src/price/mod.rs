//! What things cost, as plain values: quotes, the order in which sources are asked, what a kill is worth; and the job that keeps prices warm.

pub mod job;
mod product;
mod quote;
pub mod worth;

pub use product::Product;
pub use quote::{Quote, Source};
