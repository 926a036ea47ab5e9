//! Surveillance profiles as people keep them: added, shown, tried on kills, taken up by a running worker.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use super::program::{World, get, kills, text, until};

const HERE: &str = r#"{"field":"system_id","operator":"in","value":[30000142, 30000143]}"#;

fn profile(name: &str, more: &str) -> String {
    format!("{{\"name\": \"{name}\", \"filter\": {HERE}{more}}}\n")
}

/// Statements by hand, as a program that is none of ours sends them.
fn by_hand(database: &Path, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite://{}", database.display());
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    });
}

#[test]
fn a_file_is_stored_whole_or_not_at_all() {
    let world = World::new();
    let good = profile("a", "") + "\n" + &profile("b", r#", "enabled": false"#);
    let bad = good.clone() + r#"{"name": "c", "filter": {"condition": "not", "rules": []}}"# + "\n[]\n";
    let bad = world.write("bad.ndjson", &bad);
    let refused = world.run(&["profiles", "add", text(&bad)]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{}", refused.err);
    assert!(refused.err.contains("line 4: at filter.rules: found 0 rules"), "{}", refused.err);
    assert!(refused.err.contains("line 5: at the top: found a list"), "{}", refused.err);
    assert_eq!(world.files(), ["bad.ndjson"], "no database was made");

    let good = world.write("good.ndjson", &good);
    assert_eq!(world.run(&["profiles", "add", text(&good)]).out.trim(), "1\n2");
    let missing = world.write("missing.json", &(profile("d", "") + &profile("c", r#", "profile_id": 7"#)));
    let refused = world.run(&["profiles", "add", text(&missing)]);
    assert!(refused.code == 2 && refused.err.contains("line 2: at profile_id: found 7"), "{}", refused.err);
    let list = world.run(&["profiles", "list"]).out;
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    assert_eq!(world.run(&["profiles", "remove", "1", "9"]).code, 1);
    assert_eq!(world.run(&["profiles", "enable", "2"]).out.trim(), "enabled 2");
    assert_eq!(world.run(&["profiles", "list", "--json"]).out.lines().count(), 1);
}

#[test]
fn what_show_prints_is_accepted_again_and_a_secret_is_printed_only_when_asked_for() {
    let world = World::new();
    let url = "https://discord.com/api/webhooks/1/hunter2";
    let targets = format!(r#", "owner": "me", "targets": [{{"url": "{url}", "format": "discord"}}]"#);
    let file = world.write("watch.json", &profile("a \\u202e ☃", &targets));
    assert_eq!(world.run(&["profiles", "add", text(&file)]).code, 0);
    for arguments in [&["profiles", "show", "1"][..], &["profiles", "list"], &["profiles", "list", "--json"]] {
        let done = world.run(arguments);
        assert!(!done.out.contains("hunter2") && !done.out.contains('\u{202e}'), "{}", done.out);
        assert!(!done.err.contains("hunter2"), "{}", done.err);
    }
    let masked = world.write("masked.json", &world.run(&["profiles", "show", "1"]).out);
    let refused = world.run(&["profiles", "add", text(&masked)]);
    assert!(refused.code == 2 && refused.err.contains("a URL that is masked"), "{}", refused.err);
    let whole = world.run(&["profiles", "show", "1", "--reveal"]).out;
    let revealed = world.write("revealed.json", &whole);
    assert_eq!(world.run(&["profiles", "add", text(&revealed)]).out.trim(), "1");
    assert_eq!(world.run(&["profiles", "show", "1", "--reveal"]).out, whole);
    let broken = world.write("broken.json", &profile("a", r#", "targets": [{"url": "ftp://hunter2"}]"#));
    let refused = world.run(&["profiles", "add", text(&broken)]);
    assert!(refused.code == 2 && !refused.err.contains("hunter2"), "{}", refused.err);
}

#[test]
fn filters_are_tried_on_given_and_on_stored_kills_and_say_why() {
    let world = World::new();
    let (file, filter) = (world.write("kills.ndjson", &kills(70)), world.write("filter.json", HERE));
    let given = world.run(&["profiles", "test", text(&filter), "--input", text(&file), "--json"]);
    assert_eq!(given.code, 0, "{}", given.err);
    let told: serde_json::Value = serde_json::from_str(&given.out).unwrap();
    assert_eq!((&told["kills"], &told["matched"]), (&70.into(), &20.into()));
    assert!(told["warnings"][0].as_str().unwrap().starts_with("it matches 29 % of all kills"), "{told}");

    world.write("pipelines/kills.toml", "[[processor]]\nname = \"parse\"\nstages = [\"decode\", \"match\"]\n[[batcher]]\nname = \"db\"\nsink.database = {}\n[source.generator]\n");
    let watch = world.write("watch.json", &profile("a", ""));
    assert_eq!(world.run(&["profiles", "add", text(&watch)]).code, 0);
    let filled = world.run(&["backfill", text(&file)]);
    assert_eq!(filled.code, 0, "{}", filled.err);
    let stored =
        world.run_with(&["profiles", "test", text(&watch), "--kill", "1000002", "--limit", "35"], &[("NO_COLOR", "1")]);
    assert_eq!(stored.code, 0, "{}", stored.err);
    for says in [
        "35 kills of",
        "10 matched: 28.57 %",
        "kill 1000002 does not match",
        "[ ] system_id in [30000142,30000143]  <- 30000144",
    ] {
        assert!(stored.out.contains(says), "{says}: {}", stored.out);
    }
    let list = world.run(&["profiles", "list", "--json"]).out;
    assert!(list.contains(r#""matches":20"#), "a backfill counts: {list}");
    assert_eq!(world.run(&["profiles", "test", text(&watch), "--kill", "5"]).code, 1);
}

#[test]
fn a_running_worker_takes_up_changes_and_what_cannot_be_read_stops_nothing() {
    let world = World::new();
    world.write("pipelines/kills.toml", "[[processor]]\nname = \"parse\"\nstages = [\"decode\", \"match\"]\n[[batcher]]\nname = \"out\"\nsink.blackhole = {}\n[source.generator]\n");
    let file =
        world.write("watch.ndjson", &(profile("a", "") + &profile("b", "") + &profile("c", r#", "enabled": false"#)));
    assert_eq!(world.run(&["profiles", "add", text(&file)]).code, 0);
    let database = world.path("broadside.db");
    by_hand(
        &database,
        "INSERT INTO surveillance_profiles (name, filter) VALUES ('bad', '{\"field\":\"solo\",\"operator\":\"above\",\"value\":1}')",
    );
    let mut worker = world.start(&["run", "--listen", "127.0.0.1:0"], &[]);
    let said = worker.err("left a surveillance profile out");
    assert!(said.contains("profile_id=4") && said.contains("at operator: found \"above\""), "{said}");
    let line = worker.err("page=");
    let address =
        line.split("http://").nth(1).expect("the page's address").split('/').next().expect("a host").to_owned();
    let figures = |name: &str| {
        let metrics = get(&address, "/metrics");
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(-1.0) as i64
    };
    assert_eq!((figures("broadside_profiles"), figures("broadside_profiles_refused")), (2, 1));
    assert_eq!(world.run(&["profiles", "enable", "3"]).code, 0);
    until("it is in use", || figures("broadside_profiles") == 3);
    by_hand(&database, "DELETE FROM surveillance_profiles WHERE profile_id IN (1, 4)");
    until("they are gone", || (figures("broadside_profiles"), figures("broadside_profiles_refused")) == (2, 0));
    worker.signal("TERM");
    assert_eq!(worker.wait().code, 0);
}
