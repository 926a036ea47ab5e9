//! What a stream or a socket sends: by topics alone, or as a client of its own whose offsets say where to start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::query::Client;
use super::reader::{Item, Reader, Start};
use super::tail::Tail;
use super::taker::Taker;
use super::topic::Topic;
use crate::killmail::SystemId;
use crate::store::{Commit, Error};

/// How often the store is told that a connected client is there.
const SEEN_EVERY: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    by: By,
    seen_at: Instant,
}

#[derive(Debug)]
enum By {
    Topics(Reader),
    /// Starts after its offsets, and moves them when it says so.
    Offsets(Reader, Client),
    /// Moves its offsets before an event goes out.
    Taking(Taker),
}

/// Why topics cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("a client_id goes with systems only: its offsets are by system")]
    NotSystems,
    #[error("{}", told(.0))]
    Store(#[from] Error),
}

/// What the other side is told: the rest is for the log.
fn told(error: &Error) -> &str {
    match error {
        Error::Data { message, .. } => message,
        _ => "the store did not answer",
    }
}

impl Feed {
    /// Follows nothing yet.
    pub(super) fn open(tail: &Arc<Tail>, client: Option<Client>) -> Self {
        let by = match client {
            None => By::Topics(Reader::open(tail.clone())),
            Some(client) if client.commit == Commit::Explicit => By::Offsets(Reader::open(tail.clone()), client),
            Some(client) => By::Taking(Taker::open(tail.clone(), client)),
        };
        Self { by, seen_at: Instant::now() }
    }

    /// Follows these topics too. A client starts after its offsets, or after `start` where that is further. Answers after which id, when it is the same for all.
    pub(super) async fn follow(&mut self, topics: &[Topic], start: Start) -> Result<Option<i64>, Refused> {
        match &mut self.by {
            By::Topics(reader) => Ok(Some(reader.follow(topics, start).await?)),
            By::Offsets(reader, client) => {
                let following = reader.store().follow(&client.follow(&systems(topics)?)).await?;
                let floor = if let Start::After(id) = start { id } else { 0 };
                let after = |topic: &Topic| match topic {
                    Topic::System(id) => following.offsets.get(id).map(|offset| (*topic, (*offset).max(floor))),
                    _ => None,
                };
                let each: Vec<_> = topics.iter().filter_map(after).collect();
                reader.follow_each(&each, following.gap).await?;
                Ok(None)
            }
            By::Taking(taker) => Ok(taker.follow(&systems(topics)?).await.map(|()| None)?),
        }
    }

    /// Follows these no more.
    pub(super) fn leave(&mut self, topics: &[Topic]) {
        match &mut self.by {
            By::Topics(reader) | By::Offsets(reader, _) => reader.leave(topics),
            By::Taking(taker) => taker.leave(&topics.iter().filter_map(|topic| topic.system()).collect::<Vec<_>>()),
        }
    }

    /// Everything that is followed, sorted.
    pub(super) fn topics(&self) -> Vec<Topic> {
        match &self.by {
            By::Topics(reader) | By::Offsets(reader, _) => reader.topics(),
            By::Taking(taker) => taker.systems().iter().copied().map(Topic::System).collect(),
        }
    }

    /// The next item. Safe to cancel.
    pub(super) async fn next(&mut self) -> Item {
        match &mut self.by {
            By::Topics(reader) | By::Offsets(reader, _) => reader.next().await,
            By::Taking(taker) => taker.next().await,
        }
    }

    /// Up to which id everything went out, where that is of use to resume.
    pub(super) fn position(&mut self) -> Option<i64> {
        match &mut self.by {
            By::Topics(reader) | By::Offsets(reader, _) => reader.position(),
            By::Taking(_) => None,
        }
    }

    /// Time has passed: tells the store now and then that the client is still there.
    pub(super) async fn tick(&mut self) {
        if self.seen_at.elapsed() < SEEN_EVERY {
            return;
        }
        self.seen_at = Instant::now();
        match &mut self.by {
            By::Topics(_) => {}
            By::Offsets(reader, client) => {
                let systems: Vec<SystemId> = reader.topics().iter().filter_map(|topic| topic.system()).collect();
                if let Err(error) = reader.store().follow(&client.follow(&systems)).await {
                    tracing::debug!(%error, "failed to note that a client is there");
                }
            }
            By::Taking(taker) => taker.touch(),
        }
    }
}

fn systems(topics: &[Topic]) -> Result<Vec<SystemId>, Refused> {
    topics.iter().map(|topic| topic.system().ok_or(Refused::NotSystems)).collect()
}
