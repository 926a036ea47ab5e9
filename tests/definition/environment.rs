//! `${NAME}` in whole files.

use broadside::definition::{self, Definition, Problems};
use broadside::sources;

fn parse(url: &str, rest: &str) -> Result<Definition, Problems> {
    let set = |name: &str| match name {
        "HOST" => Some("feed.example".to_owned()),
        "SECRET" => Some("hunter2-hunter2".to_owned()),
        "QUOTE" => Some("a\"b\nc = 1".to_owned()),
        _ => None,
    };
    let text =
        format!("[source.wanderer]\nurl = \"{url}\"\n[[processor]]\nname = \"parse\"\nstages = [\"decode\"]\n{rest}");
    definition::parse("kills", "kills.toml", &text, &set)
}

fn url(definition: &Definition) -> &str {
    match &definition.source {
        sources::Config::Wanderer(config) => &config.url,
        other => panic!("no wanderer: {other:?}"),
    }
}

#[test]
fn values_and_defaults_are_filled_in() {
    for (written, expected) in [
        ("http://${HOST}:4004", "http://feed.example:4004"),
        ("${NONE:-http://localhost}", "http://localhost"),
        ("${NONE:-}", ""),
        ("http://localhost/$${HOST}/$$5", "http://localhost/${HOST}/$5"),
    ] {
        assert_eq!(url(&parse(written, "").expect(written)), expected);
    }
}

#[test]
fn a_missing_variable_is_named_with_its_line_and_column() {
    let problems = parse("http://${HOST}/${MISSING}", "").expect_err("it is not set");
    let place = problems.0[0].place.as_ref().expect("a place");
    assert_eq!((place.line, place.column), (2, 23));
    assert!(problems.to_string().contains("`MISSING` is not set"), "{problems}");
}

#[test]
fn every_missing_variable_is_named_at_once() {
    let rest = "[limits]\ndrain_deadline = \"${DEADLINE}\"\n";
    let problems = parse("${URL}", rest).expect_err("neither is set").to_string();
    assert!(problems.contains("`URL`") && problems.contains("`DEADLINE`"), "{problems}");
}

#[test]
fn a_value_cannot_add_settings() {
    let problems = parse("${QUOTE}", "").expect_err("that is no url").to_string();
    assert!(!problems.contains("unknown field"), "{problems}");
}

#[test]
fn a_secret_never_stands_in_a_message() {
    for rest in [
        "[limits]\ndrain_deadline = \"${SECRET}\"\n",
        "[limits]\nin_flight_max = \"${SECRET}\"\n",
        "[[batcher]]\nname = \"${SECRET}!\"\nsink.blackhole = {}\n",
        "[[batcher]]\nname = \"a\"\nafter = \"${SECRET}\"\nsink.blackhole = {}\n",
        "[[batcher]]\nname = \"a\"\npartition_by = \"${SECRET}\"\nsink.blackhole = {}\n",
        "[[processor]]\nname = \"b\"\nstages = [\"${SECRET}\"]\n",
    ] {
        let problems = parse("http://localhost", rest).expect_err(rest).to_string();
        assert!(!problems.contains("hunter2"), "{problems}");
        assert!(problems.contains("${SECRET}"), "{problems}");
    }
    let problems = parse("nonsense ${SECRET}", "").expect_err("no url").to_string();
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn keys_are_taken_as_they_are() {
    let rest = "[limits]\n\"${HOST}\" = 1\n";
    let problems = parse("http://localhost", rest).expect_err("no such key").to_string();
    assert!(problems.contains("unknown field `${HOST}`"), "{problems}");
}
