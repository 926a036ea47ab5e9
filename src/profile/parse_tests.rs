//! What is in the language, what is refused, and what it means at its edges.

use proptest::prelude::*;

use super::*;
use crate::profile::{Subject, interpret::holds, security_key};

fn problem(text: &str) -> String {
    Filter::parse(text).expect_err(text).to_string()
}

fn leaf(field: &str, operator: &str, value: &str) -> Filter {
    let text = format!(r#"{{"field": "{field}", "operator": "{operator}", "value": {value}}}"#);
    Filter::parse(&text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

/// A kill of 100 million ISK with two attackers.
fn subject() -> Subject<'static> {
    let mut subject = Subject::default();
    subject.set(Field::IskValue, &[10_000_000_000]);
    subject.set(Field::SecurityStatus, &[security_key(0.45)]);
    subject.set(Field::AttackerCharacterId, &[90_000_002, 90_000_001]);
    subject.set(Field::AttackerCount, &[2]);
    subject.set(Field::Npc, &[0]);
    subject.set_texts(Field::ModuleTags, &["T2", "Mid"]);
    subject.set_texts(Field::SystemClass, &["lowsec"]);
    subject
}

#[test]
fn what_is_not_in_the_language_is_refused_with_its_place_and_what_is_allowed() {
    let deep = r#"{"condition": "not", "rules": ["#.repeat(40) + "1" + &"]}".repeat(40);
    let many = format!(r#"{{"field": "system_id", "operator": "in", "value": [{}1]}}"#, "1,".repeat(10_000));
    let wide = format!(
        r#"{{"condition": "or", "rules": [{}{{}}]}}"#,
        r#"{"field": "npc", "operator": "eq", "value": true},"#.repeat(1_000)
    );
    for (text, expected) in [
        ("", "at the top: found no JSON (EOF while parsing a value at line 1 column 0); allowed: one JSON object"),
        ("{} x", "at the top: found no JSON (trailing characters"),
        ("[1]", "at the top: found [1]; allowed: an object with `condition` and `rules`, or one with `field`"),
        ("{}", "at the top: found {}; allowed: an object with"),
        (r#"{"condition": "AND", "rules": []}"#, r#"at condition: found "AND"; allowed: and, or, not"#),
        (r#"{"condition": "and"}"#, "at rules: found nothing; allowed: condition, rules"),
        (r#"{"condition": "and", "rules": []}"#, "at rules: found an empty list; allowed: at least one rule"),
        (r#"{"condition": "and", "rules": {}}"#, "at rules: found {}; allowed: a list of rules"),
        (r#"{"condition": "and", "rules": [7]}"#, "at rules[0]: found 7; allowed: an object with"),
        (r#"{"condition": "not", "rules": [1, 2]}"#, "at rules: found 2 rules; allowed: exactly one rule in a `not`"),
        (
            r#"{"condition": "and", "rules": [], "rules": []}"#,
            "at rules: found the same key twice; allowed: each key once",
        ),
        (
            r#"{"condition": "and", "rules": [], "field": "npc"}"#,
            "at the top: found a condition and a field in one object",
        ),
        (
            r#"{"field": "npc", "operator": "eq", "value": true, "note": 1}"#,
            "at note: found an unknown key; allowed: field, operator, value",
        ),
        (r#"{"field": "npc", "operator": "eq"}"#, "at value: found nothing; allowed: field, operator, value"),
        (
            r#"{"field": "nps", "operator": "eq", "value": 1}"#,
            r#"at field: found "nps"; allowed: system_id, constellation_id"#,
        ),
        (
            r#"{"field": "npc", "operator": "gt", "value": 1}"#,
            r#"at operator: found "gt"; allowed: eq, ne, exists for npc"#,
        ),
        (r#"{"field": "npc", "operator": "eq", "value": 1}"#, "at value: found 1; allowed: true or false"),
        (
            r#"{"field": "isk_value", "operator": "gt", "value": "1e8"}"#,
            r#"at value: found "1e8"; allowed: a number of ISK"#,
        ),
        (r#"{"field": "isk_value", "operator": "exists", "value": 1}"#, "at value: found 1; allowed: true or false"),
        (
            r#"{"field": "isk_value", "operator": "between", "value": [1]}"#,
            "at value: found a list of 1; allowed: [low, high], both included",
        ),
        (
            r#"{"field": "isk_value", "operator": "between", "value": [2, 1]}"#,
            "at value: found [2, 1]; allowed: [low, high], with low not above high",
        ),
        (
            r#"{"field": "system_id", "operator": "in", "value": []}"#,
            "at value: found an empty list; allowed: a list of at least one value",
        ),
        (
            r#"{"field": "system_id", "operator": "in", "value": [1, 1.5]}"#,
            "at value[1]: found 1.5; allowed: an id (a whole number)",
        ),
        (
            r#"{"field": "system_id", "operator": "eq", "value": [1]}"#,
            "at value: found [1]; allowed: an id (a whole number)",
        ),
        (
            r#"{"field": "system_class", "operator": "eq", "value": "high"}"#,
            r#"at value: found "high"; allowed: highsec, lowsec"#,
        ),
        (
            r#"{"field": "labels", "operator": "contains_any", "value": "solo"}"#,
            r#"at value: found "solo"; allowed: a list of at least one: a text"#,
        ),
        (
            r#"{"field": "labels", "operator": "eq", "value": ""}"#,
            r#"at value: found ""; allowed: a text of 1 to 100 characters"#,
        ),
        (&deep, "rules[0]: found one condition deeper; allowed: at most 32 conditions inside one another"),
        (&many, "at value: found 10001 values so far; allowed: at most 10000 values in all lists of a filter"),
        (&wide, "found one rule more; allowed: at most 1000 rules in a filter"),
        (&" ".repeat(300_000), "at the top: found 300000 bytes; allowed: at most 262144 bytes"),
    ] {
        let found = problem(text);
        assert!(found.contains(expected), "{}: {found}", &text[..text.len().min(200)]);
    }
}

#[test]
fn as_many_conditions_as_are_allowed_stand_inside_one_another() {
    let nested = |depth: usize| {
        let leaf = r#"{"field": "npc", "operator": "eq", "value": true}"#;
        r#"{"condition": "not", "rules": ["#.repeat(depth) + leaf + &"]}".repeat(depth)
    };
    assert!(Filter::parse(&nested(DEPTH_MAX)).is_ok());
    assert!(problem(&nested(DEPTH_MAX + 1)).contains("one condition deeper"));
}

#[test]
fn what_was_found_is_shown_short_and_without_what_a_terminal_would_obey() {
    let found = problem(&format!(r#"{{"field": "{}\u001b[31m", "operator": "eq", "value": 1}}"#, "x".repeat(200)));
    assert!(found.starts_with(&format!(r#"at field: found "{}…;"#, "x".repeat(59))), "{found}");
    let found = problem("{\"condition\": \"and\", \"rules\": [\"\u{202e}\"]}");
    assert!(found.starts_with(r#"at rules[0]: found "\u{202e}";"#), "{found}");
}

#[test]
fn every_operator_of_a_field_is_read_and_every_other_is_refused() {
    for field in Field::ALL {
        for operator in Operator::ALL {
            let one = match field.kind() {
                Kind::Flag => "true",
                Kind::Text => r#""highsec""#,
                _ => "1",
            };
            let value = match operator.takes() {
                Takes::One => one.to_owned(),
                Takes::List => format!("[{one}]"),
                Takes::Pair => format!("[{one}, {one}]"),
                Takes::Flag => "false".to_owned(),
            };
            let text = format!(r#"{{"field": "{field}", "operator": "{}", "value": {value}}}"#, operator.name());
            assert_eq!(Filter::parse(&text).is_ok(), operator.is_of(field.kind()), "{text}");
        }
    }
}

#[test]
fn thresholds_hold_to_the_cent_and_beyond() {
    for (operator, value, expected) in [
        ("eq", "1e8", true),
        ("eq", "100000000.00", true),
        ("eq", "100000000.001", false),
        ("ne", "100000000.001", true),
        ("gt", "100000000", false),
        ("gt", "99999999.999", true),
        ("gt", "99999999.99", true),
        ("gte", "1e8", true),
        ("gte", "100000000.000000001", false),
        ("lt", "1e8", false),
        ("lt", "100000000.000000001", true),
        ("lte", "100000000", true),
        ("lte", "99999999.9999", false),
        ("lte", "1e300", true),
        ("gt", "-1e300", true),
        ("gte", "1e300", false),
        ("between", "[1e8, 1e8]", true),
        ("between", "[99999999.999, 99999999.9999]", false),
        ("in", "[1, 1e8]", true),
        ("contains_all", "[100000000, 0.001]", false),
        ("not_in", "[1, 2]", true),
    ] {
        assert_eq!(holds(&leaf("isk_value", operator, value).root, &subject()), expected, "{operator} {value}");
    }
    let mut greatest = Subject::default();
    greatest.set(Field::SystemId, &[i64::MAX]);
    assert!(!holds(&leaf("system_id", "gt", "9223372036854775807").root, &greatest));
    assert!(holds(&leaf("system_id", "gte", "9223372036854775807").root, &greatest));
    assert!(holds(&leaf("security_status", "eq", "0.45").root, &subject()));
    assert!(holds(&leaf("security_status", "lt", "0.4500000000000000000001").root, &subject()));
    assert!(!holds(&leaf("security_status", "gte", "0.4500000000000000000001").root, &subject()));
}

#[test]
fn an_absent_value_makes_every_positive_operator_false_and_every_opposite_true() {
    let subject = Subject::default();
    for field in Field::ALL {
        let one = match field.kind() {
            Kind::Flag => "true",
            Kind::Text => r#""highsec""#,
            _ => "1",
        };
        for operator in Operator::ALL.into_iter().filter(|operator| operator.is_of(field.kind())) {
            let value = match operator.takes() {
                Takes::One => one.to_owned(),
                Takes::List => format!("[{one}]"),
                Takes::Pair => format!("[-1, {one}]"),
                Takes::Flag => "true".to_owned(),
            };
            let found = holds(&leaf(field.name(), operator.name(), &value).root, &subject);
            assert_eq!(found, operator.is_negated(), "{field} {}", operator.name());
        }
        assert!(holds(&leaf(field.name(), "exists", "false").root, &subject));
    }
}

#[test]
fn of_many_values_one_is_enough_but_for_contains_all() {
    for (field, operator, value, expected) in [
        ("attacker_character_id", "eq", "90000002", true),
        ("attacker_character_id", "ne", "90000002", false),
        ("attacker_character_id", "gt", "90000001", true),
        ("attacker_character_id", "lt", "90000001", false),
        ("attacker_character_id", "contains_all", "[90000001, 90000002]", true),
        ("attacker_character_id", "contains_all", "[90000001, 90000003]", false),
        ("attacker_character_id", "contains_none", "[90000003]", true),
        ("module_tags", "eq", r#""T2""#, true),
        ("module_tags", "contains_any", r#"["T1", "Mid"]"#, true),
        ("module_tags", "contains_all", r#"["T2", "T1"]"#, false),
        ("module_tags", "not_in", r#"["T1"]"#, true),
        ("module_tags", "eq", r#""t2""#, false),
        ("system_class", "in", r#"["lowsec", "nullsec"]"#, true),
        ("npc", "eq", "false", true),
        ("npc", "ne", "false", false),
    ] {
        assert_eq!(holds(&leaf(field, operator, value).root, &subject()), expected, "{field} {operator} {value}");
    }
}

proptest! {
    #[test]
    fn no_text_is_more_than_refused(text in r#"[\[\]{}":,a-z0-9 .eE+-]{0,80}|\PC{0,40}"#) {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn comparisons_agree_with_numbers(cents in -1_000_i64..1_000, threshold in -10_000_i64..10_000) {
        // thousandths: a tenth of them lie on the grid of cents
        let mut subject = Subject::default();
        subject.set(Field::IskValue, &[cents]);
        let value = format!("{threshold}e-3");
        let is = |operator: &str| holds(&leaf("isk_value", operator, &value).root, &subject);
        let (kill, asked) = (cents * 10, threshold);
        prop_assert_eq!(
            [is("eq"), is("ne"), is("gt"), is("gte"), is("lt"), is("lte")],
            [kill == asked, kill != asked, kill > asked, kill >= asked, kill < asked, kill <= asked]
        );
    }
}
