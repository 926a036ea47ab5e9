//! Single posts.

use std::time::Duration;

use broadside::clients::webhook::{Outcome, Webhook};

use crate::receiver::{Receiver, Reply};

fn webhook() -> Webhook {
    Webhook::new(Some("me@example.com"), Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn a_post_says_who_sends_what_and_how_to_know_it_again() {
    let receiver = Receiver::start().await;
    let outcome = webhook().post(&receiver.url("hook?wait=true"), "match-7-5", "{\"a\":1}".to_owned()).await;
    assert_eq!(outcome, Outcome::Taken { pause: None });
    let post = &receiver.posts("hook?wait=true")[0];
    assert!(post.head.starts_with("post "), "{}", post.head);
    assert_eq!(
        (post.header("content-type"), post.header("idempotency-key")),
        (Some("application/json"), Some("match-7-5"))
    );
    assert!(post.header("user-agent").unwrap().contains("(me@example.com)"));
    assert_eq!(post.body["a"], 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await;
    receiver.script("old", [Reply::Answer("307 Temporary Redirect", "location: /new\r\n", "")]);
    let outcome = webhook().post(&receiver.url("old"), "k", "{}".to_owned()).await;
    assert!(matches!(outcome, Outcome::Refused { status: Some(307), .. }), "{outcome:?}");
    assert!(receiver.posts("new").is_empty());
}

#[tokio::test]
async fn what_breaks_off_or_takes_too_long_is_to_be_sent_again_and_nothing_says_the_address() {
    let receiver = Receiver::start().await;
    receiver.script("secret", [Reply::Close, Reply::Hold]);
    let hasty = Webhook::new(None, Duration::from_millis(100)).unwrap();
    let gone = "http://127.0.0.1:1/secret".to_owned();
    for url in [receiver.url("secret"), receiver.url("secret"), gone] {
        let outcome = hasty.post(&url, "k", "{}".to_owned()).await;
        let Outcome::Later { wait: None, reason } = &outcome else { panic!("{outcome:?}") };
        assert!(!reason.contains("secret"), "{reason}");
    }
    let outcome = hasty.post("ftp://secret", "k", "{}".to_owned()).await;
    assert!(matches!(&outcome, Outcome::Refused { status: None, reason } if !reason.contains("secret")), "{outcome:?}");
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let receiver = Receiver::start().await;
    let endless: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
    receiver.script("hook", [Reply::Answer("429 Too Many Requests", "retry-after: 7\r\n", endless)]);
    receiver.script("hook", [Reply::Answer("200 OK", "", endless)]);
    let wait = Some(Duration::from_secs(7));
    let outcome = webhook().post(&receiver.url("hook"), "k", "{}".to_owned()).await;
    assert!(matches!(outcome, Outcome::Later { wait: told, .. } if told == wait), "{outcome:?}");
    assert_eq!(webhook().post(&receiver.url("hook"), "k", "{}".to_owned()).await, Outcome::Taken { pause: None });
}
