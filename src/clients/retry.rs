//! Repeating a call that is safe to repeat: waits that grow, with chance in them, never past a deadline.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use tokio::time::Instant;

/// What to do about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It would fail again.
    Stop,
    /// Later, after the usual wait.
    Again,
    /// Not before this long: the service said so.
    After(Duration),
}

/// How often, and how far apart.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Calls, the first one included.
    pub attempts: usize,
    /// Before the second; each wait after is twice as long. Chance adds up to as much again.
    pub first_wait: Duration,
    /// The longest.
    pub longest_wait: Duration,
}

impl Plan {
    /// The waits between the attempts, for whoever has something else to watch meanwhile.
    pub fn waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        self.builder().build()
    }

    fn builder(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
    }

    /// Calls until it succeeds, the advice is to stop, the attempts are used up, or the next would begin after the deadline.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn run<T, E, F>(
        &self,
        deadline: Instant,
        attempt: impl FnMut() -> F,
        advice: impl Fn(&E) -> Advice,
        mut note: impl FnMut(&E, Duration),
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let fits = |wait: &Duration| Instant::now() + *wait < deadline;
        attempt
            .retry(self.builder())
            .sleep(tokio::time::sleep)
            .when(|error| advice(error) != Advice::Stop)
            .adjust(|error, wait| {
                let wait = match advice(error) {
                    Advice::After(least) => wait.map(|wait| wait.max(least)),
                    Advice::Again | Advice::Stop => wait,
                };
                wait.filter(fits)
            })
            .notify(|error, wait| note(error, wait))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { attempts: 4, first_wait: Duration::from_millis(100), longest_wait: Duration::from_secs(1) };

    /// How many attempts are made until the deadline, and how long they take.
    async fn attempts(deadline: Duration, advice: Advice) -> (usize, Duration) {
        let (mut count, start) = (0, Instant::now());
        let result: Result<(), ()> = PLAN
            .run(
                start + deadline,
                || {
                    count += 1;
                    async { Err(()) }
                },
                |()| advice,
                |(), _| {},
            )
            .await;
        assert!(result.is_err());
        (count, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_told_when_used_up_and_at_the_deadline() {
        let hour = Duration::from_secs(3600);
        assert_eq!(attempts(hour, Advice::Stop).await, (1, Duration::ZERO));
        let (count, took) = attempts(hour, Advice::Again).await;
        assert!(count == 4 && (0.7..1.4).contains(&took.as_secs_f64()), "{count} in {took:?}");
        let (count, took) = attempts(hour, Advice::After(Duration::from_secs(10))).await;
        assert_eq!((count, took), (4, Duration::from_secs(30)));
        assert_eq!(attempts(Duration::from_secs(5), Advice::After(Duration::from_secs(10))).await, (1, Duration::ZERO));
    }
}
