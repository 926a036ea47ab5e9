//! Pollers on tokio's paused clock, against an ESI that a test directs.

mod esi;
mod starting;
mod world;

use super::outside::{Outside, Trouble};
use super::poller::Shared;
use super::{Config, Market, Wanted};
