//! Which kills of a call change what, given what is stored: pure, and the same for every engine.

use std::collections::HashMap;

use super::Change;

/// What one kill of a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of a kill that was not there.
    New,
    /// A richer copy than what was there before it.
    Richer,
    /// Nothing.
    Same,
}

/// What a call does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// For each kill, in order.
    pub(super) steps: Vec<Step>,
    /// Indexes of the kills to write: the richest copy of each kill that changes, in the order of their first copies.
    pub(super) writes: Vec<usize>,
}

/// Goes through `kills` (id, rank) as if they were stored one by one on top of `stored` (rank by id).
pub(super) fn plan(kills: &[(i64, i64)], stored: &HashMap<i64, i64>) -> Plan {
    let mut plan = Plan { steps: Vec::with_capacity(kills.len()), writes: Vec::with_capacity(kills.len()) };
    // Rank so far, and where in `writes` the kill stands, if it does.
    let mut seen: HashMap<i64, (i64, Option<usize>)> = HashMap::with_capacity(kills.len());
    for (index, &(id, rank)) in kills.iter().enumerate() {
        let known = seen.get(&id).copied().or_else(|| stored.get(&id).map(|&rank| (rank, None)));
        let step = match known {
            None => Step::New,
            Some((before, _)) if rank > before => Step::Richer,
            Some(_) => Step::Same,
        };
        if step != Step::Same {
            let place = known.and_then(|(_, place)| place);
            match place {
                Some(place) => plan.writes[place] = index,
                None => plan.writes.push(index),
            }
            seen.insert(id, (rank, place.or(Some(plan.writes.len() - 1))));
        }
        plan.steps.push(step);
    }
    plan
}

/// The answers to a call: one for each kill (id, rank), with event ids by killmail id.
pub(super) fn changes(plan: &Plan, kills: &[(i64, i64)], events: &HashMap<i64, i64>) -> Vec<Change> {
    let change = |(step, (id, _)): (&Step, &(i64, i64))| match step {
        Step::New => Change::New { event_id: events.get(id).copied() },
        Step::Richer => Change::Richer,
        Step::Same => Change::Same,
    };
    plan.steps.iter().zip(kills).map(change).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kill_given_twice_is_new_once_and_its_richest_copy_is_written() {
        let found = plan(&[(1, 0), (2, 1), (1, 2), (1, 1)], &HashMap::new());
        assert_eq!(found.steps, [Step::New, Step::New, Step::Richer, Step::Same]);
        assert_eq!(found.writes, [2, 1]);
    }

    #[test]
    fn a_stored_kill_changes_only_when_the_copy_is_richer() {
        let stored = HashMap::from([(1, 1), (2, 1), (3, 1)]);
        let found = plan(&[(1, 0), (2, 1), (3, 2)], &stored);
        assert_eq!(found.steps, [Step::Same, Step::Same, Step::Richer]);
        assert_eq!(found.writes, [2]);
    }

    proptest! {
        #[test]
        fn one_call_ends_where_single_calls_would(
            kills in prop::collection::vec((0_i64..6, 0_i64..3), 0..40),
            stored in prop::collection::hash_map(0_i64..6, 0_i64..3, 0..6),
        ) {
            let whole = plan(&kills, &stored);
            let mut singly = stored.clone();
            let mut steps = Vec::new();
            for &(id, rank) in &kills {
                let one = plan(&[(id, rank)], &singly);
                if one.writes == [0] {
                    singly.insert(id, rank);
                }
                steps.extend(one.steps);
            }
            let mut at_once = stored;
            for &index in &whole.writes {
                at_once.insert(kills[index].0, kills[index].1);
            }
            prop_assert_eq!(steps, whole.steps);
            prop_assert_eq!(singly, at_once);
        }
    }
}
