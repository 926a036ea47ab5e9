//! Dead letters over HTTP.

use broadside::killmail::KillmailId;
use broadside::store::{DeadLetterFilter, DeadLetterState, Letters, NewDeadLetter};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::world::World;

fn letter(stage: &str, column: u32, killmail_id: i64) -> NewDeadLetter {
    NewDeadLetter {
        pipeline: "kills".to_owned(),
        source: "wanderer".to_owned(),
        group: "parse".to_owned(),
        stage: stage.to_owned(),
        class: "invalid".to_owned(),
        error: format!("expected a value at line 1 column {column}"),
        killmail_id: KillmailId::new(killmail_id),
        failed_at: Timestamp::now(),
        payload: b"{\"killmail_id\": \xff".to_vec(),
        ..NewDeadLetter::default()
    }
}

/// Two that failed alike, and one that did not.
async fn world() -> World {
    let world = World::new().await;
    let letters = [letter("decode", 7, 1), letter("decode", 99, 2), letter("match", 7, 3)];
    world.store.add_dead_letters(&letters).await.unwrap();
    world
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    crate::client::send(world.address, "POST", path, &headers, &body).await
}

fn ids(answer: &Answer) -> Vec<i64> {
    let answer = answer.json();
    answer["dead_letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn letters_are_listed_by_what_they_say_in_pages() {
    let world = world().await;
    let all = world.get("/api/dead-letters").await;
    assert_eq!((all.status, ids(&all)), (200, vec![1, 2, 3]));
    assert_eq!(all.json()["dead_letters"][0]["payload"], Value::Null, "what is long is left out");
    let group = all.json()["dead_letters"][0]["fingerprint"].as_str().unwrap().to_owned();
    let find = async |query: &str| ids(&world.get(&format!("/api/dead-letters?{query}")).await);
    assert_eq!(find("stage=match").await, [3]);
    assert_eq!(find(&format!("group={group}")).await, [1, 2]);
    assert_eq!(find("killmail_id=2").await, [2]);
    assert_eq!(find("since=1h&pipeline=kills&class=invalid").await, [1, 2, 3]);
    assert_eq!(find("until=1h").await, [0_i64; 0]);
    assert_eq!(find("state=replayed,discarded").await, [0_i64; 0]);
    let page = world.get("/api/dead-letters?after=1&limit=1").await;
    assert_eq!((ids(&page), &page.json()["more"]), (vec![2], &json!(true)));
    for bad in ["limit=0", "limit=1001", "state=lost", "group=x", "class=x", "since=soon", "killmail_id=0", "stages=x"]
    {
        assert_eq!(world.get(&format!("/api/dead-letters?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_letter_is_shown_with_its_payload_and_history() {
    let world = world().await;
    let shown = world.get("/api/dead-letters/1").await;
    assert_eq!((shown.status, &shown.json()["payload"]), (200, &json!("{\"killmail_id\": \u{fffd}")));
    assert_eq!(shown.json()["history"][0]["error"], "expected a value at line 1 column 7");
    for missing in ["4", "-1", "x", "99999999999999999999"] {
        assert_eq!(world.get(&format!("/api/dead-letters/{missing}")).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn groups_are_listed_and_marked() {
    let world = world().await;
    let groups = world.get("/api/dead-letters/groups").await.json();
    let groups = groups["groups"].as_array().unwrap();
    let of = |stage: &str| groups.iter().find(|group| group["stage"] == stage).unwrap().clone();
    let decode = of("decode");
    assert_eq!((groups.len(), &decode["open"], &decode["total"]), (2, &json!(2), &json!(2)));
    assert_eq!(decode["error"], "expected a value at line <n> column <n>");
    assert_eq!((decode["trend"].as_array().unwrap().len(), &decode["state"]), (24, &json!("open")));
    assert_eq!(decode["sample"]["id"], 2);

    let path = format!("/api/dead-letters/groups/{}", decode["fingerprint"].as_str().unwrap());
    let marked = post(&world, &path, &json!({"state": "fixed", "version": "0.2.0", "note": "see 17"})).await.json();
    assert_eq!(
        (&marked["state"], &marked["fixed_in"], &marked["note"]),
        (&json!("fixed"), &json!("0.2.0"), &json!("see 17"))
    );
    let states = async |query: &str| {
        let groups = world.get(&format!("/api/dead-letters/groups?{query}")).await.json();
        let groups = groups["groups"].as_array().unwrap().clone();
        groups.iter().map(|group| group["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states("state=open,regressed").await, ["open"]);
    assert_eq!(states("state=fixed").await, ["fixed"]);
    let late = NewDeadLetter { failed_at: Timestamp::now() + SignedDuration::from_secs(5), ..letter("decode", 1, 9) };
    world.store.add_dead_letters(&[late]).await.unwrap();
    assert_eq!(states("stage=decode").await, ["regressed"]);
    assert_eq!(post(&world, &path, &json!({"state": "open"})).await.json()["state"], "open");
    assert_eq!(states("limit=1").await.len(), 1);
    for (path, body, status) in [
        ("/api/dead-letters/groups/0000000000000000", json!({"state": "fixed"}), 404),
        (path.as_str(), json!({"state": "regressed"}), 400),
        (path.as_str(), json!({"state": "fixed", "in": "1"}), 400),
        (path.as_str(), json!({"state": "fixed", "version": "1".repeat(501)}), 400),
    ] {
        assert_eq!(post(&world, path, &body).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn letters_are_discarded_with_a_reason_and_never_all_by_an_oversight() {
    let world = world().await;
    for (body, status) in [
        (json!({"reason": "no use"}), 400),
        (json!({"stage": "decode"}), 400),
        (json!({"stage": "decode", "reason": " "}), 400),
        (json!({"stagee": "decode", "reason": "no use"}), 400),
        (json!({"stage": "decode", "sinse": "1h", "reason": "no use"}), 400),
        (json!({"ids": [1], "all": true, "reason": "no use"}), 400),
    ] {
        let refused = post(&world, "/api/dead-letters/discard", &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
    }
    let done = post(&world, "/api/dead-letters/discard", &json!({"stage": "decode", "reason": "no use"})).await;
    assert_eq!(done.json(), json!({"discarded": 2}));
    let discarded = DeadLetterFilter { states: vec![DeadLetterState::Discarded], ..DeadLetterFilter::default() };
    let discarded = world.store.dead_letters(&discarded).await.unwrap();
    assert!(discarded.len() == 2 && discarded.iter().all(|letter| letter.note.as_deref() == Some("no use")));
    let stats = world.get("/api/dead-letters/stats").await.json();
    assert_eq!(stats["states"][0], json!({"state": "open", "count": 1, "bytes": 17}));
    assert_eq!((&stats["bytes"], &stats["database"]), (&json!(51), &json!("memory")));
    assert_eq!(
        post(&world, "/api/dead-letters/discard", &json!({"all": true, "reason": "x"})).await.json(),
        json!({"discarded": 1})
    );
}

#[tokio::test]
async fn who_may_only_read_changes_nothing() {
    let world = World::with_access("0.0.0.0:4010".parse().unwrap(), None).await;
    let ids = world.store.add_dead_letters(&[letter("decode", 7, 1)]).await.unwrap();
    for path in ["/api/dead-letters/discard", "/api/dead-letters/groups/0000000000000000"] {
        assert_eq!(
            post(&world, path, &json!({"all": true, "reason": "x", "state": "fixed"})).await.status,
            403,
            "{path}"
        );
    }
    assert_eq!(world.get(&format!("/api/dead-letters/{}", ids[0])).await.json()["state"], "open");
}
