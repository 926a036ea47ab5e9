//! The market as plain values: orders, the pages that they come on, and what is known of a region's book. Pure: no clock, no I/O.
//!
//! A region's orders come as pages of up to 1,000. Reading all of them is a **sweep**. ESI makes each page by itself, so a sweep may mix two
//! snapshots: an order can then stand on two pages or on none. [`book`] holds the rules by which that does no harm.

pub mod book;
mod order;
mod page;
pub mod price;
pub mod wire;

pub use order::{Cents, Order, Range};
pub use page::{Ending, Page, Part, Quality, Tag, route};
pub use price::Price;
