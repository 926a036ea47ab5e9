//! The price cache job from the command line: with no worker, this process does it.

use std::fs;

use serde_json::Value;

use super::janice::Janice;
use super::program::{Done, World};

/// Nobody listens there: it is no port to be listened on.
const NOBODY: &str = "http://127.0.0.1:0";

/// A folder with the shipped pipeline, for thirty types in requests of ten.
fn world() -> World {
    let world = World::new();
    let types: Vec<i64> = (100..130).collect();
    let text =
        include_str!("../../pipelines/prices.toml").replace("# types = [34, 35] ", &format!("types = {types:?} "));
    world.write("pipelines/prices.toml", &text.replace("max_demand = 500", "max_demand = 10"));
    world
}

async fn run(world: World, janice: &Janice, key: &'static str, arguments: &[&str]) -> (World, Done) {
    let arguments: Vec<String> = ["prices"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    let url = janice.url();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--worker", NOBODY]).collect();
        let done = world.run_with(&arguments, &[("JANICE_URL", &url), ("JANICE_API_KEY", key)]);
        (world, done)
    })
    .await
    .expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_the_job_is_done_here_and_the_database_knows_of_it() {
    let janice = Janice::start().await;
    let (world, done) = run(world(), &janice, "key", &["start"]).await;
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.err.contains("no worker at") && done.err.contains("this process does it"), "{}", done.err);
    assert!(done.out.starts_with("state: completed\n100.0 % of 30 products, 93.3 % priced"), "{}", done.out);
    assert_eq!(janice.fetched().len(), 30);
    let (world, done) = run(world, &janice, "key", &["status", "--json"]).await;
    assert!(done.err.contains("this is what the database knows"), "{}", done.err);
    let status: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((status["state"].as_str(), status["analytics"]["successful"].as_u64()), (Some("completed"), Some(28)));
    let (world, done) = run(world, &janice, "key", &["pause"]).await;
    assert!(
        done.code == 1 && done.err.contains("the job is completed: it cannot pause; it can start, reset"),
        "{}",
        done.err
    );
    let (_, done) = run(world, &janice, "key", &["reset"]).await;
    assert!(done.out == "state: idle" && done.err.contains("done in the database alone"), "{}{}", done.out, done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_pauses_it_and_a_resumption_goes_on() {
    let (janice, world) = (Janice::start().await, world());
    janice.answer_only(1);
    let url = janice.url();
    let environment = [("JANICE_URL", url.as_str()), ("JANICE_API_KEY", "key")];
    let running = world.start(&["prices", "start", "--worker", NOBODY], &environment);
    janice.heard(2).await;
    running.signal("INT");
    janice.answer_only(usize::MAX);
    let done = tokio::task::spawn_blocking(|| running.wait()).await.expect("no panic");
    assert!(done.code == 0 && done.out.starts_with("state: paused"), "{}{}", done.out, done.err);
    assert!(done.err.contains("`broadside prices resume` goes on from here"), "{}", done.err);
    let (_, done) = run(world, &janice, "key", &["resume"]).await;
    assert!(done.code == 0 && done.out.starts_with("state: completed"), "{}{}", done.out, done.err);
    let fetched: Vec<i64> = janice.fetched().into_iter().map(|(_, id)| id).collect();
    assert_eq!(fetched, (100..130).collect::<Vec<_>>(), "nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let janice = Janice::start().await;
    let (world, done) = run(world(), &janice, "", &["start"]).await;
    assert!(done.code == 1 && done.err.contains("Janice wants a key: set JANICE_API_KEY"), "{}", done.err);
    let (world, done) = run(world, &janice, "key", &["start", "--detach"]).await;
    assert!(done.code == 2 && done.err.contains("there is nobody to leave it to"), "{}", done.err);
    fs::remove_file(world.path("broadside.db")).expect("it was made");
    let (world, done) = run(world, &janice, "key", &["status"]).await;
    assert!(done.code == 1 && done.err.contains("there is no database broadside.db"), "{}", done.err);
    fs::remove_file(world.path("pipelines/prices.toml")).expect("it is there");
    world.write("pipelines/prices.toml", include_str!("../../pipelines/prices.toml"));
    let (_, done) = run(world, &janice, "key", &["start"]).await;
    assert!(done.code == 1 && done.err.contains("broadside sde import"), "{}", done.err);
}

#[test]
fn a_job_that_would_keep_other_prices_than_those_of_kills_is_refused() {
    let world = World::new();
    world.write("pipelines/kills.toml", include_str!("../../pipelines/kills.toml"));
    let check = |pricing: &str| {
        let text = include_str!("../../pipelines/prices.toml").replace("pricing = \"sell\"", pricing);
        world.write("pipelines/prices.toml", &text);
        world.run_with(&["check"], &[("BROADSIDE_CONTACT", "me@example.com")])
    };
    assert_eq!(check("pricing = \"sell\"").code, 0);
    let done = check("pricing = \"buy\"");
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    let said = "prices.toml: `quote` would keep other prices of market 2 than those by which kills are priced";
    assert!(done.err.contains(said), "{}", done.err);
}
