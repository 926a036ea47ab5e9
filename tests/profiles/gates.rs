//! What the index may do for a kill, whatever the machine is: look at few entries, evaluate few filters, allocate nothing.

use broadside::profile::Subject;
use broadside::profile::index::{Index, Scratch, Statistics};
use broadside::profile::workload::Workload;

const PROFILES: u32 = 10_000;

/// The workload, statistics of other kills, and the kills to match.
fn workload(profiles: u32) -> (Index, Vec<Subject<'static>>) {
    let mut workload = Workload::new(7);
    let statistics = Statistics::default();
    (0..5_000).for_each(|_| statistics.observe(&workload.kill()));
    let mut index = Index::new(statistics.into());
    for id in 0..profiles {
        index.insert(id, &workload.filter()).expect("it fits");
    }
    (index, (0..500).map(|_| workload.kill()).collect())
}

#[test]
fn few_entries_are_looked_at_and_few_filters_evaluated_for_each_match() {
    let (index, kills) = workload(PROFILES);
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    kills.iter().for_each(|kill| index.matches(kill, &mut scratch, &mut out));
    let per_match = |count: u64| count as f64 / out.len() as f64;
    let (scanned, evaluated) = (per_match(scratch.scanned), per_match(scratch.evaluated));
    println!("{:.1} matches a kill, of each {scanned:.2} scanned, {evaluated:.3} evaluated", out.len() as f64 / 500.0);
    assert!(scanned <= 2.0, "{scanned:.2} entries are looked at for each match");
    assert!(evaluated <= 0.25, "{evaluated:.3} filters are evaluated for each match");
}

#[test]
fn a_kill_is_matched_without_an_allocation() {
    let (index, kills) = workload(2_000);
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let mut match_all = || {
        for kill in &kills {
            out.clear();
            index.matches(kill, &mut scratch, &mut out);
        }
    };
    match_all();
    let counted = allocation_counter::measure(match_all);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_profile_takes_few_bytes() {
    let mut workload = Workload::new(7);
    let filters: Vec<_> = (0..20_000).map(|_| workload.filter()).collect();
    let mut index = Index::default();
    let counted = allocation_counter::measure(|| {
        for (id, filter) in (0..).zip(&filters) {
            index.insert(id, filter).expect("it fits");
        }
    });
    let (bytes, said) = (counted.bytes_current as f64 / 20_000.0, index.stats().bytes as f64 / 20_000.0);
    println!("{bytes:.0} bytes a profile, the index says {said:.0}");
    assert!(bytes < 500.0, "{bytes} bytes a profile");
    assert!((said / bytes - 1.0).abs() < 0.2, "the index says {said} of {bytes}");
}
