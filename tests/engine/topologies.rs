//! Shapes that cannot work are refused with the reason, all of them at once. Rule A1.

use std::time::Duration;

use broadside_engine::pipeline::StartError;
use broadside_engine::topology::{Batcher, Processor, RateLimit, Source, Topology};
use broadside_engine::{Components, Pipeline};

use crate::kit::{millis, out, source, step, stepping, topology};

fn reasons(topology: &Topology) -> Vec<String> {
    topology.validate().map_or_else(|found| found.iter().map(ToString::to_string).collect(), |()| Vec::new())
}

fn batcher(name: &str, after: Option<&str>) -> Batcher {
    Batcher { after: after.map(str::to_owned), ..Batcher::new(name) }
}

#[test]
fn a_sound_shape_is_accepted() {
    let topology = topology().batcher(batcher("a", None)).batcher(batcher("b", Some("a"))).batcher(batcher("c", None));
    assert_eq!(reasons(&topology), [""; 0]);
    assert_eq!(topology.chain("a"), ["a", "b"]);
}

#[test]
fn each_fault_has_its_reason() {
    let cases: Vec<(Topology, &str)> = vec![
        (Topology::new("t", Source::new("s")), "a pipeline needs at least one processor"),
        (topology().processor(Processor::new("work")), "two worker groups are called `work`"),
        (topology().batcher(batcher("work", None)), "two worker groups are called `work`"),
        (
            Topology { processors: vec![Processor { concurrency: 0, ..Processor::new("p") }], ..topology() },
            "`p`: concurrency must be at least 1",
        ),
        (
            Topology { processors: vec![Processor { max_demand: 0, ..Processor::new("p") }], ..topology() },
            "`p`: max_demand must be at least 1",
        ),
        (
            Topology { processors: vec![Processor { capacity: 99, ..Processor::new("p") }], ..topology() },
            "`p`: capacity 99 is below max_demand 100, so a full group could never pass",
        ),
        (
            Topology { processors: vec![Processor { concurrency: 2_000, ..Processor::new("p") }], ..topology() },
            "at most 1024 workers in a group",
        ),
        (topology().batcher(out(0)), "`out`: batch_size must be at least 1"),
        (
            topology().batcher(Batcher { batch_timeout: Duration::ZERO, ..out(1) }),
            "`out`: batch_timeout must be at least 1",
        ),
        (topology().batcher(Batcher { batch_bytes: Some(0), ..out(1) }), "`out`: batch_bytes must be at least 1"),
        (topology().batcher(Batcher { concurrency: 0, ..out(1) }), "`out`: concurrency must be at least 1"),
        (
            topology().batcher(Batcher { capacity: 9, ..out(10) }),
            "`out`: capacity 9 is below batch_size 10, so a full group could never pass",
        ),
        (
            topology().batcher(batcher("a", Some("nobody"))),
            "`a`: after = \"nobody\", and there is no batcher of that name",
        ),
        (topology().batcher(batcher("a", Some("a"))), "`a` comes after itself"),
        (
            topology().batcher(batcher("a", None)).batcher(batcher("b", Some("a"))).batcher(batcher("c", Some("a"))),
            "`c` and `b` both come after `a`: chain them, `c` after `b`",
        ),
        (
            Topology { in_flight_max: 50, ..topology() }.batcher(out(100)),
            "in_flight_max 50 is below 100, which `out` needs to fill its batches: they would all wait for the timeout",
        ),
        (Topology { in_flight_max: 0, ..topology() }, "`test`: in_flight_max must be at least 1"),
        (
            Topology { source: Source { concurrency: 0, ..Source::new("s") }, ..topology() },
            "`s`: concurrency must be at least 1",
        ),
        (
            Topology {
                source: Source { rate_limit: Some(RateLimit { messages: 0, per: millis(1) }), ..Source::new("s") },
                ..topology()
            },
            "`s`: rate_limit messages must be at least 1",
        ),
        (
            Topology {
                source: Source { rate_limit: Some(RateLimit { messages: 1, per: millis(0) }), ..Source::new("s") },
                ..topology()
            },
            "`s`: rate_limit per must be at least 1",
        ),
    ];
    for (topology, reason) in cases {
        assert_eq!(reasons(&topology), [reason], "{topology:?}");
    }
}

#[test]
fn a_circle_of_batchers_is_refused_for_each_of_them() {
    let topology = topology().batcher(batcher("a", Some("b"))).batcher(batcher("b", Some("a")));
    assert_eq!(reasons(&topology), ["`a` comes after itself", "`b` comes after itself"]);
}

#[test]
fn more_batchers_than_a_message_can_remember_are_refused() {
    let topology = (0..65).fold(topology(), |topology, n| topology.batcher(batcher(&format!("b{n}"), None)));
    assert_eq!(reasons(&topology), ["at most 64 batchers"]);
}

#[test]
fn all_reasons_are_given_at_once() {
    let topology = Topology { in_flight_max: 0, ..Topology::new("t", Source::new("s")) }.batcher(out(0));
    assert_eq!(reasons(&topology).len(), 3);
}

#[tokio::test]
async fn a_start_names_the_component_that_is_missing() {
    let refusal = |topology: Topology, components: Components<u32>| match Pipeline::start(topology, components) {
        Err(error) => error,
        Ok(_) => panic!("it starts"),
    };
    let components = || Components::new(source().1);
    let missing = refusal(stepping(), components());
    assert_eq!(missing.to_string(), "processor `work` names stage `step`, and there is none");
    assert_eq!(refusal(topology().batcher(out(1)), components()).to_string(), "batcher `out` has no sink");
    let bytes = topology().batcher(Batcher { batch_bytes: Some(1), ..out(1) });
    let missing = refusal(bytes, components().sink("out", step().0));
    assert_eq!(missing.to_string(), "batcher `out` has batch_bytes, and there is no size_of");
    let invalid = refusal(Topology::new("t", Source::new("s")), components());
    assert!(matches!(invalid, StartError::Topology(found) if found.len() == 1));
}
