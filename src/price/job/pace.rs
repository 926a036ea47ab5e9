//! How long a product takes, as of late: what an estimate is made from.
//!
//! The average is over the later three quarters of all that was done: it follows a service that gets slower or faster, and hardly moves with single answers. Marks are
//! set where progress comes, which is in steps of a bulk request.

use std::collections::VecDeque;

/// Enough for a resolution of a percent.
const MARKS_MAX: usize = 256;

/// What comes within so many seconds of a mark belongs to it, or within this share of all that has passed.
const ONE_STEP: f64 = 0.05;
const ONE_STEP_SHARE: f64 = 0.005;

/// Marks of progress: products done, after so many seconds.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    marks: VecDeque<(u64, f64)>,
}

impl Pace {
    /// From what is known of the time before: only the average.
    #[must_use]
    pub fn since(completed: u64, seconds: f64) -> Self {
        let mut pace = Self { marks: VecDeque::from([(0, 0.0)]) };
        pace.note(completed, seconds);
        pace
    }

    /// So many products were done after so long. No time counts twice, and none in which nothing was asked for. Products of one request are told one after
    /// the other and are one step all the same.
    pub fn note(&mut self, completed: u64, seconds: f64) {
        if self.marks.back().is_some_and(|(last, _)| *last >= completed) {
            return;
        }
        let is_begun = self.marks.len() > 1;
        match self.marks.back_mut() {
            Some((last, at)) if is_begun && seconds - *at <= ONE_STEP.max(*at * ONE_STEP_SHARE) => *last = completed,
            _ => self.marks.push_back((completed, seconds)),
        }
        while self.marks.get(1).is_some_and(|(second, _)| *second <= completed / 4) {
            self.marks.pop_front();
        }
        if self.marks.len() > MARKS_MAX {
            // The first is what is measured from.
            let mut index = 0;
            self.marks.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            if self.marks.back().is_some_and(|(last, _)| *last < completed) {
                self.marks.push_back((completed, seconds));
            }
        }
    }

    /// Seconds that one product takes; `None` before there is any.
    #[must_use]
    pub fn seconds_each(&self) -> Option<f64> {
        let ((from, began), (to, ended)) = (self.marks.front()?, self.marks.back()?);
        (to > from).then(|| (ended - began).max(0.0) / (to - from) as f64)
    }

    /// Seconds that the last step took: progress may be that far ahead of what is known.
    #[must_use]
    pub fn last_step(&self) -> f64 {
        let ended = self.marks.back().map_or(0.0, |(_, seconds)| *seconds);
        let count = self.marks.len();
        let began = count.checked_sub(2).and_then(|at| self.marks.get(at)).map_or(ended, |(_, seconds)| *seconds);
        (ended - began).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Steps of 500, each as long as told; checks each estimate from a tenth on against the time that is really left.
    fn worst(steps: &[f64]) -> f64 {
        let mut pace = Pace::since(0, 0.0);
        let mut worst = 0.0_f64;
        let all: f64 = steps.iter().sum();
        let mut spent = 0.0;
        for (index, step) in steps.iter().enumerate() {
            spent += step;
            let done = 500 * (index as u64 + 1);
            pace.note(done, spent);
            let left = (steps.len() - index - 1) as f64 * 500.0;
            if (index + 1) * 10 >= steps.len() && (index + 1) * 10 <= steps.len() * 9 {
                let estimate = pace.seconds_each().expect("there is one") * left;
                worst = worst.max((estimate / (all - spent) - 1.0).abs());
            }
        }
        worst
    }

    proptest! {
        #[test]
        fn from_a_tenth_on_an_estimate_is_within_a_fifth_whatever_the_noise(
            steps in prop::collection::vec(0.8_f64..1.2, 120..400)
        ) {
            let worst = worst(&steps);
            prop_assert!(worst < 0.2, "off by {worst}");
        }

        #[test]
        fn marks_stay_few(steps in 1_u64..5000, size in 1_u64..50) {
            let mut pace = Pace::default();
            for step in 1..=steps {
                pace.note(step * size, step as f64);
            }
            prop_assert!(pace.marks.len() <= MARKS_MAX + 1);
            let (completed, seconds) = pace.marks.back().copied().expect("there is one");
            prop_assert_eq!(completed, steps * size);
            prop_assert!((seconds / steps as f64 - 1.0).abs() < 0.01, "{}", seconds);
        }
    }

    #[test]
    fn it_follows_a_service_that_gets_slower() {
        let mut pace = Pace::since(10_000, 10.0);
        assert_eq!(pace.seconds_each(), Some(0.001));
        for step in 1..=60 {
            pace.note(10_000 + step * 500, 10.0 + step as f64 * 1.5);
        }
        let each = pace.seconds_each().expect("there is one");
        assert!((each - 0.003).abs() < 1e-9, "{each}");
    }

    #[test]
    fn products_that_come_in_one_answer_are_one_step() {
        let mut pace = Pace::since(0, 0.0);
        for request in 0..4 {
            for product in 1..=500 {
                pace.note(request * 500 + product, (request + 1) as f64 * 0.6 + product as f64 * 1e-5);
            }
            let each = pace.seconds_each().expect("there is one");
            assert!((each / 0.0012 - 1.0).abs() < 0.01, "{each} after {} requests", request + 1);
        }
    }

    #[test]
    fn nothing_is_said_before_anything_is_done() {
        assert_eq!((Pace::default().seconds_each(), Pace::since(0, 0.0).seconds_each()), (None, None));
        assert_eq!(Pace::since(500, 2.0).last_step(), 2.0);
    }
}
