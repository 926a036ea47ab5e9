//! What an answer's headers say of the limits.

use std::time::Duration;

use super::COST_MAX;
use crate::clients::answer::Answer;

/// Read from one answer; from none, when none came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// `None`: no answer came, so the call may have cost anything.
    pub status: Option<u16>,
    /// `X-Ratelimit-Group`.
    pub group: Option<String>,
    /// `X-Ratelimit-Limit`, as in `3600/15m`: tokens, and the window in which they come back.
    pub limit: Option<(u32, Duration)>,
    /// `X-Ratelimit-Remaining`.
    pub remaining: Option<u32>,
    /// `X-Ratelimit-Used`: what this call cost.
    pub used: Option<u32>,
    /// `X-ESI-Error-Limit-Remain`.
    pub errors_left: Option<u32>,
    /// `X-ESI-Error-Limit-Reset`: until the errors are granted anew.
    pub errors_reset: Option<Duration>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Longer than that no window is, whatever a header says.
const WINDOW_MAX: Duration = Duration::from_hours(24);
/// A group's name becomes a label.
const GROUP_MAX: usize = 40;

impl Reading {
    /// Of an answer.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let number = |name: &str| answer.text(name)?.parse::<u32>().ok();
        let group = answer.text("x-ratelimit-group").filter(|group| {
            (1..=GROUP_MAX).contains(&group.len())
                && group.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        });
        let limit = answer.text("x-ratelimit-limit").and_then(limit);
        Self {
            status: Some(answer.status),
            // One says nothing without the other.
            group: group.filter(|_| limit.is_some()).map(str::to_owned),
            limit: limit.filter(|_| group.is_some()),
            remaining: number("x-ratelimit-remaining"),
            used: number("x-ratelimit-used"),
            errors_left: number("x-esi-error-limit-remain"),
            errors_reset: number("x-esi-error-limit-reset").map(|s| Duration::from_secs(s.into()).min(WINDOW_MAX)),
            retry_after: answer.retry_after(),
        }
    }

    /// Tokens that the call cost: as the server says, else by its rules, and the most when no answer came.
    #[must_use]
    pub fn cost(&self) -> u32 {
        match (self.used, self.status) {
            (Some(used), _) => used,
            (None, None) => COST_MAX,
            (None, Some(429 | 500..)) => 0,
            (None, Some(400..)) => COST_MAX,
            (None, Some(300..)) => 1,
            (None, Some(_)) => 2,
        }
    }
}

/// `12000/15m`.
fn limit(text: &str) -> Option<(u32, Duration)> {
    let (tokens, window) = text.split_once('/')?;
    let (number, unit) = window.trim().split_at_checked(window.trim().len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let window = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    let tokens = tokens.trim().parse().ok()?;
    (tokens > 0 && !window.is_zero() && window <= WINDOW_MAX).then_some((tokens, window))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().expect("a header's value"))
        });
        Answer { status, headers: headers.collect(), body: bytes::Bytes::new() }
    }

    #[test]
    fn both_families_of_headers_are_read() {
        let tokens = [
            ("x-ratelimit-group", "killmail"),
            ("x-ratelimit-limit", "3600/15m"),
            ("x-ratelimit-remaining", "3598"),
            ("x-ratelimit-used", "2"),
        ];
        let reading = Reading::of(&answer(200, &tokens));
        assert_eq!(reading.limit, Some((3600, Duration::from_mins(15))));
        assert_eq!(
            (reading.group.as_deref(), reading.remaining, reading.used),
            (Some("killmail"), Some(3598), Some(2))
        );
        let errors = [("x-esi-error-limit-remain", "77"), ("x-esi-error-limit-reset", "31")];
        let reading = Reading::of(&answer(404, &errors));
        assert_eq!((reading.errors_left, reading.errors_reset), (Some(77), Some(Duration::from_secs(31))));
    }

    #[test]
    fn a_limit_that_is_none_is_passed_over() {
        for text in
            ["", "3600", "3600/", "3600/m", "/15m", "x/15m", "0/15m", "10/0s", "10/15d", "10/15é", "10/99999999999h"]
        {
            assert_eq!(limit(text), None, "{text}");
        }
        assert_eq!(limit("600/90s"), Some((600, Duration::from_secs(90))));
        let reading = Reading::of(&answer(200, &[("x-ratelimit-group", "a b\"c"), ("x-ratelimit-limit", "5/1m")]));
        assert_eq!((reading.group, reading.limit), (None, None));
    }

    #[test]
    fn a_call_without_a_price_is_reckoned_by_its_status_and_one_without_an_answer_at_the_most() {
        let cost = |status| Reading { status, ..Reading::default() }.cost();
        let costs = [Some(200), Some(304), Some(404), Some(429), Some(420), Some(503), None].map(cost);
        assert_eq!(costs, [2, 1, 5, 0, 5, 0, 5]);
        assert_eq!(Reading { status: Some(404), used: Some(1), ..Reading::default() }.cost(), 1);
    }
}
