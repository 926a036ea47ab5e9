//! What must hold of the source as text: who may use whom, what stands where, which words are not used.

#![allow(clippy::unwrap_used, reason = "tests")]

mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room → the rooms that it may use. A room may always use itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("duration", &[]),
    ("killmail", &[]),
    ("market", &["killmail"]),
    ("statics", &["killmail"]),
    ("price", &["killmail", "market", "statics"]),
    ("tags", &["killmail", "statics"]),
    ("profile", &["killmail"]),
    ("surveillance", &["killmail", "profile"]),
    ("courier", &["clients", "duration", "killmail", "profile", "statics", "store", "surveillance", "telemetry"]),
    ("record", &[]),
    ("books", &["killmail", "market"]),
    ("regions", &["killmail", "market"]),
    ("archive", &["killmail", "store"]),
    ("hub", &["killmail"]),
    ("clients", &["duration", "killmail", "market", "price", "statics", "telemetry"]),
    ("store", &["killmail", "market", "price", "profile", "statics", "telemetry"]),
    ("appraisal", &["clients", "duration", "killmail", "market", "price", "statics", "store", "telemetry"]),
    ("history", &["archive", "clients", "killmail", "store"]),
    ("recent", &["killmail"]),
    ("feeds", &[]),
    ("unknowns", &["clients", "killmail", "statics", "store"]),
    ("price_job", &["price", "store"]),
    (
        "resources",
        &[
            "appraisal",
            "books",
            "courier",
            "regions",
            "clients",
            "feeds",
            "hub",
            "killmail",
            "price_job",
            "profile",
            "recent",
            "statics",
            "store",
            "surveillance",
            "unknowns",
        ],
    ),
    (
        "sources",
        &[
            "books",
            "market",
            "price",
            "price_job",
            "record",
            "regions",
            "archive",
            "clients",
            "duration",
            "feeds",
            "history",
            "killmail",
            "resources",
            "statics",
            "store",
            "telemetry",
        ],
    ),
    (
        "stages",
        &[
            "appraisal",
            "market",
            "price",
            "price_job",
            "record",
            "clients",
            "recent",
            "duration",
            "killmail",
            "profile",
            "resources",
            "statics",
            "store",
            "surveillance",
            "tags",
            "telemetry",
            "unknowns",
        ],
    ),
    (
        "sinks",
        &[
            "appraisal",
            "books",
            "courier",
            "market",
            "price",
            "record",
            "regions",
            "recent",
            "duration",
            "hub",
            "killmail",
            "profile",
            "resources",
            "store",
            "surveillance",
            "telemetry",
        ],
    ),
    ("dead_letter", &["duration", "recent", "killmail", "resources", "store", "telemetry"]),
    ("telemetry", &[]),
    ("settings", &["telemetry"]),
    (
        "definition",
        &[
            "courier",
            "market",
            "price",
            "price_job",
            "record",
            "dead_letter",
            "duration",
            "killmail",
            "resources",
            "sinks",
            "sources",
            "stages",
            "store",
        ],
    ),
    (
        "http",
        &[
            "dead_letter",
            "price",
            "price_job",
            "profile",
            "regions",
            "duration",
            "feeds",
            "hub",
            "killmail",
            "resources",
            "statics",
            "store",
            "telemetry",
        ],
    ),
    ("simulator", &["market", "killmail", "duration", "sources", "statics"]),
];

/// Crate → the rooms that may import it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("axum", &["http", "simulator"]),
    ("clap", &["cli", "main", "settings"]),
    ("eventsource_client", &["clients"]),
    ("indicatif", &["cli"]),
    ("reqwest", &["clients"]),
    ("sqlx", &["store"]),
    ("toml", &["definition"]),
];

/// Words that say nothing about what a module is for.
const BANNED_MODULES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Source files of the program (not the engine), each with the room it stands in.
fn program() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    rust_files(&src)
        .into_iter()
        .filter(|path| !path.starts_with(src.join("engine")))
        .map(|path| {
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let room = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (room, path, text)
        })
        .collect()
}

