//! Profiles in use: they are matched by several workers while they change.

use std::sync::atomic::{AtomicBool, Ordering};

use broadside::killmail::ProfileId;
use broadside::profile::document::{Format, Target};
use broadside::profile::workload::Workload;
use broadside::profile::{Field, Filter, Node, Subject, Test, What, interpret};
use broadside::surveillance::{Scratch, Surveillance, Watched};

fn id(number: i64) -> ProfileId {
    ProfileId::new(number).unwrap()
}

fn watched(number: i64, filter: Filter) -> Watched {
    Watched { profile_id: id(number), name: "watched".into(), filter, targets: [].into() }
}

fn in_system(system: i64) -> Filter {
    Filter { root: Node::Test(Test { field: Field::SystemId, is_negated: false, what: What::AnyOf([system].into()) }) }
}

fn kill_in(system: i64) -> Subject<'static> {
    let mut kill = Subject::default();
    kill.set(Field::SystemId, &[system]);
    kill
}

fn matching(surveillance: &Surveillance, kill: &Subject<'_>) -> Vec<i64> {
    let mut out = Vec::new();
    surveillance.matches(kill, &mut Scratch::default(), &mut out);
    let mut ids: Vec<i64> = out.into_iter().map(ProfileId::get).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_profile_is_matched_from_when_it_is_put_until_it_is_removed() {
    let surveillance = Surveillance::default();
    surveillance.put(vec![watched(7, in_system(1)), watched(i64::MAX, in_system(1)), watched(9, in_system(2))]);
    assert_eq!(matching(&surveillance, &kill_in(1)), [7, i64::MAX]);
    surveillance.put(vec![watched(7, in_system(2))]);
    assert_eq!(matching(&surveillance, &kill_in(1)), [i64::MAX]);
    assert_eq!(matching(&surveillance, &kill_in(2)), [7, 9]);
    surveillance.remove(&[id(9), id(1_000)]);
    assert_eq!(matching(&surveillance, &kill_in(2)), [7]);
    surveillance.put(vec![watched(10, in_system(1))]);
    assert_eq!(matching(&surveillance, &kill_in(1)), [10, i64::MAX]);
    assert_eq!(surveillance.counts().profiles, 3);
}

#[test]
fn only_profiles_with_targets_alert() {
    let surveillance = Surveillance::default();
    let target = Target { url: "http://127.0.0.1:1/".to_owned(), format: Format::Json };
    surveillance
        .put(vec![Watched { targets: [target.clone()].into(), ..watched(1, in_system(1)) }, watched(2, in_system(1))]);
    assert_eq!(surveillance.alerting(id(1)).unwrap().targets[..], [target]);
    assert_eq!(surveillance.alerting(id(2)), None);
    surveillance.put(vec![watched(1, in_system(1))]);
    assert_eq!(surveillance.alerting(id(1)), None);
}

#[test]
fn workers_match_while_profiles_change_and_see_each_change_whole() {
    let mut workload = Workload::new(11);
    let filters: Vec<Filter> = (0..400).map(|_| workload.filter()).collect();
    let kills: Vec<Subject<'_>> = (0..20).map(|_| workload.kill()).collect();
    let surveillance = Surveillance::default();
    // The first half stays.
    surveillance.put((0..200).map(|at| watched(at + 1, filters[at as usize].clone())).collect());
    let expected: Vec<Vec<i64>> = kills
        .iter()
        .map(|kill| (1..=200).filter(|number| interpret::holds(&filters[*number as usize - 1].root, kill)).collect())
        .collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut scratch, mut out) = (Scratch::default(), Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    for (kill, expected) in kills.iter().zip(&expected) {
                        out.clear();
                        surveillance.matches(kill, &mut scratch, &mut out);
                        let mut ids: Vec<i64> = out.iter().map(|id| id.get()).collect();
                        ids.sort_unstable();
                        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "each once");
                        assert!(ids.iter().all(|number| interpret::holds(&filters[*number as usize - 1].root, kill)));
                        ids.retain(|number| *number <= 200);
                        assert_eq!(ids, *expected);
                    }
                }
            });
        }
        for _ in 0..50 {
            surveillance.put((200..400).map(|at| watched(at + 1, filters[at as usize].clone())).collect());
            surveillance.remove(&(201..=400).map(id).collect::<Vec<_>>());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(surveillance.counts().profiles, 200);
}
