//! Static data: imported from files and addresses, whole or not at all, and taken up by a running worker.

use serde_json::Value;

use super::program::{World, get, kills, text, until};
use super::statics_files::{FUZZWORK, Folder, OFFICIAL, bz2};
use super::statics_server::{Reply, Server};

const STATUS: &[&str] = &["sde", "status", "--json"];

fn status(world: &World) -> Value {
    let done = world.run(STATUS);
    assert_eq!(done.code, 0, "{}", done.err);
    serde_json::from_str(&done.out).expect("JSON")
}

#[test]
fn a_folder_is_imported_and_the_status_says_what_of_it_is_there() {
    let (world, folder) = (World::new(), Folder::fuzzwork());
    let none = world.run(&["sde", "status"]);
    assert!(none.code == 0 && none.out.contains("no static data"), "{none:?}");
    let done = world.run(&["sde", "import", text(folder.path())]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("types           3\n") && done.out.contains("version 1 from "), "{}", done.out);
    assert!(done.out.contains("without dgmTypeAttributes: tech levels"), "{}", done.out);
    let done = world.run(&["sde", "import", text(&folder.zip(OFFICIAL, "")), "--json"]);
    let summary: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(
        (&summary["version"], &summary["systems"], &summary["absent"]),
        (&2.into(), &2.into(), &Value::Array(vec![]))
    );
    let status = status(&world);
    assert_eq!((&status["version"], &status["types"], &status["types_from_esi"]), (&2.into(), &3.into(), &0.into()));
    assert!(status["source"].as_str().is_some_and(|source| source.ends_with("static-data.zip")), "{status}");
    assert!(world.run(&["sde", "status"]).out.contains("groups          2\n"));
}

