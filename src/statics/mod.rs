//! Static data as plain values: what types, groups and systems are. Read from Fuzzwork's tables or CCP's own lines (`fuzzwork`, `official`), kept in
//! the store, and held in memory as one immutable [`Statics`] that a [`Shelf`] replaces as a whole.

mod model;
mod shelf;

pub use model::{Constellation, Group, Region, Statics, System, Type};
pub use shelf::Shelf;
