//! Documents of every kind, good and bad.

use super::*;

const FILTER: &str = r#"{"field":"solo","operator":"eq","value":true}"#;

fn document(more: &str) -> String {
    format!(r#"{{"name": "a", "filter": {FILTER}{more}}}"#)
}

fn problem(text: &str) -> String {
    Document::parse(text).map(|document| panic!("{document:?}")).unwrap_err().to_string()
}

#[test]
fn what_is_not_given_has_its_usual_value() {
    let read = Document::parse(&document("")).expect("fit");
    assert_eq!((read.profile_id, read.owner.as_deref(), read.name.as_str(), read.enabled), (None, None, "a", true));
    assert_eq!((read.filter_json.as_str(), read.targets_json()), (FILTER, "[]".to_owned()));
    assert!(Document::parse(&document(r#", "owner": null, "profile_id": null"#)).is_ok());
}

#[test]
fn everything_that_is_given_is_read() {
    let text = document(
        r#", "profile_id": 7, "owner": "me", "enabled": false, "targets": [{"url": "HTTPS://u:p@[::1]:8/x?y#z", "format": "discord"},
            {"url": "http://localhost"}]"#,
    );
    let read = Document::parse(&text).expect("fit");
    assert_eq!((read.profile_id, read.owner.as_deref(), read.enabled), (ProfileId::new(7), Some("me"), false));
    let formats: Vec<_> = read.targets.iter().map(|target| (target.masked(), target.format)).collect();
    let expected =
        [("HTTPS://[::1]:8/***".to_owned(), Format::Discord), ("http://localhost/***".to_owned(), Format::Json)];
    assert_eq!(formats, expected);
    assert_eq!(parse_targets(&read.targets_json()).expect("as stored"), read.targets);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let target = |inner: &str| document(&format!(r#", "targets": [{{"url": "http://a/b"}}, {inner}]"#));
    let eleven = [r#"{"url": "http://a/b"}"#; 11].join(",");
    for (text, says) in [
        ("", "at the top: found no JSON"),
        ("[]", "at the top: found a list; allowed: an object with `name` and `filter`"),
        ("7", "at the top: found something else"),
        (r#"{"name": "a"}"#, "at filter: found nothing; allowed: a filter"),
        (&format!(r#"{{"filter": {FILTER}}}"#), "at name: found nothing; allowed: a name of 1 to 200"),
        (&document(r#", "nmae": 1"#), "at nmae: found an unknown key; allowed: profile_id, owner, name, filter"),
        (&document(r#", "name": "b""#), "at name: found the same key twice"),
        (&document(r#", "enabled": "yes""#), "at enabled: found \"yes\"; allowed: true or false"),
        (&document(r#", "enabled": null"#), "at enabled: found null"),
        (&document(r#", "profile_id": 0"#), "at profile_id: found 0; allowed: the id of a profile"),
        (&document(r#", "profile_id": 1.5"#), "at profile_id: found 1.5"),
        (&document(r#", "owner": " ""#), "at owner: found \" \"; allowed: 1 to 100 characters"),
        (&document(r#", "owner": "a\nb""#), "at owner: found"),
        (r#"{"name": 7, "filter": {}}"#, "at name: found 7"),
        (&format!(r#"{{"name": "{}", "filter": {FILTER}}}"#, "x".repeat(201)), "at name: found \"xxx"),
        (
            r#"{"name": "a", "filter": {"condition": "and", "rules": [{"field": "x", "operator": "eq", "value": 1}]}}"#,
            "at filter.rules[0].field: found \"x\"; allowed: system_id",
        ),
        (r#"{"name": "a", "filter": "x"}"#, "at filter: found \"x\"; allowed: an object"),
        (&document(r#", "targets": {}"#), "at targets: found no list"),
        (&document(&format!(r#", "targets": [{eleven}]"#)), "at targets: found 11 targets; allowed: at most 10"),
        (&target("7"), "at targets[1]: found something else; allowed: an object such as"),
        (&target(r#"{"url": 7}"#), "at targets[1].url: found no text"),
        (&target("{}"), "at targets[1].url: found no text"),
        (
            &target(r#"{"url": "http://c/d", "secret": 1}"#),
            "at targets[1].secret: found an unknown key; allowed: url, format",
        ),
        (
            &target(r#"{"url": "http://c/d", "format": "xml"}"#),
            "at targets[1].format: found \"xml\"; allowed: \"json\" or \"discord\"",
        ),
        (&target(r#"{"url": "http://a/b"}"#), "at targets[1].url: found the same URL twice"),
        (&target(r#"{"url": "http://c", "url": "http://d"}"#), "at targets[1].url: found the same key twice"),
    ] {
        let said = problem(text);
        assert!(said.starts_with(says), "{text}\n{said}");
    }
}

#[test]
fn only_proper_urls_are_accepted_and_none_is_repeated() {
    for url in [
        "ftp://hunter2/x",
        "file:///hunter2",
        "javascript:hunter2",
        "hunter2",
        "",
        "http://",
        "https:///hunter2",
        "http:/hunter2",
        "http://a b/hunter2",
        "http://a/hunter2\\u0000",
        "http://ä/hunter2",
        "http://a:0/hunter2",
        "http://a:65536/hunter2",
        "http://a:b/hunter2",
        "http://[::g]/hunter2",
        "http://@/hunter2",
        "https://discord.com/***",
    ] {
        let said = problem(&document(&format!(r#", "targets": [{{"url": "{url}"}}]"#)));
        assert!(said.starts_with("at targets[0].url: found ") && !said.contains("hunter2"), "{url}: {said}");
    }
    let long = format!("http://a/{}", "x".repeat(URL_MAX));
    assert!(problem(&document(&format!(r#", "targets": [{{"url": "{long}"}}]"#))).contains("at most 2000 bytes"));
}

fn shown(filter: &str, targets: &str, reveal: bool) -> String {
    let profile_id = ProfileId::new(7).expect("above 0");
    let (filter, targets) = (written_filter(filter), written_targets(targets, reveal));
    let written = Written { profile_id, owner: None, name: "a", enabled: true, filter, targets, figures: None };
    serde_json::to_string(&written).expect("it serializes")
}

#[test]
fn what_is_shown_without_its_secrets_is_refused_and_with_them_accepted_as_it_was() {
    let filter = r#"{ "field": "isk_value", "operator": "gt", "value": 12345678901234567890.120 }"#;
    let targets = r#"[{"url":"https://discord.com/api/webhooks/1/hunter2","format":"discord"}]"#;
    let masked = shown(filter, targets, false);
    assert!(!masked.contains("hunter2") && masked.contains("https://discord.com/***"), "{masked}");
    assert!(problem(&masked).starts_with("at targets[0].url: found a URL that is masked"));
    let read = Document::parse(&shown(filter, targets, true)).expect("as it was");
    assert_eq!((read.profile_id, read.targets_json().as_str()), (ProfileId::new(7), targets));
    assert_eq!(read.filter_json, filter.replace(' ', ""));
    let debug = format!("{read:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[test]
fn what_cannot_be_read_is_shown_as_far_as_it_holds_no_secret() {
    let shown = shown("{", r#"[{"url": "hunter2"}]"#, false);
    assert!(shown.contains(r#""filter":"{","targets":null"#), "{shown}");
    let refused = parse_targets(r#"["hunter2"]"#).expect_err("no target");
    assert!(parse_targets("{").is_err() && !refused.to_string().contains("hunter2"));
}
