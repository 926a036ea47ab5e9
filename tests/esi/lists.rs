//! Names and affiliations: whole lists, and lists with bad ids.

use std::collections::HashSet;
use std::time::Duration;

use broadside::clients::esi::{Ask, Error};

use crate::client::esi;
use crate::server::{Reply, Request, Server};

fn ask() -> Ask {
    Ask::live(Duration::from_secs(10))
}

/// Names everything but what is bad.
async fn server(bad: &[i64]) -> Server {
    let bad: HashSet<i64> = bad.iter().copied().collect();
    Server::start(move |request: &Request, _| {
        let ids = request.ids();
        let unique: HashSet<_> = ids.iter().collect();
        assert!((1..=1000).contains(&ids.len()) && unique.len() == ids.len(), "{} ids", ids.len());
        let is_name = request.path() == "/esi/universe/names";
        let reply = if ids.iter().any(|id| bad.contains(id)) {
            Reply::new(if is_name { 404 } else { 400 }, "{\"error\":\"Ensure all IDs are valid before resolving.\"}")
        } else {
            let row = |id: &i64| {
                if is_name {
                    format!("{{\"id\":{id},\"name\":\"Pilot {id}\",\"category\":\"character\"}}")
                } else {
                    format!("{{\"character_id\":{id},\"corporation_id\":{}}}", id + 1_000_000)
                }
            };
            Reply::new(200, format!("[{}]", ids.iter().map(row).collect::<Vec<_>>().join(",")))
        };
        reply.with("x-esi-error-limit-remain", 90).with("x-esi-error-limit-reset", 60)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn names_come_in_lists_of_a_thousand_and_are_remembered() {
    let server = server(&[]).await;
    let esi = esi(&server);
    let ids: Vec<i64> = (1..=2_500).chain(1..=10).collect();
    let names = esi.names(&ids, ask()).await;
    assert_eq!((names.found.len(), server.count()), (2_500, 3));
    assert_eq!((names.found[&7].name.as_str(), names.found[&7].category.as_str()), ("Pilot 7", "character"));
    let (one, other) = tokio::join!(esi.names(&ids, ask()), esi.names(&[7, 8], ask()));
    assert_eq!((one.found.len(), other.found.len(), server.count()), (2_500, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_bad_id_is_found_with_few_refusals_and_never_asked_for_again() {
    let server = server(&[500]).await;
    let esi = esi(&server);
    let ids: Vec<i64> = (1..=1_000).collect();
    let names = esi.names(&ids, ask()).await;
    assert_eq!((names.found.len(), &names.unknown[..], names.open.len()), (999, &[500_i64][..], 0));
    let refusals = server.requests().iter().filter(|request| request.ids().contains(&500)).count();
    assert!(refusals <= 4 && server.count() <= 31, "{refusals} of {}", server.count());
    let before = server.count();
    let again = esi.names(&[499, 500, 501, 0, -7], ask()).await;
    assert_eq!((again.found.len(), again.unknown), (2, vec![-7, 0, 500]));
    assert_eq!(server.count(), before);
}

#[tokio::test(start_paused = true)]
async fn many_bad_ids_do_not_cost_more_refusals_than_there_may_be() {
    let bad: Vec<i64> = (1..=1_000).step_by(90).collect();
    let server = server(&bad).await;
    let esi = esi(&server);
    let ids: Vec<i64> = (1..=1_000).collect();
    let names = esi.names(&ids, ask()).await;
    let refusals = server.requests().iter().filter(|r| r.ids().iter().any(|id| bad.contains(id))).count();
    assert_eq!(refusals, 10);
    assert!(!names.open.is_empty() && names.unknown.iter().all(|id| bad.contains(id)));
    assert_eq!(names.found.len() + names.unknown.len() + names.open.len(), 1_000);
    let rest = esi.names(&names.open, ask()).await;
    assert!(rest.open.len() < names.open.len());
}

#[tokio::test(start_paused = true)]
async fn affiliations_are_found_likewise_and_apart_from_names() {
    let server = server(&[3]).await;
    let esi = esi(&server);
    let corporations = esi.affiliations(&[1, 2, 3, 4], ask()).await;
    assert_eq!(corporations.found.len(), 3);
    assert_eq!((corporations.found[&4], corporations.unknown), (1_000_004, vec![3]));
    let before = server.count();
    assert_eq!(esi.affiliations(&[1, 2, 3], ask()).await.found.len(), 2);
    assert_eq!(server.count(), before);
    assert_eq!(esi.names(&[1, 2], ask()).await.found.len(), 2);
    assert_eq!(server.count(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_asked_for_stays_open_with_the_reason() {
    let server = Server::script(vec![Reply::new(420, "").with("x-esi-error-limit-reset", 60)]).await;
    let names = esi(&server).names(&[1, 2], ask()).await;
    assert_eq!((names.found.len(), names.unknown.len(), names.open), (0, 0, vec![1, 2]));
    assert!(matches!(names.trouble, Some(Error::Busy { .. })), "{:?}", names.trouble);
    assert_eq!(server.count(), 1);
}
