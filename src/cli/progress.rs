//! Live figures on standard error: one line that changes on a terminal, a line every few seconds otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between lines when standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    /// Something that means nothing to people, who are told only how much of it there is left.
    Shares,
    /// Something whose remaining time the figures tell.
    Told,
}

/// Where live figures go.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    started: Instant,
    printed: Instant,
}

impl Progress {
    /// A bar to a `total` on a terminal; without a total, a line.
    pub(super) fn new(total: Option<(u64, Unit)>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(total));
        let now = Instant::now();
        let shared = total.filter(|(total, unit)| *total > 0 && *unit != Unit::Told);
        Self { bar, total: shared.map(|(total, _)| total), started: now, printed: now }
    }

    /// How often to [`show`](Self::show).
    pub(super) fn every(&self) -> Duration {
        if self.bar.is_some() { Duration::from_millis(500) } else { Duration::from_secs(1) }
    }

    /// The present figures; `position` of the total.
    pub(super) fn show(&mut self, position: u64, figures: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(position);
                bar.set_message(figures.to_owned());
            }
            None if self.printed.elapsed() >= LINE_EVERY => {
                self.printed = Instant::now();
                match self.total {
                    Some(total) => eprintln!("{}  {figures}", share(position, total, self.started.elapsed())),
                    None => eprintln!("{figures}"),
                }
            }
            None => {}
        }
    }

    /// Prints something else, above the changing line.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the changing line away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// ` 40 %, 1m 30s left`.
fn share(position: u64, total: u64, elapsed: Duration) -> String {
    let done = position as f64 / total as f64;
    let left = if position == 0 || position >= total {
        String::new()
    } else {
        format!(", {} left", HumanDuration(elapsed.mul_f64((1.0 - done) / done)))
    };
    format!("{:3.0} %{left}", done * 100.0)
}

fn bar(total: Option<(u64, Unit)>) -> ProgressBar {
    let template = match total {
        Some((_, Unit::Bytes)) => "{wide_bar} {bytes}/{total_bytes} {eta}\n{wide_msg}",
        Some((_, Unit::Told)) => "{wide_bar} {percent} %\n{wide_msg}",
        Some((_, Unit::Shares)) => "{wide_bar} {percent} % {eta}\n{wide_msg}",
        None => "{wide_msg}",
    };
    let bar = ProgressBar::with_draw_target(total.map(|(total, _)| total), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// `12,345/s`, or one digit more when it is slow.
pub(super) fn rate(count: u64, time: Duration) -> String {
    let rate = count as f64 / time.as_secs_f64().max(1e-9);
    if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{}/s", HumanCount(rate.round() as u64)) }
}

/// A counter's pace between two looks.
#[derive(Debug)]
pub(super) struct Pace {
    count: u64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { count: 0, at: Instant::now() }
    }

    /// The pace since the last look.
    pub(super) fn look(&mut self, count: u64) -> String {
        let now = Instant::now();
        let text = rate(count.saturating_sub(self.count), now - self.at);
        (self.count, self.at) = (count, now);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_tells_the_time_that_is_left_once_there_is_a_pace() {
        let minute = Duration::from_secs(60);
        assert_eq!(share(40, 100, minute), " 40 %, 2 minutes left");
        assert_eq!((share(0, 100, minute), share(100, 100, minute)), ("  0 %".to_owned(), "100 %".to_owned()));
    }

    #[test]
    fn a_rate_is_readable_when_slow_and_when_fast() {
        assert_eq!(rate(5, Duration::from_secs(2)), "2.5/s");
        assert_eq!(rate(24_690, Duration::from_secs(2)), "12,345/s");
        assert_eq!(rate(0, Duration::ZERO), "0.0/s");
    }
}
