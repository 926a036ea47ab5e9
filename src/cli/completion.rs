//! Completes kills that were stored in part, when ESI has time for them.
//!
//! They wait in a queue in the store, which outlives the process. What is asked of ESI for them comes from the upper half of its limits, so that
//! live kills never wait for old ones. A kill whose detail comes by another way (the fallback's copy, a backfill) leaves the queue by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::clients::esi::{Ask, Esi};
use crate::killmail::{Kill, wire};
use crate::stages::detail::{Incomplete, complete};
use crate::store::{Error, Refresh, Store};

/// Between two looks into the queue.
const EVERY: Duration = Duration::from_secs(15);
/// Kills at a look.
const AT_ONCE: u32 = 50;
/// How long one may take: it can wait for its turn, and holds up nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// After the first failure; each further one doubles it …
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// … up to here.
const AGAIN_MOST: SignedDuration = SignedDuration::from_hours(12);
/// Some ten days: then it is given up.
const ATTEMPTS_MAX: u32 = 24;
/// Stored in the column `source`.
const SOURCE: &str = "esi";

/// Works off the queue until it is dropped.
pub(super) async fn complete_kills(store: Arc<dyn Store>, esi: Esi) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match some(&*store, &esi).await {
            Ok(0) => {}
            Ok(completed) => tracing::info!(completed, "completed kills that were stored in part"),
            // It says so itself where it matters.
            Err(error) => tracing::debug!(%error, "the queue of kills to complete cannot be read now"),
        }
    }
}

async fn some(store: &dyn Store, esi: &Esi) -> Result<u32, Error> {
    let mut completed = 0;
    for refresh in store.due_refreshes(Timestamp::now(), AT_ONCE).await? {
        match one(store, esi, refresh).await? {
            Came::Complete => completed += 1,
            Came::Not => {}
            Came::Busy => break,
        }
    }
    Ok(completed)
}

/// What an attempt came to.
enum Came {
    Complete,
    Not,
    /// There was none: ESI has no time for old kills now.
    Busy,
}

async fn one(store: &dyn Store, esi: &Esi, refresh: Refresh) -> Result<Came, Error> {
    let Refresh { killmail_id, attempts, payload } = refresh;
    let mut kill = Kill::new(payload.into(), SOURCE, Timestamp::now(), true);
    kill.mail = wire::decode(&kill.raw).ok().map(Arc::new);
    let until = match complete(esi, &mut kill, Ask::background(PATIENCE)).await {
        Ok(_) => {
            store.insert_kills(&[&kill], false).await?;
            metrics::counter!("broadside_refreshes_total", "result" => "completed").increment(1);
            return Ok(Came::Complete);
        }
        Err(Incomplete::Busy(_)) => return Ok(Came::Busy),
        Err(Incomplete::Later(why)) if attempts < ATTEMPTS_MAX => {
            tracing::debug!(%killmail_id, "a kill stays partial: failed to {why}");
            let doubled = AGAIN_AFTER.saturating_mul(1 << attempts.min(16)).min(AGAIN_MOST);
            Some(Timestamp::now() + doubled)
        }
        Err(error) => {
            tracing::warn!(%killmail_id, "a kill stays partial for good: failed to {error}");
            None
        }
    };
    store.postpone_refresh(killmail_id, until).await?;
    let result = if until.is_some() { "postponed" } else { "given_up" };
    metrics::counter!("broadside_refreshes_total", "result" => result).increment(1);
    Ok(Came::Not)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::killmail::sample::Sampler;
    use crate::store::{Options, connect};

    /// An ESI that gives every caller this answer.
    async fn esi(status: &'static str, body: String) -> (Esi, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serve = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = socket.read(&mut head).await;
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (Esi::new(&url, None).expect("loopback"), AbortOnDropHandle::new(serve))
    }

    /// A store with one kill that waits for its items, and ESI's body of it.
    async fn waiting() -> (Arc<dyn Store>, String) {
        let store = connect("sqlite::memory:", &Options::default()).await.expect("a database");
        store.migrate().await.expect("tables");
        let sample = Sampler::new(3).next("2026-02-03T04:05:06Z".parse().expect("a time"));
        let mut kill = Kill::new(sample.feed_json().into(), "wanderer", Timestamp::now(), false);
        kill.mail = Some(Arc::new(wire::decode(&kill.raw).expect("a kill")));
        kill.refresh = true;
        store.insert_kills(&[&kill], true).await.expect("stored");
        (store, sample.esi_json())
    }

    async fn queued(store: &dyn Store) -> Vec<u32> {
        let later = Timestamp::now() + SignedDuration::from_hours(24);
        let due = store.due_refreshes(later, 10).await.expect("a queue");
        due.iter().map(|refresh| refresh.attempts).collect()
    }

    #[tokio::test]
    async fn a_kill_that_was_stored_in_part_is_completed_once_and_published_no_second_time() {
        let (store, body) = waiting().await;
        let (esi, _server) = esi("200 OK", body).await;
        assert_eq!(some(&*store, &esi).await, Ok(1));
        assert!(queued(&*store).await.is_empty());
        assert_eq!(some(&*store, &esi).await, Ok(0));
        let events = store.events_after(0, &[], 10).await.expect("events");
        assert_eq!(events.len(), 1);
        assert!(wire::decode(events[0].payload.as_bytes()).expect("a kill").form > crate::killmail::Form::Feed);
    }

    #[tokio::test]
    async fn a_kill_whose_hash_is_refused_is_given_up() {
        let (store, _) = waiting().await;
        let (esi, _server) = esi("422 Unprocessable Entity", r#"{"error":"Invalid killmail_id"}"#.into()).await;
        assert_eq!(some(&*store, &esi).await, Ok(0));
        assert!(queued(&*store).await.is_empty());
    }

    #[tokio::test]
    async fn while_esi_has_other_answers_the_kill_waits() {
        let (store, _) = waiting().await;
        let (esi, _server) = esi("400 Bad Request", "{}".into()).await;
        assert_eq!(some(&*store, &esi).await, Ok(0));
        assert_eq!(queued(&*store).await, [1]);
        assert_eq!(some(&*store, &esi).await, Ok(0), "it is not due yet");
        assert_eq!(queued(&*store).await, [1]);
    }
}
