//! Answers that expire: when they are asked for again, and how.

use std::time::Duration;

use broadside::clients::esi::{Ask, Error};
use broadside::killmail::RegionId;
use jiff::Timestamp;

use crate::client::esi;
use crate::server::{Reply, Server};

fn ask() -> Ask {
    Ask::live(Duration::from_secs(5))
}

fn date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// An answer of a server whose clock is an hour slow.
fn expiring(seconds: i64, reply: Reply) -> Reply {
    let now = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let expires = now + jiff::SignedDuration::from_secs(seconds);
    reply.with("date", date(now)).with("expires", date(expires)).with("etag", "\"one\"")
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_again_before_it_expires() {
    let server = Server::start(|_, _| expiring(60, Reply::new(200, "[1]").with("x-pages", 3))).await;
    let esi = esi(&server);
    for _ in 0..5 {
        let fresh = esi.get("/markets/10000002/types?page=1", ask()).await.unwrap();
        assert_eq!((&fresh.body[..], fresh.pages), (&b"[1]"[..], Some(3)));
    }
    let both = tokio::join!(esi.get("/universe/regions", ask()), esi.get("/universe/regions", ask()));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_asked_for_by_its_tag_and_kept_when_it_has_not_changed() {
    let server = Server::start(|_, before| match before {
        0 => expiring(0, Reply::new(200, "[1]")),
        1 => expiring(60, Reply::new(304, "")),
        _ => Reply::new(500, ""),
    })
    .await;
    let esi = esi(&server);
    for _ in 0..4 {
        assert_eq!(&esi.get("/universe/regions", ask()).await.unwrap().body[..], b"[1]");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(!requests[0].head.contains("if-none-match") && requests[1].head.contains("if-none-match: \"one\""));
}

#[tokio::test]
async fn what_is_cut_off_the_servers_date_is_made_good_by_other_answers() {
    let expires = Timestamp::now() + jiff::SignedDuration::from_secs(300);
    let server = Server::start(move |_, _| {
        Reply::new(200, "[]").with("date", date(Timestamp::now())).with("expires", date(expires))
    })
    .await;
    let (esi, region) = (esi(&server), RegionId::new(10_000_002).unwrap());
    let mut before: Option<(tokio::time::Instant, tokio::time::Instant)> = None;
    for _ in 0..20 {
        let page = esi.market_page(region, 1, None, ask()).await.unwrap();
        let (now, expires) = (tokio::time::Instant::now(), page.expires.unwrap());
        if let Some((then, said)) = before {
            // All of them expire at the same moment: the later an answer the better that is known, but for what two clocks may differ by.
            let slack = Duration::from_millis(5) + (now - then) / 1000;
            assert!(expires <= said + slack, "{:?} later", expires - said);
        }
        before = Some((now, expires));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_told_with_its_status_and_asked_for_once() {
    let unknown = Reply::new(404, "{\"error\":\"Type not\u{1b}[2J found!\"}");
    let server = Server::script(vec![unknown.with("x-esi-error-limit-remain", 99)]).await;
    let error = esi(&server).get("/universe/types/1", ask()).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 404, .. }) && error.is_permanent());
    assert!(!error.to_string().contains('\u{1b}'));
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_few_errors_left_routes_without_tokens_rest() {
    let left =
        |left: u32| Reply::new(404, "{}").with("x-esi-error-limit-remain", left).with("x-esi-error-limit-reset", 60);
    let server = Server::script(vec![left(10)]).await;
    let esi = esi(&server);
    assert!(matches!(esi.get("/universe/types/1", ask()).await, Err(Error::Status { status: 404, .. })));
    let Err(Error::Busy { retry_in }) = esi.get("/universe/types/2", ask()).await else { panic!("it is not busy") };
    assert!(retry_in > Duration::from_secs(50), "{retry_in:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_system_of_yesterday_is_handed_out_at_once_and_fetched_anew() {
    let server = Server::start(|_, before| {
        let name = ["Old", "New"][before.min(1)];
        let system = format!(
            r#"{{"system_id":30000142,"name":"{name}","constellation_id":20000020,"security_status":0.9,"planets":[]}}"#
        );
        expiring(60, Reply::new(200, system))
    })
    .await;
    let esi = esi(&server);
    assert_eq!(esi.system(30_000_142, ask()).await.unwrap().name, "Old");
    tokio::time::advance(Duration::from_hours(25)).await;
    assert_eq!(esi.system(30_000_142, ask()).await.unwrap().name, "Old");
    while esi.system(30_000_142, ask()).await.unwrap().name == "Old" {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_corporations_of_a_character_are_read_and_remembered() {
    let history = r#"[{"corporation_id":2,"record_id":9,"start_date":"2026-01-02T03:04:00Z"},
        {"corporation_id":1,"is_deleted":true,"record_id":8,"start_date":"2020-01-02T03:04:00Z"}]"#;
    let server = Server::start(move |_, _| Reply::new(200, history)).await;
    let esi = esi(&server);
    for _ in 0..2 {
        let history = esi.corporation_history(90_000_001, ask()).await.unwrap();
        let ids: Vec<_> = history.iter().map(|job| (job.corporation_id, job.is_deleted)).collect();
        assert_eq!(ids, [(2, false), (1, true)]);
    }
    assert_eq!(server.requests()[0].path(), "/esi/characters/90000001/corporationhistory");
    assert_eq!(server.count(), 1);
}
