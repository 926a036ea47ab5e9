//! The tokens of ESI's group `market-order`: what is spent comes back a window later.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

pub(super) const TOKENS: u32 = 12_000;
const WINDOW: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(super) struct Limit {
    spent: VecDeque<(Instant, u32)>,
    sum: u32,
}

impl Limit {
    fn look(&mut self, now: Instant) -> u32 {
        while let Some((_, tokens)) = self.spent.front().copied().filter(|(at, _)| *at + WINDOW <= now) {
            self.spent.pop_front();
            self.sum -= tokens;
        }
        TOKENS.saturating_sub(self.sum)
    }

    /// Whether there are tokens for a call; else after how many seconds.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), u64> {
        match (self.look(now) >= 2, self.spent.front()) {
            (false, Some((at, _))) => Err((*at + WINDOW - now).as_secs() + 1),
            _ => Ok(()),
        }
    }

    /// Answers what is left.
    pub(super) fn spend(&mut self, tokens: u32, now: Instant) -> u32 {
        if tokens > 0 {
            self.spent.push_back((now, tokens));
            self.sum += tokens;
        }
        self.look(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_comes_back_a_window_later() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        assert_eq!(limit.spend(TOKENS - 1, start), 1);
        assert_eq!(limit.admit(start + Duration::from_secs(60)), Err(14 * 60 + 1));
        assert_eq!(limit.admit(start + WINDOW), Ok(()));
        assert_eq!(limit.spend(2, start + WINDOW), TOKENS - 2);
    }
}
