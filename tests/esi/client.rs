//! Killmails from a server that misbehaves.

use std::time::Duration;

use broadside::clients::esi::{Ask, Error, Esi};
use broadside::clients::service;
use broadside::killmail::{KillmailHash, KillmailId};
use futures::future::join_all;
use tokio::time::Instant;

use crate::server::{Reply, Request, Server};

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) fn esi(server: &Server) -> Esi {
    Esi::new(&server.url(), Some("me@example.com")).unwrap()
}

pub(crate) fn tokens(reply: Reply, remaining: u32) -> Reply {
    reply
        .with("x-ratelimit-group", "killmail")
        .with("x-ratelimit-limit", "3600/15m")
        .with("x-ratelimit-remaining", remaining)
        .with("x-ratelimit-used", 2)
}

pub(crate) fn kill(id: i64) -> Reply {
    tokens(Reply::new(200, format!("{{\"killmail_id\":{id},\"more\":[1,2,3]}}")), 3_000)
}

fn killmail(id: i64) -> (KillmailId, KillmailHash) {
    (KillmailId::new(id).unwrap(), KillmailHash::parse(HASH).unwrap())
}

fn within(milliseconds: u64) -> Ask {
    Ask::live(Duration::from_millis(milliseconds))
}

async fn get(esi: &Esi, id: i64, milliseconds: u64) -> Result<bool, Error> {
    let (id, hash) = killmail(id);
    esi.killmail(id, hash, within(milliseconds)).await.map(|detail| detail.is_cached)
}

