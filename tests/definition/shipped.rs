//! The pipelines that come with the program, and what a definition is made of.

use std::path::Path;
use std::time::Duration;

use broadside::definition::{PartitionBy, load, schema};

use super::{parse, unset};

fn shipped() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let paths = std::fs::read_dir(folder).expect("pipelines/ is there").map(|entry| entry.expect("readable").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn every_shipped_pipeline_is_sound_without_any_environment() {
    assert!(!shipped().is_empty());
    for path in shipped() {
        load(&path, &unset).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn the_kills_pipeline_publishes_only_what_is_stored() {
    let path = shipped().into_iter().find(|path| path.ends_with("kills.toml")).expect("kills.toml");
    let kills = load(&path, &unset).expect("sound");
    assert_eq!((kills.name.as_str(), kills.enabled, kills.dead_letters.enabled), ("kills", true, true));
    assert_eq!(kills.topology.chain("db_insert"), ["db_insert", "pubsub", "alerts"]);
    assert_eq!(kills.partitions["pubsub"], PartitionBy::SolarSystem);
    assert_eq!(kills.sink_names()["db_insert"], "database");
    let names: Vec<&str> = kills.topology.processors[0].stages.iter().map(String::as_str).collect();
    assert_eq!(names, ["decode", "deduplicate"]);
    let groups: Vec<&str> = kills.topology.processors.iter().map(|processor| processor.name.as_str()).collect();
    assert_eq!(groups, ["parse", "enrich", "match"], "what a kill is and is worth is known before it is matched");
    assert_eq!(kills.worst_case_in_flight(), kills.topology.worst_case_in_flight().min(5000));
}

#[test]
fn what_is_left_out_has_a_default() {
    let text = "[source.generator]\n[[processor]]\nname = \"parse\"\nmax_demand = 200\nstages = [\"decode\"]\n\
                [[batcher]]\nname = \"db\"\nbatch_size = 20\nsink.database = {}\n";
    let definition = parse(text).expect("sound");
    let (processor, batcher) = (&definition.topology.processors[0], &definition.topology.batchers[0]);
    assert_eq!((processor.concurrency, processor.capacity), (2, 2000));
    assert_eq!((batcher.concurrency, batcher.capacity, batcher.eager), (1, 1000, false));
    assert_eq!(batcher.batch_timeout, Duration::from_secs(1));
    assert_eq!((definition.topology.in_flight_max, definition.topology.source.rate_limit), (5000, None));
    assert_eq!(definition.topology.drain_deadline, Duration::from_secs(30));
    assert!(definition.enabled && definition.dead_letters.enabled);
}

#[test]
fn the_schema_knows_every_table_and_kind() {
    let text = schema().to_string();
    for word in
        ["processor", "batcher", "dead_letters", "limits", "wanderer", "database", "in_flight_max", "batch_timeout"]
    {
        assert!(text.contains(&format!("\"{word}\"")), "{word}");
    }
}
