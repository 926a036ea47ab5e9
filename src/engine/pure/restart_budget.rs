//! How often a source may crash before its pipeline gives up.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::topology::RestartBudget;

/// Counts crashes in a sliding window.
#[derive(Debug)]
pub struct Restarts {
    budget: RestartBudget,
    crashes: VecDeque<Instant>,
}

impl Restarts {
    /// No crash yet.
    #[must_use]
    pub fn new(budget: RestartBudget) -> Self {
        Self { budget, crashes: VecDeque::new() }
    }

    /// A crash happened: how long to wait before the next incarnation, or `None` when the budget is used up.
    pub fn crashed(&mut self, now: Instant) -> Option<Duration> {
        while self.crashes.front().is_some_and(|&at| now - at > self.budget.within) {
            self.crashes.pop_front();
        }
        let earlier = u32::try_from(self.crashes.len()).unwrap_or(u32::MAX);
        if earlier >= self.budget.restarts {
            return None;
        }
        self.crashes.push_back(now);
        let factor = 2_u32.saturating_pow(earlier);
        Some(self.budget.delay.saturating_mul(factor).min(self.budget.delay_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_the_budget_ends() {
        let budget = RestartBudget {
            restarts: 4,
            within: Duration::from_secs(60),
            delay: Duration::from_millis(100),
            delay_max: Duration::from_millis(350),
        };
        let mut restarts = Restarts::new(budget);
        let now = Instant::now();
        let waits: Vec<_> = (0..5).map(|_| restarts.crashed(now).map(|d| d.as_millis())).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(350), Some(350), None]);
    }

    #[test]
    fn crashes_older_than_the_window_are_forgotten() {
        let budget = RestartBudget { restarts: 1, within: Duration::from_secs(1), ..RestartBudget::default() };
        let mut restarts = Restarts::new(budget);
        let now = Instant::now();
        assert!(restarts.crashed(now).is_some());
        assert!(restarts.crashed(now + Duration::from_millis(900)).is_none());
        assert!(restarts.crashed(now + Duration::from_millis(1_100)).is_some());
    }
}
