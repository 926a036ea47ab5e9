//! Broadside: a stream-processing pipeline worker for EVE Online's killmails and markets.

pub mod killmail;
