//! Static data as plain values: what types, groups and systems are. Read from Fuzzwork's tables or the official lines ([`read`]), kept in
//! the store, and held in memory as one immutable [`Statics`] that a [`Shelf`] replaces as a whole.

mod model;
pub mod read;
mod shelf;

pub use model::{Constellation, Group, KINDS, Region, Statics, System, Type, attribute, cents, name};
pub use shelf::Shelf;
