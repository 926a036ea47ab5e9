//! The JSON Schema of a profile and its filter, made from the table of fields: what editors complete and other programs check by.
//!
//! It says less than [`Document::parse`](super::Document::parse): not how deep a filter may be, or how many values it may have.

use serde_json::{Map, Value, json};

use super::document::{NAME_MAX, OWNER_MAX, TARGETS_MAX, URL_MAX};
use super::field::{Field, Kind};
use super::operator::{Operator, Takes};
use super::parse::{RULES_MAX, SYSTEM_CLASSES, TEXT_MAX, VALUES_MAX};

/// Of a document; that of a filter is its `$defs/filter`, that of a field's leaf `$defs/` with its name.
#[must_use]
pub fn schema() -> Value {
    let mut defs = Map::new();
    defs.insert("filter".to_owned(), filter());
    for field in Field::ALL {
        defs.insert(field.name().to_owned(), leaf(field));
    }
    let mut schema = document();
    schema["$defs"] = defs.into();
    schema
}

fn document() -> Value {
    let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
    let target = json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://", "maxLength": URL_MAX, "description": "May hold a secret: it is not shown unasked."},
            "format": {"enum": ["json", "discord"], "default": "json"},
        },
        "required": ["url"],
        "additionalProperties": false,
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A surveillance profile",
        "type": "object",
        "properties": {
            "name": text(NAME_MAX),
            "filter": {"$ref": "#/$defs/filter"},
            "enabled": {"type": "boolean", "default": true},
            "targets": {"type": "array", "items": target, "maxItems": TARGETS_MAX, "default": [], "description": "Who is told of matches."},
            "owner": {"anyOf": [text(OWNER_MAX), {"type": "null"}]},
            "profile_id": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "Of the profile whose place it takes."},
        },
        "required": ["name", "filter"],
        "additionalProperties": false,
    })
}

fn filter() -> Value {
    let this = json!({"$ref": "#/$defs/filter"});
    let condition = |names: &[&str], most: usize| {
        json!({
            "type": "object",
            "properties": {
                "condition": {"enum": names},
                "rules": {"type": "array", "items": this, "minItems": 1, "maxItems": most},
            },
            "required": ["condition", "rules"],
            "additionalProperties": false,
        })
    };
    let mut forms = vec![condition(&["and", "or"], RULES_MAX), condition(&["not"], 1)];
    forms.extend(Field::ALL.map(|field| json!({"$ref": format!("#/$defs/{field}")})));
    json!({
        "description": "An absent value makes every positive operator false, and so its opposite true; `exists` asks for just that.",
        "anyOf": forms,
    })
}

/// The operators of a field, by what they take.
fn leaf(field: Field) -> Value {
    let forms: Vec<Value> = [Takes::One, Takes::List, Takes::Pair, Takes::Flag]
        .into_iter()
        .filter_map(|takes| {
            let operators = Operator::ALL.into_iter().filter(|operator| operator.is_of(field.kind()));
            let names: Vec<_> = operators.filter(|operator| operator.takes() == takes).map(Operator::name).collect();
            (!names.is_empty())
                .then(|| json!({"properties": {"operator": {"enum": names}, "value": taken(field, takes)}}))
        })
        .collect();
    json!({
        "description": described(field),
        "type": "object",
        "properties": {"field": {"const": field.name()}, "operator": true, "value": true},
        "required": ["field", "operator", "value"],
        "additionalProperties": false,
        "oneOf": forms,
    })
}

fn taken(field: Field, takes: Takes) -> Value {
    let one = value(field);
    match takes {
        Takes::One => one,
        Takes::List => json!({"type": "array", "items": one, "minItems": 1, "maxItems": VALUES_MAX}),
        Takes::Pair => json!({
            "description": "[low, high], both included",
            "type": "array", "items": one, "minItems": 2, "maxItems": 2,
        }),
        Takes::Flag => json!({"type": "boolean"}),
    }
}

fn value(field: Field) -> Value {
    match field.kind() {
        Kind::Id => json!({"type": "integer"}),
        Kind::Count | Kind::Money | Kind::Security => json!({"type": "number"}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Text if field == Field::SystemClass => json!({"enum": SYSTEM_CLASSES}),
        Kind::Text => json!({"type": "string", "minLength": 1, "maxLength": TEXT_MAX}),
    }
}

fn described(field: Field) -> String {
    let kind = match field.kind() {
        Kind::Id => "an id",
        Kind::Count => "a number",
        Kind::Money => "ISK",
        Kind::Security => "a security status",
        Kind::Flag => "true or false",
        Kind::Text => "a word",
    };
    if field.is_many() { format!("{kind}; a kill may have several: one that holds is enough") } else { kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_there_with_its_operators_and_nothing_refers_to_what_is_not() {
        let schema = schema();
        let operators = |field: &str| -> Vec<String> {
            let forms = schema["$defs"][field]["oneOf"].as_array().expect("forms").iter();
            let names = forms.flat_map(|form| form["properties"]["operator"]["enum"].as_array().expect("operators"));
            names.map(|name| name.as_str().expect("a name").to_owned()).collect()
        };
        for field in Field::ALL {
            let mut expected: Vec<_> =
                Operator::ALL.into_iter().filter(|operator| operator.is_of(field.kind())).map(Operator::name).collect();
            let mut found = operators(field.name());
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{field}");
            let all = schema["$defs"]["filter"]["anyOf"].as_array().expect("forms");
            assert!(all.contains(&json!({"$ref": format!("#/$defs/{field}")})), "{field}");
        }
        assert_eq!(operators("solo"), ["eq", "ne", "exists"]);
        assert!(!operators("labels").contains(&"gt".to_owned()));
    }
}
