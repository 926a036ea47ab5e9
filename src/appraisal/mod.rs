//! What things cost, asked of all who say so.

mod board;

pub use board::{Board, Known};