#[test]
fn what_is_broken_changes_nothing_and_says_where() {
    let (world, folder) = (World::new(), Folder::fuzzwork());
    folder.replace("invTypes", FUZZWORK[3].1.replace("3074,74,", "3074,75,"));
    let import = ["sde", "import", text(folder.path())];
    let done = world.run(&import);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("invTypes.csv, line 6, column groupID: there is no group 75"), "{}", done.err);
    assert_eq!(world.files(), Vec::<String>::new(), "not even a database");
    world.run(&["sde", "import", text(Folder::fuzzwork().path())]);
    let before = status(&world);
    assert_eq!(world.run(&import).code, 1);
    assert_eq!(status(&world), before);
    for from in ["nothing-there", "https://sde.invalid/dump/", "http://"] {
        assert_eq!(world.run(&["sde", "import", from]).code, 2, "{from}");
    }
    assert_eq!(status(&world), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_zip_or_of_fuzzworks_folder_is_imported() {
    let zip = std::fs::read(Folder::new().zip(OFFICIAL, "")).expect("a zip");
    let server = Server::start(move |request, _| {
        // Paths come in lower case.
        let table =
            |name: &&(&str, &str)| request.path() == format!("/esi/dump/latest/{}.csv.bz2", name.0.to_lowercase());
        match request.path() {
            "/esi/sde/latest-jsonl.zip" => Reply::new(302, "").with("location", "/esi/sde/build-1-jsonl.zip"),
            "/esi/sde/build-1-jsonl.zip" => Reply::new(200, zip.clone()),
            _ => FUZZWORK
                .iter()
                .find(table)
                .map_or(Reply::new(404, ""), |table| Reply::new(200, bz2(table.1.as_bytes()))),
        }
    })
    .await;
    let url = server.url();
    let ended = tokio::task::spawn_blocking(move || {
        let world = World::new();
        for (from, absent) in [("sde/latest-jsonl.zip", 0), ("dump/latest/", 1)] {
            let done = world.run(&["sde", "import", &format!("{url}/{from}"), "--json"]);
            assert_eq!(done.code, 0, "{}", done.err);
            let summary: Value = serde_json::from_str(&done.out).expect("JSON");
            assert_eq!((&summary["types"], summary["absent"].as_array().map(Vec::len)), (&3.into(), Some(absent)));
        }
        assert_eq!(world.files(), ["broadside.db"], "what was downloaded is gone");
        let done = world.run(&["sde", "import", &format!("{url}/nowhere/")]);
        assert!(done.code == 1 && done.err.contains("status 404"), "{done:?}");
    });
    ended.await.expect("it holds");
}

#[test]
fn a_running_worker_takes_an_import_without_a_restart() {
    let (world, folder) = (World::new(), Folder::fuzzwork());
    world.write("pipelines/kills.toml", "[source.generator]\n[[processor]]\nname = \"parse\"\nstages = [\"decode\"]\n[[batcher]]\nname = \"out\"\nsink.blackhole = {}\n");
    let mut worker = world.start(&["run", "--listen", "127.0.0.1:0"], &[]);
    worker.err("no static data: kills stay partial");
    let page = worker.err("page=");
    let address = page.split("http://").nth(1).expect("an address").split('/').next().expect("a host");
    assert_eq!(world.run(&["sde", "import", text(folder.path())]).code, 0);
    worker.err("in use: 3 types, 2 systems");
    until("the metric is there", || get(address, "/metrics").contains("broadside_static_data{kind=\"systems\"} 2"));
    worker.signal("TERM");
    assert_eq!(worker.wait().code, 0);
}

#[test]
fn one_table_alone_takes_the_place_of_what_there_is_of_it() {
    let (world, folder) = (World::new(), Folder::fuzzwork());
    folder.replace("invTypes", FUZZWORK[3].1.replace("Rifter", "Rifter renamed").replace("3075,74,old", "3076,74,new"));
    let alone = folder.path().join("invTypes.csv");
    let import = ["sde", "import", text(&alone)];
    let done = world.run(&import);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(done.err.contains("invTypes.csv: one table alone") && done.err.contains("first"), "{}", done.err);
    world.run(&["sde", "import", text(Folder::fuzzwork().path())]);
    let done = world.run(&import);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("replaced by invTypes alone: types; the rest is as it was\n"), "{}", done.out);
    assert!(done.out.contains("types           3\n") && done.out.contains("systems         2\n"), "{}", done.out);
    let before = status(&world);
    assert_eq!(before["version"], 2);
    folder.replace("mapSolarSystems", FUZZWORK[8].1.replace("20000020,30000144", "20000021,30000144"));
    let done = world.run(&["sde", "import", text(&folder.path().join("mapSolarSystems.csv"))]);
    assert!(done.code == 1 && done.err.contains("line 3, column constellationID: there is no constellation 20000021"));
    assert_eq!(status(&world), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_what_was_downloaded_names_its_address() {
    let server = Server::start(|request, _| match request.path().split('?').next() {
        Some("/esi/invtypes.csv.bz2") => Reply::new(200, bz2(FUZZWORK[3].1.replace("3074,74,", "3074,x,").as_bytes())),
        Some("/esi/dump/invcategories.csv.bz2" | "/esi/page.zip") => {
            Reply::new(200, "<!DOCTYPE html>\n<html><body>Sorry</body></html>")
        }
        Some(path) if path.starts_with("/esi/dump/") => Reply::new(200, ""),
        _ => Reply::new(404, ""),
    })
    .await;
    let host = server.url().split("//").nth(1).expect("a host").to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let world = World::new();
        world.run(&["sde", "import", text(Folder::fuzzwork().path())]);
        for (from, expected) in [
            ("page.zip?key=secret", "/page.zip: it is a web page"),
            ("gone.zip?key=secret", "/gone.zip: status 404"),
            ("invTypes.csv.bz2?key=secret", "/invTypes.csv.bz2, line 6, column groupID: \"x\" is no whole number"),
            ("dump/", "/dump/invCategories.csv.bz2, line 1, column categoryID: there is no such column"),
        ] {
            let done = world.run(&["sde", "import", &format!("http://me:secret@{host}/{from}")]);
            assert!(done.code > 0 && done.err.contains(&format!("http://{host}{expected}")), "{}", done.err);
            assert!(!done.err.contains("secret") && !done.err.contains(".tmp"), "{}", done.err);
        }
    });
    ended.await.expect("it holds");
}

#[test]
fn kills_that_were_stored_before_the_first_import_are_queued_once() {
    let world = World::new();
    let file = world.write("kills.ndjson", &kills(25));
    let done = world.run(&["backfill", text(&file)]);
    assert_eq!(done.code, 0, "{}", done.err);
    let folder = Folder::fuzzwork();
    let import = ["sde", "import", text(folder.path()), "--json"];
    let queued = |out: &str| serde_json::from_str::<Value>(out).expect("JSON")["queued"].clone();
    assert_eq!(queued(&world.run(&import).out), 25);
    assert_eq!(queued(&world.run(&import).out), 0);
}
