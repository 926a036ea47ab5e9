//! zKillboard's numbered files ("R2Z2"): every kill that it processes, in a public file of its own, for a day.
//!
//! | route | what |
//! |---|---|
//! | `/ephemeral/{n}.json` | kill number n in the order of processing, kept for 24 h at least |
//! | `/ephemeral/sequence.json` | the newest number, up to 51 kills and an hour late |
//! | `/history/…` | what happened on a day, hours after its end |
//!
//! Kills of the same second may have numbers hours apart; a number may be late, or never be used. The service blocks whoever
//! asks too often or does not say who it is: the rules are in `pace`, and what to ask for next is decided by a [`Course`].

mod answer;
mod aside;
mod course;
mod pace;
mod search;
#[cfg(test)]
mod simulation;
mod step;

use std::num::NonZeroU32;
use std::time::Duration;

pub use answer::{Broken, Package, Reply};
pub use course::Course;
pub use step::{Event, Request, Start, Step, Target};

use super::address;
use super::history::History;
use super::service::{Manners, Service};
use crate::killmail::wire::BYTES_MAX;

/// Where the files are.
pub const URL: &str = "https://r2z2.zkillboard.com";

/// The service takes 15 calls a second, and asks for a tenth of a second between two.
const MANNERS: Manners = Manners {
    name: "zkillboard",
    per_second: NonZeroU32::new(10),
    concurrency: 2,
    body_max: BYTES_MAX,
    call_timeout: Duration::from_secs(30),
    read_timeout: Duration::from_secs(15),
    headers: &[("accept", "application/json")],
};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Service);

impl Client {
    /// Not connected yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(base: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        Ok(Self(Service::new(base, contact, &MANNERS)?))
    }

    /// One request.
    pub async fn fetch(&self, target: Target) -> Reply {
        match target {
            Target::Sequence => answer::sequence(self.0.get("/ephemeral/sequence.json", &[]).await),
            Target::File(number) => answer::file(self.0.get(&format!("/ephemeral/{number}.json"), &[]).await),
        }
    }

    /// The service's daily history, over the same connections.
    #[must_use]
    pub fn history(&self) -> History {
        History::zkillboard(self.0.clone())
    }

    /// Counts a decision in the service's metrics.
    pub fn decided(&self, decision: &'static str) {
        self.0.decided(decision);
    }
}
