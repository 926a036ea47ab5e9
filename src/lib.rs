//! Broadside: a stream-processing pipeline worker for EVE Online's killmails and markets.
//!
//! ```text
//!  simulator ─┐                                                          ┌─► http (page, metrics, health, killfeed)
//!  outside ◄─ clients ◄─ sources ──► stages ──► sinks ──► store (SQL) ◄──┤
//!                          └───── broadside-engine runs them ─────┘      └── dead_letter (what failed, kept)
//! ```
//!
//! A pipeline file (`definition`) names a source, processors with stages, and batchers with sinks; `definition` turns it into a topology and components, and
//! the engine (`src/engine`, a crate of its own that knows no EVE, no HTTP, no SQL) runs it.
//!
//! # Where things are
//!
//! | room | what | to add one more |
//! |---|---|---|
//! | [`killmail`] | killmails as plain values: ids, model, reading every shape of them, samples | |
//! | [`market`] | orders, pages, books and prices as plain values: the rules of a sweep | |
//! | [`statics`] | static data as plain values: types, groups, systems; reading them | |
//! | [`tags`] | what a kill is: tags, classes, zKillboard's flags and labels, the measures; rules as tables | |
//! | [`price`] | quotes, the order of their sources, what a kill is worth: plain values | |
//! | [`profile`] | surveillance profiles: filters, reading them, matching them against a kill | |
//! | [`appraisal`] | what types cost now or cost on a day, asked of all who say so | |
//! | [`record`] | what messages carry: kills, pages of orders, or products to be priced | |
//! | [`archive`] | files of killmails, split into records | |
//! | [`history`] | whole days of kills from zKillboard and EVE Ref, for two sources | |
//! | [`sources`] | what reads from outside | a file, a line in `sources/mod.rs` |
//! | [`stages`] | steps on a kill | a file, a line in `stages/mod.rs` |
//! | [`sinks`] | what delivers batches | a file, a line in `sinks/mod.rs` |
//! | [`clients`] | all outgoing HTTP | a file per service |
//! | [`store`] | all SQL, one trait | a migration, a method |
//! | [`dead_letter`] | keeps what failed, hands it out again | |
//! | [`hub`] | in-process topics | |
//! | [`feeds`] | which feed serves each pipeline, for the page | |
//! | [`regions`], [`books`] | where each region of the market stands, for the page; what is known of its orders | |
//! | [`price_job`] | the price cache job: what its worker is at, what operators ask of it | |
//! | [`surveillance`] | the profiles in use, matched while they change | |
//! | [`courier`] | delivers alerts: one line a target, fed from a table | |
//! | [`recent`] | kills seen of late, shared by `deduplicate` and the `database` sink | |
//! | [`unknowns`] | types and systems that the static data lack, learned from ESI | |
//! | [`resources`] | what components share | a field |
//! | [`definition`] | pipeline files → topology and components | |
//! | [`http`] | what the worker serves | a file per route |
//! | [`simulator`] | the feeds' stand-in | |
//! | [`cli`] | the commands | a file per command |
//! | [`settings`], [`telemetry`] | settings that are not a pipeline's; logs and metrics | |
//!
//! # What is absent, on purpose
//!
//! The engine never retries. No component spawns tasks: the engine does (a client may own a few, bounded in number and time). No queue is without a bound. No SQL stands outside `store`, no outgoing HTTP
//! outside `clients`. Nothing but the engine's `fence` catches panics. Nothing is acknowledged before it is safe. `tests/tidy` holds what of this can be read off the source.

pub mod appraisal;
pub mod archive;
pub mod books;
pub mod cli;
pub mod clients;
pub mod courier;
pub mod dead_letter;
pub mod definition;
pub mod duration;
pub mod feeds;
pub mod history;
pub mod http;
pub mod hub;
pub mod killmail;
pub mod market;
pub mod price;
pub mod price_job;
pub mod profile;
pub mod recent;
pub mod record;
pub mod regions;
pub mod resources;
pub mod settings;
pub mod simulator;
pub mod sinks;
pub mod sources;
pub mod stages;
pub mod statics;
pub mod store;
pub mod surveillance;
pub mod tags;
pub mod telemetry;
pub mod unknowns;

#[cfg(test)]
extern crate self as broadside;
/// Shared with `tests/web`.
#[cfg(test)]
#[path = "../tests/web/memory_store.rs"]
mod memory_store;
