//! When a region is swept next, and how its tokens are shared out. Pure: time is an argument.

use std::time::Duration;

use super::Config;

/// Pages that expire later than this after the first are not waited for: the next sweep takes them as they are.
const STRAGGLERS: Duration = Duration::from_secs(60);
/// Of the tokens that come back in a window, the share that is planned with.
const SHARE: f64 = 0.9;
/// Of those, what the largest regions have for themselves when there is not enough for all.
const HUBS_SHARE: f64 = 0.6;

/// The settings that say when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    interval: Duration,
    interval_min: Duration,
    pub(super) margin: Duration,
    after_error: Duration,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            interval: config.interval.0,
            interval_min: config.interval_min.0,
            margin: config.margin.0,
            after_error: config.after_error.0,
        }
    }

    /// How long a page holds, by what ESI says.
    pub(super) fn holds(&self, expires_in: Option<Duration>) -> Duration {
        expires_in.unwrap_or(self.interval)
    }

    /// From the first page's answer to the next sweep. `first`, `last`: how long after that answer the first page, and the last of all pages to do so, expire.
    pub(super) fn next(&self, first: Duration, last: Duration, stretch: f64) -> Duration {
        let expired = last.clamp(first, first + STRAGGLERS);
        let due = expired.max(self.interval_min) + self.margin;
        due.mul_f64(stretch.clamp(1.0, 1000.0))
    }

    /// From a failure to the next try. `allowed`: no call is before that.
    pub(super) fn after_error(&self, allowed: Duration) -> Duration {
        self.after_error.max(allowed)
    }

    /// Whether a sweep that takes about `needed` is better begun anew when the pages expire, in `left`: it would mix two snapshots, and then it would not.
    pub(super) fn better_later(&self, needed: Duration, left: Duration, holds: Duration) -> bool {
        // What has expired already does not say when the next snapshot comes.
        !left.is_zero() && left < needed && needed + self.margin < holds
    }
}

/// What a region needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) pages: u32,
    /// Tokens that a sweep costs.
    pub(super) tokens: f64,
    /// Seconds from one sweep to the next, unstretched.
    pub(super) every: f64,
}

impl Load {
    fn rate(&self) -> f64 {
        self.tokens / self.every.max(1.0)
    }
}

/// By how much intervals are stretched so that the tokens last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    /// A region of so many pages or more is a hub: the largest that together have half of all pages.
    hub_pages: u32,
    pub(super) hubs: f64,
    pub(super) others: f64,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { hub_pages: u32::MAX, hubs: 1.0, others: 1.0 }
    }
}

impl Stretch {
    /// Shares out what comes back: all get what they need if there is enough; else the hubs go first, and leave the others their share. `per_second`: tokens that
    /// come back.
    pub(super) fn plan(loads: &[Load], per_second: f64) -> Self {
        let hub_pages = hub_pages(loads);
        let need = |is_hub: bool| -> f64 {
            loads.iter().filter(|load| (load.pages >= hub_pages) == is_hub).map(Load::rate).sum()
        };
        let (hubs, others, have) = (need(true), need(false), (per_second * SHARE).max(f64::MIN_POSITIVE));
        if hubs + others <= have {
            return Self { hub_pages, ..Self::default() };
        }
        // Whoever needs less than their share leaves the rest to the others.
        let for_hubs = (have * HUBS_SHARE).max(have - others);
        let stretched = (hubs / for_hubs).max(1.0);
        let left = have - hubs / stretched;
        Self { hub_pages, hubs: stretched, others: (others / left).max(1.0) }
    }

    /// Of a region.
    pub(super) fn of(&self, pages: u32) -> f64 {
        if pages >= self.hub_pages { self.hubs } else { self.others }
    }
}

