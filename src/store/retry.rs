//! Holding a call while the store is away: what else would be a retry in the engine lives here.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;

use super::Error;

const DELAY_MIN: Duration = Duration::from_millis(100);
/// A store that came back is used again within seconds; a few workers that ask every second or two burden none.
const DELAY_MAX: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Whether the store answers those who wait for it. Shared by all of them, so that an outage is logged once.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<(Trouble, Instant)>>);

/// An outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since the first call that failed.
    pub since: Timestamp,
    /// What the last one said.
    pub why: String,
}

impl Health {
    /// The outage that there is, if there is one. It ends with the first held call that goes through.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(trouble, _)| trouble.clone())
    }

    fn failed(&self, what: &str, error: &Error, delay: Duration) {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let why = error.to_string();
        match state.as_mut() {
            None => {
                tracing::warn!(error = %why, ?delay, "the store cannot {what} now: holding");
                *state = Some((Trouble { since: Timestamp::now(), why }, now));
            }
            Some((trouble, logged)) => {
                if now.duration_since(*logged) >= LOG_EVERY {
                    tracing::warn!(error = %why, since = %trouble.since, "the store still cannot {what}: holding");
                    *logged = now;
                }
                trouble.why = why;
            }
        }
    }

    fn answered(&self) {
        if let Some((trouble, _)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            tracing::info!(since = %trouble.since, "the store answers again");
        }
    }
}

/// Calls until the answer is not a transient error, waiting 100 ms to 1 s in between (jittered), without end: whoever bounds
/// the work (the drain deadline) drops the future. `what` fits after "the store cannot".
///
/// # Errors
/// Data and permanent errors, at once.
pub async fn hold<T, F, R>(health: &Health, what: &str, call: F) -> Result<T, Error>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, Error>>,
{
    let backoff = ExponentialBuilder::default()
        .with_min_delay(DELAY_MIN)
        .with_max_delay(DELAY_MAX)
        .without_max_times()
        .with_jitter();
    let answer =
        call.retry(backoff).when(Error::is_transient).notify(|error, delay| health.failed(what, error, delay)).await;
    health.answered();
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_transient_error_holds_until_the_store_answers() {
        let (health, calls) = (Health::default(), AtomicU32::new(0));
        let answer = hold(&health, "answer", || async {
            if calls.fetch_add(1, Ordering::Relaxed) < 20 {
                assert_eq!(health.trouble().is_some(), calls.load(Ordering::Relaxed) > 1);
                return Err(Error::Transient("busy".to_owned()));
            }
            Ok(7)
        })
        .await;
        assert_eq!((answer, calls.into_inner()), (Ok(7), 21));
        assert_eq!(health.trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_come_back_at_once() {
        let (health, calls) = (Health::default(), AtomicU32::new(0));
        let error = Error::Permanent("no such table".to_owned());
        let answer: Result<(), Error> = hold(&health, "answer", || async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err(error.clone())
        })
        .await;
        assert_eq!((answer, calls.into_inner()), (Err(error.clone()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_call_ends_when_it_is_dropped_and_the_trouble_stays_known() {
        let health = Health::default();
        let call = hold(&health, "answer", || async { Err::<(), _>(Error::Transient("away".to_owned())) });
        assert!(tokio::time::timeout(Duration::from_secs(100), call).await.is_err());
        assert_eq!(health.trouble().map(|trouble| trouble.why), Some("away".to_owned()));
    }
}
