//! How a command ends: what became of every message, in words and as an exit code.

use std::process::ExitCode;

use broadside_engine::Outcome;
use broadside_engine::pipeline::{Ledger, Report};
use indicatif::HumanCount;

/// How a pipeline ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) pipeline: String,
    pub(super) report: Report,
}

/// The gravest of what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Done,
    /// A source gave up.
    Failed,
    /// Messages were abandoned.
    DeadlinePassed,
    /// The engine has a fault.
    Imbalance,
}

impl Ended {
    pub(super) fn ending(&self) -> Ending {
        if self.report.ledger.imbalance() != 0 {
            Ending::Imbalance
        } else if self.report.deadline_passed {
            Ending::DeadlinePassed
        } else if self.report.source_failure.is_some() {
            Ending::Failed
        } else {
            Ending::Done
        }
    }

    /// What an operator must know, when it did not end well.
    pub(super) fn trouble(&self) -> Option<String> {
        let (name, report) = (&self.pipeline, &self.report);
        let abandoned = HumanCount(report.ledger.outcome(Outcome::Abandoned));
        match self.ending() {
            Ending::Done => None,
            Ending::Failed => {
                Some(format!("{name}: the source gave up: {}", report.source_failure.as_deref().unwrap_or_default()))
            }
            Ending::DeadlinePassed => {
                Some(format!("{name}: the drain deadline passed: {abandoned} messages abandoned"))
            }
            Ending::Imbalance => Some(format!("{name}: the ledger does not balance: {}", ledger(&report.ledger))),
        }
    }
}

/// Says what went wrong in any of them, and answers the code for the gravest.
pub(super) fn exit_code(ended: &[Ended]) -> ExitCode {
    for trouble in ended.iter().filter_map(Ended::trouble) {
        eprintln!("broadside: {trouble}");
    }
    match ended.iter().map(Ended::ending).max().unwrap_or(Ending::Done) {
        Ending::Done => ExitCode::SUCCESS,
        Ending::Failed => ExitCode::from(1),
        Ending::DeadlinePassed => ExitCode::from(3),
        Ending::Imbalance => ExitCode::from(4),
    }
}

/// `received 1,204 = successful 1,200 + filtered 4; imbalance 0`.
pub(super) fn ledger(ledger: &Ledger) -> String {
    let outcomes = Outcome::ALL.into_iter().map(|outcome| (outcome, ledger.outcome(outcome)));
    let settled: Vec<String> = outcomes
        .filter(|(outcome, count)| *count > 0 || *outcome == Outcome::Successful)
        .map(|(outcome, count)| format!("{} {}", outcome.as_str().replace('_', "-"), HumanCount(count)))
        .collect();
    let in_flight =
        if ledger.in_flight > 0 { format!(" + in flight {}", HumanCount(ledger.in_flight)) } else { String::new() };
    format!(
        "received {} = {}{in_flight}; imbalance {}",
        HumanCount(ledger.received),
        settled.join(" + "),
        ledger.imbalance()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ended(ledger: Ledger, deadline_passed: bool, source_failure: Option<&str>) -> Ended {
        let source_failure = source_failure.map(str::to_owned);
        let report = Report { ledger, took: Duration::ZERO, deadline_passed, source_failure };
        Ended { pipeline: "kills".into(), report }
    }

    #[test]
    fn a_ledger_is_one_line_that_adds_up() {
        let whole = Ledger { received: 1204, settled: [1200, 0, 0, 4, 0], in_flight: 0 };
        assert_eq!(ledger(&whole), "received 1,204 = successful 1,200 + filtered 4; imbalance 0");
        let open = Ledger { received: 3, settled: [0; 5], in_flight: 2 };
        assert_eq!(ledger(&open), "received 3 = successful 0 + in flight 2; imbalance 1");
    }

    #[test]
    fn the_gravest_ending_counts() {
        let sound = Ledger { received: 5, settled: [3, 0, 0, 0, 2], in_flight: 0 };
        let broken = Ledger { received: 5, ..Ledger::default() };
        assert_eq!(ended(sound, false, None).ending(), Ending::Done);
        assert_eq!(ended(sound, false, Some("away")).ending(), Ending::Failed);
        assert_eq!(ended(sound, true, Some("away")).ending(), Ending::DeadlinePassed);
        assert_eq!(ended(broken, true, None).ending(), Ending::Imbalance);
        let trouble = ended(sound, true, None).trouble().expect("there is");
        assert!(trouble.contains("2 messages abandoned"), "{trouble}");
    }
}