/// From how many pages on a region is a hub.
fn hub_pages(loads: &[Load]) -> u32 {
    let mut pages: Vec<u32> = loads.iter().map(|load| load.pages).collect();
    pages.sort_unstable_by(|a, b| b.cmp(a));
    let total: u64 = pages.iter().map(|pages| u64::from(*pages)).sum();
    let mut sum = 0;
    let mut large = pages.into_iter().skip_while(|pages| {
        sum += u64::from(*pages);
        sum * 2 < total
    });
    large.next().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rules() -> Rules {
        Rules::new(&Config::default())
    }

    #[test]
    fn the_next_sweep_is_due_two_seconds_after_the_pages_have_expired() {
        assert_eq!(rules().next(seconds(290), seconds(290), 1.0), seconds(292));
        assert_eq!(rules().next(seconds(290), seconds(299), 1.0), seconds(301), "the last page counts");
        assert_eq!(rules().next(seconds(290), seconds(9000), 1.0), seconds(352), "but not one that is far off");
        assert_eq!(rules().next(seconds(3), seconds(3), 1.0), seconds(32), "never sooner than in half a minute");
        assert_eq!(rules().next(seconds(298), seconds(298), 2.0), seconds(600), "and later when tokens are scarce");
    }

    #[test]
    fn five_minutes_are_taken_for_a_page_that_does_not_say_how_long_it_holds() {
        assert_eq!((rules().holds(None), rules().holds(Some(seconds(7)))), (seconds(300), seconds(7)));
    }

    #[test]
    fn after_an_error_a_minute_passes_or_as_long_as_esi_asks_for() {
        assert_eq!(rules().after_error(Duration::ZERO), seconds(60));
        assert_eq!(rules().after_error(seconds(100)), seconds(100));
    }

    #[test]
    fn a_long_sweep_is_not_begun_shortly_before_its_pages_expire_unless_that_would_not_help() {
        assert!(rules().better_later(seconds(80), seconds(60), seconds(300)));
        assert!(!rules().better_later(seconds(80), seconds(100), seconds(300)));
        assert!(!rules().better_later(seconds(299), seconds(60), seconds(300)), "it would mix two in any case");
        assert!(!rules().better_later(seconds(80), seconds(0), seconds(300)), "nobody knows when they are renewed");
    }

    #[test]
    fn with_tokens_enough_nobody_waits() {
        let loads = [Load { pages: 400, tokens: 800.0, every: 300.0 }, Load { pages: 70, tokens: 140.0, every: 300.0 }];
        let plan = Stretch::plan(&loads, 12_000.0 / 900.0);
        assert_eq!((plan.of(400), plan.of(70)), (1.0, 1.0));
    }

    #[test]
    fn with_too_few_tokens_the_hubs_go_first_and_the_others_share_the_rest() {
        let load = |pages: u32| Load { pages, tokens: f64::from(pages) * 2.0, every: 300.0 };
        let loads = [load(400), load(100), load(100), load(100)];
        // They need 14/3 tokens a second.
        let plan = Stretch::plan(&loads, 3.7);
        assert_eq!(plan.of(400), 400.0 * 2.0 / 300.0 / (3.7 * SHARE - 3.7 * SHARE * 0.4));
        assert!(plan.of(100) > plan.of(400));
    }

    proptest! {
        #[test]
        fn what_is_planned_is_never_more_than_comes_back(
            loads in prop::collection::vec((1_u32..500, 0.5_f64..3.0, 30.0_f64..600.0), 1..100),
            per_second in 0.01_f64..30.0,
        ) {
            let loads: Vec<Load> =
                loads.into_iter().map(|(pages, each, every)| Load { pages, tokens: f64::from(pages) * each, every }).collect();
            let plan = Stretch::plan(&loads, per_second);
            let spent: f64 = loads.iter().map(|load| load.rate() / plan.of(load.pages)).sum();
            prop_assert!(spent <= per_second * SHARE * 1.000_001, "{spent} of {per_second}");
            prop_assert!(plan.hubs >= 1.0 && plan.others >= 1.0);
        }
    }
}
