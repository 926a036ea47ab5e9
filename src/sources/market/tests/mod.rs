//! Pollers on tokio's paused clock, against an ESI that a test directs.

mod changes;
mod esi;
mod expiry;
mod failures;
mod starting;
mod world;

use super::outside::{Outside, Trouble};
use super::poller::Shared;
use super::{Config, Market, Wanted};