#[tokio::test(start_paused = true)]
async fn a_killmail_is_fetched_once_for_all_who_ask_and_politely() {
    let server = Server::start(|_, _| kill(7)).await;
    let esi = esi(&server);
    let answers = join_all((0..20).map(|_| get(&esi, 7, 5_000))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(get(&esi, 7, 5_000).await, Ok(true));
    let [request] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
    assert_eq!(request.path(), format!("/esi/killmails/7/{HASH}"));
    for expected in ["(me@example.com)", "accept-encoding: gzip", "x-compatibility-date: 2025-12-16"] {
        assert!(request.head.contains(expected), "{expected} is not in {}", request.head);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_for_again_with_growing_waits() {
    let html = Reply::new(200, "<html>try again</html>");
    let broken = Reply::new(200, "{\"killmail_id\":7,");
    let unpacked = Reply::new(200, "{\"killmail_id\":7,\"more\":[1,2,3,4,5,6,7,8]}").gzip().cut(9);
    let server = Server::script(vec![unpacked, html, broken, kill(7).gzip()]).await;
    assert_eq!(get(&esi(&server), 7, 10_000).await, Ok(false));
    assert_eq!(server.count(), 4);
    assert!(server.gap(1) >= Duration::from_millis(200) && server.gap(2) >= Duration::from_millis(400));
    assert!(server.gap(3) >= Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn a_server_in_trouble_is_asked_again_until_the_deadline_and_not_after() {
    let server = Server::script(vec![Reply::new(503, "{\"error\":\"down\"}")]).await;
    let started = Instant::now();
    let error = get(&esi(&server), 7, 500).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 503, .. } | Error::Late), "{error}");
    assert!(!error.is_permanent() && started.elapsed() <= Duration::from_millis(500));
    assert!((1..=3).contains(&server.count()), "{}", server.count());
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_refused_is_believed_the_third_time() {
    let refusal = || tokens(Reply::new(422, "{\"error\":\"Invalid killmail_id and/or killmail_hash\"}"), 3_000);
    let server = Server::script(vec![refusal(), refusal(), kill(7)]).await;
    assert_eq!(get(&esi(&server), 7, 10_000).await, Ok(false));
    assert!(server.gap(2) > server.gap(1) / 2 && server.gap(1) >= Duration::from_millis(200));

    let server = Server::script(vec![refusal()]).await;
    let error = get(&esi(&server), 7, 10_000).await.unwrap_err();
    assert_eq!(error, Error::Refused { id: killmail(7).0, times: 3 });
    assert_eq!((error.is_permanent(), server.count()), (true, 3));
}

#[tokio::test(start_paused = true)]
async fn another_kill_than_the_one_asked_for_is_named_and_not_kept() {
    let server = Server::script(vec![kill(8), Reply::new(200, "{}"), kill(7)]).await;
    let esi = esi(&server);
    let error = get(&esi, 7, 10_000).await.unwrap_err();
    assert_eq!(error.to_string(), "get killmail 7 from ESI: it answered with 8");
    assert!(get(&esi, 7, 10_000).await.unwrap_err().to_string().ends_with("with none"));
    assert_eq!(get(&esi, 7, 10_000).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn a_spent_error_limit_stops_every_route_until_its_reset() {
    let spent = || {
        let reply = Reply::new(420, "{\"error\":\"spent\"}");
        reply.with("x-esi-error-limit-remain", 0).with("x-esi-error-limit-reset", 1)
    };
    let server = Server::start(move |_, before| if before == 0 { spent() } else { kill(7) }).await;
    let esi = esi(&server);
    let error = get(&esi, 7, 600).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    let (other, same) = tokio::join!(esi.get("/universe/systems/30000142", within(200)), get(&esi, 7, 200));
    assert!(matches!((other, same), (Err(Error::Busy { .. }), Err(Error::Busy { .. }))));
    assert_eq!(server.count(), 1);
    assert_eq!(get(&esi, 7, 5_000).await, Ok(false));
    assert!(server.gap(1) >= Duration::from_secs(1), "{:?}", server.gap(1));
}

#[tokio::test(start_paused = true)]
async fn a_429_rests_its_group_for_as_long_as_it_says_or_ten_seconds() {
    let server = Server::script(vec![kill(1), tokens(Reply::new(429, ""), 0).with("retry-after", 1), kill(2)]).await;
    let client = esi(&server);
    assert_eq!(get(&client, 1, 5_000).await, Ok(false));
    assert_eq!(get(&client, 2, 5_000).await, Ok(false));
    assert!(server.gap(2) >= Duration::from_secs(1), "{:?}", server.gap(2));

    // A limit on bursts, which says nothing of tokens.
    let server = Server::script(vec![kill(1), Reply::new(429, ""), kill(2)]).await;
    let client = esi(&server);
    assert_eq!(get(&client, 1, 5_000).await, Ok(false));
    let Err(Error::Busy { retry_in }) = get(&client, 2, 2_000).await else { panic!("it is not busy") };
    assert!(retry_in > Duration::from_secs(9), "{retry_in:?}");
    assert!(esi_has_other_groups(&client, &server).await);
}

/// Another group's route is still asked.
async fn esi_has_other_groups(esi: &Esi, server: &Server) -> bool {
    let before = server.count();
    esi.get("/universe/regions", within(2_000)).await.is_ok() && server.count() == before + 1
}

#[tokio::test(start_paused = true)]
async fn few_tokens_make_calls_wait_their_turn_and_what_cannot_wait_is_told_at_once() {
    let few = |request: &Request, _: usize| {
        let id = request.path().split('/').nth(3).unwrap().parse::<i64>().unwrap();
        tokens(Reply::new(200, format!("{{\"killmail_id\":{id}}}")), 600)
    };
    let server = Server::start(few).await;
    let esi = esi(&server);
    assert_eq!(get(&esi, 1, 5_000).await, Ok(false));
    let started = Instant::now();
    let answers = join_all((2..12).map(|id| get(&esi, id, 1_500))).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(Error::Busy { .. }))).count();
    assert!((6..=8).contains(&busy), "{answers:?}");
    assert!(started.elapsed() < Duration::from_millis(1_501), "{:?}", started.elapsed());
    assert!(server.gap(2) >= Duration::from_millis(500), "{:?}", server.gap(2));
    let (id, hash) = killmail(50);
    let error = esi.killmail(id, hash, Ask::background(Duration::from_secs(5))).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_finished_and_remembered_all_the_same() {
    let server = Server::start(|_, _| kill(7).slow(Duration::from_millis(400))).await;
    let esi = esi(&server);
    assert_eq!(get(&esi, 7, 100).await, Err(Error::Late));
    assert!(get(&esi, 7, 5_000).await.is_ok());
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_twenty_calls_are_made_at_once() {
    let server = Server::start(|request, before| {
        let id = request.path().split('/').nth(3).unwrap();
        let reply = tokens(Reply::new(200, format!("{{\"killmail_id\":{id}}}")), 3_000);
        if before == 0 { reply } else { reply.slow(Duration::from_millis(300)) }
    })
    .await;
    let esi = esi(&server);
    assert_eq!(get(&esi, 1, 5_000).await, Ok(false));
    let answers = join_all((2..42).map(|id| get(&esi, id, 5_000))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(server.most_at_once(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_another_host_is_not_followed() {
    let elsewhere = Server::start(|_, _| kill(7)).await;
    let to = Reply::new(302, "").with("location", elsewhere.url());
    let server = Server::script(vec![to]).await;
    let error = get(&esi(&server), 7, 1_000).await.unwrap_err();
    assert!(!matches!(error, Error::Service(service::Error::Open { .. })), "{error}");
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn a_foreign_host_is_refused_without_a_contact() {
    let error = Esi::new("https://esi.example.com", None).unwrap_err().to_string();
    assert!(error.contains("BROADSIDE_CONTACT"), "{error}");
    assert!(Esi::check("nonsense", Some("me@example.com")).is_err());
}