/// The part before the unit tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, path, text) in program() {
        let Some(allowed) = table.get(room.as_str()) else { continue };
        for line in code_lines(production(&text)) {
            for used in line.split("crate::").skip(1) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_room = table.contains_key(name.as_str()) || name == "cli";
                if is_room && name != room && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}: {room} uses {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn components_of_one_kind_do_not_import_one_another() {
    let mut wrong = Vec::new();
    for (room, path, text) in program() {
        if !["sources", "stages", "sinks"].contains(&room.as_str())
            || path.ends_with("mod.rs")
            || path.ends_with("sources/pair.rs")
        {
            continue;
        }
        for line in code_lines(production(&text)) {
            // a component may have a folder of its own
            let is_inner = path.parent().is_some_and(|folder| !folder.ends_with(&room));
            let leaves = if is_inner { "super::super::" } else { "super::" };
            if line.contains(&format!("crate::{room}::")) || line.contains(leaves) {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_crates_are_imported_only_where_they_belong() {
    let mut wrong = Vec::new();
    for (room, path, text) in program() {
        for (name, rooms) in ONLY_IN {
            let used = code_lines(production(&text)).any(|line| {
                line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .any(|word| word.starts_with(&format!("{name}::")))
            });
            if used && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_engine_knows_nothing_of_the_program_and_only_its_fence_catches_panics() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src/engine")) {
        let text = fs::read_to_string(&path).unwrap();
        for line in code_lines(&text) {
            if line.contains("catch_unwind") && !path.ends_with("fence.rs") {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
        let lower = production(&text).to_lowercase();
        for word in ["killmail", "sqlx", "reqwest", "axum"] {
            if lower.contains(word) {
                wrong.push(format!("{}: knows of {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_but_the_engine_and_the_servers_spawns_tasks_and_no_queue_is_without_a_bound() {
    // a client ends what it has begun even when nobody waits for it any more, and so does the appraiser: they own those tasks, and they are few
    let may_spawn = ["appraisal", "cli", "clients", "http", "main", "simulator", "telemetry"];
    let mut wrong = Vec::new();
    for (room, path, text) in program() {
        for line in code_lines(production(&text)) {
            let spawns = line.contains("tokio::spawn(") || line.contains("JoinSet");
            if spawns && !may_spawn.contains(&room.as_str()) {
                wrong.push(format!("{}: {line}", path.display()));
            }
            if line.contains("unbounded") {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_sleeps_for_real() {
    let mut wrong = Vec::new();
    // the simulated world's components take their time, on a paused clock
    let simulation = root().join("tests/simulation");
    for path in rust_files(&root().join("tests")) {
        let text = fs::read_to_string(&path).unwrap();
        let simulated = path.starts_with(&simulation);
        for line in code_lines(&text) {
            let sleeps = line.contains("thread::sleep(") || (line.contains("time::sleep(") && !simulated);
            if sleeps && !path.ends_with("tidy/main.rs") {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_are_named_for_what_they_hold_and_say_so_in_their_first_line() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if BANNED_MODULES.contains(&name) {
            wrong.push(format!("{}: the name says nothing", path.display()));
        }
        if !fs::read_to_string(&path).unwrap().starts_with("//! ") {
            wrong.push(format!("{}: the first line does not say what it is", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_names_every_component_and_command() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut missing = BTreeSet::new();
    for folder in ["sources", "stages", "sinks", "cli"] {
        for path in rust_files(&root().join("src").join(folder)) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inner = path.parent().unwrap() != root().join("src").join(folder);
            let text = fs::read_to_string(&path).unwrap();
            let is_one = folder == "cli" && text.contains("pub struct Args") || text.contains("pub struct Config");
            if is_one && !inner && !readme.contains(&format!("`{name}")) {
                missing.insert(format!("{folder}/{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
}

#[test]
fn every_metric_that_the_code_records_is_described_and_the_other_way_round() {
    let mut recorded = BTreeSet::new();
    let mut described = BTreeSet::new();
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let names = metric_names(production(&text));
        if path.ends_with("src/telemetry.rs") || path.starts_with(root().join("src/telemetry")) {
            described.extend(names);
        } else {
            recorded.extend(names);
        }
    }
    let undescribed: Vec<_> = recorded.difference(&described).collect();
    let unrecorded: Vec<_> = described.difference(&recorded).collect();
    assert!(undescribed.is_empty(), "recorded and not described: {undescribed:?}");
    assert!(unrecorded.is_empty(), "described and not recorded: {unrecorded:?}");
}

/// String literals that are metric names.
fn metric_names(text: &str) -> Vec<String> {
    code_lines(text)
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|word| {
            word.strip_prefix("broadside_")
                .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        })
        .map(str::to_owned)
        .collect()
}
