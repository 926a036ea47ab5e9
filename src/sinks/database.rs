//! `database`: stores each batch of kills in one transaction, and lets on only what is new.
//!
//! The store is asked again for as long as it is away or busy, so an outage holds the batch and, in time, the source; it makes no dead
//! letters. A kill that the store refuses for its data becomes a dead letter by itself: where the store says which it is, it is taken out and the
//! rest is stored; where it does not, the batch comes back as invalid, and the engine splits it until the bad kill stands alone.

mod rehearsal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::courier::Desk;
use crate::killmail::Kill;
use crate::profile::Tally;
use crate::recent::RecentKills;
use crate::resources::Resources;
use crate::store::{Change, Error, Store, retry};
use crate::surveillance::Surveillance;

/// Why a kill without killmail is refused.
const UNDECODED: &str = "store a kill that no stage has decoded";

/// `sink.database = {}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether new kills are announced in `killmail_events`, from which killfeed clients read.
    pub events: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { events: true }
    }
}

impl Config {
    /// Builds the sink.
    #[must_use]
    pub fn build(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        Arc::new(Database {
            store: resources.store.clone(),
            recent: resources.recent.clone(),
            stored: resources.stored.clone(),
            tally: resources.tally.clone(),
            events: self.events && resources.events,
            surveillance: resources.surveillance.clone(),
            desk: resources.desk.clone(),
        })
    }

    /// What stands in its place where kills are only tried out.
    #[must_use]
    pub fn rehearse(&self, resources: &Resources) -> Arc<dyn Sink<Kill>> {
        Arc::new(rehearsal::Rehearsal {
            store: resources.store.clone(),
            desk: resources.desk.clone(),
            surveillance: resources.surveillance.clone(),
            events: self.events && resources.events,
        })
    }
}

#[derive(Debug)]
struct Database {
    store: Arc<dyn Store>,
    recent: Arc<RecentKills>,
    stored: Arc<AtomicU64>,
    tally: Arc<Tally>,
    events: bool,
    surveillance: Arc<Surveillance>,
    desk: Arc<Desk>,
}

#[async_trait]
impl Sink<Kill> for Database {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages.iter_mut().filter(|message| message.payload.mail.is_none()) {
            message.fail(Failure::invalid(UNDECODED));
        }
        self.make_out(messages.iter_mut().map(|message| &mut message.payload));
        let mut left: Vec<&mut Message<Kill>> = messages.iter_mut().filter(|message| message.is_active()).collect();
        while !left.is_empty() {
            let mut rest = left.split_off(fitting(left.iter().map(|message| rows(message))));
            match self.store_all(&left).await {
                Ok(changes) => {
                    left.into_iter().zip(changes).for_each(|(message, change)| settle(message, change));
                    left = rest;
                }
                Err(error) => {
                    let (refused, mut others) = partition(&error, left);
                    // Of unnamed ones the engine halves the batch.
                    if refused.is_empty() {
                        return Err(failure(error));
                    }
                    refused.into_iter().for_each(|message| message.fail(failure(error.clone())));
                    others.append(&mut rest);
                    left = others;
                }
            }
        }
        Ok(())
    }
}

impl Database {
    /// Notes who is to be told of the kills, so that they are stored together.
    fn make_out<'k>(&self, kills: impl Iterator<Item = &'k mut Kill>) {
        let now = Timestamp::now();
        for kill in kills.filter(|kill| kill.matches.is_some()) {
            kill.alerts = self.desk.notices(kill, &self.surveillance, now).map(Arc::from);
        }
    }

    /// Stores these in one transaction, and waits for a store that is away.
    async fn store_all(&self, messages: &[&mut Message<Kill>]) -> Result<Vec<Change>, Error> {
        let kills: Vec<&Kill> = messages.iter().map(|message| &message.payload).collect();
        let call = || self.store.insert_kills(&kills, self.events);
        let changes = retry::hold(self.store.health(), "store kills", call).await?;
        let mails = kills.iter().filter_map(|kill| kill.mail.as_ref());
        self.recent.stored(mails.map(|mail| (mail.killmail_id, mail.form)));
        let new = changes.iter().filter(|change| matches!(change, Change::New { .. })).count();
        self.stored.fetch_add(new as u64, Ordering::Relaxed);
        for (kill, _) in kills.iter().zip(&changes).filter(|(_, change)| matches!(change, Change::New { .. })) {
            self.tally.add(kill.matches.as_deref().unwrap_or_default(), kill.received_at);
        }
        Ok(changes)
    }
}

/// How many rows of participants and matches go in one transaction: less than a second's work, where a call may take thirty. Real batches of 100 kills
/// have some thousands at most; this is for kills of ten thousand attackers, or that ten thousand profiles match, of which a hundred would never be through in time.
const ROWS_MAX: usize = 50_000;

fn rows(message: &Message<Kill>) -> usize {
    let kill = &message.payload;
    let matches = kill.matches.as_ref().map_or(0, |matches| matches.len());
    kill.mail.as_ref().map_or(0, |mail| 1 + mail.attackers.len() + matches)
}

/// How many of these, from the first on, fit into one transaction: at least one.
fn fitting(rows: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let fit = rows.take_while(|rows| {
        total += rows;
        total <= ROWS_MAX
    });
    fit.count().max(1)
}

type Messages<'m> = Vec<&'m mut Message<Kill>>;

/// Those whose kills the store says it refuses, and the others.
fn partition<'m>(error: &Error, messages: Messages<'m>) -> (Messages<'m>, Messages<'m>) {
    let Error::Data { killmail_ids, .. } = error else { return (Vec::new(), messages) };
    let is_named = |message: &&mut Message<Kill>| {
        message.payload.mail.as_ref().is_some_and(|mail| killmail_ids.contains(&mail.killmail_id.get()))
    };
    messages.into_iter().partition(is_named)
}

/// What storing it has changed, on the message.
fn settle(message: &mut Message<Kill>, change: Change) {
    match change {
        Change::New { event_id } => message.payload.event_id = event_id,
        // Stored, but announced before: nothing after this sink needs it.
        Change::Richer => message.finish(),
        Change::Same => message.filter(),
    }
}

/// The store's error as the messages' failure.
fn failure(error: Error) -> Failure {
    let text = format!("store kills: {error}");
    match error {
        Error::Data { sqlstate, column, constraint, .. } => {
            let facts = [("sqlstate", sqlstate), ("column", column), ("constraint", constraint)];
            let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
            known.fold(Failure::invalid(text), |failure, (name, value)| failure.with(name, value))
        }
        Error::Transient(_) => Failure::transient(text),
        Error::Permanent(_) => Failure::permanent(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_takes_whole_batches_of_real_kills_and_parts_of_monstrous_ones() {
        let fit = |rows: &[usize]| fitting(rows.iter().copied());
        assert_eq!(fit(&[20; 100]), 100);
        assert_eq!(fit(&[10_001; 100]), 4);
        assert_eq!(fit(&[60_000, 1]), 1);
        assert_eq!(fit(&[50_000, 1]), 1);
    }
}
