//! Pollers on tokio's paused clock, against an ESI that a test directs.

mod changes;
mod crashes;
mod esi;
mod expiry;
mod failures;
mod lists;
mod pressure;
mod random;
mod starting;
mod world;

use super::outside::{Outside, Trouble};
use super::poller::Shared;
use super::{Config, Market, Wanted};
