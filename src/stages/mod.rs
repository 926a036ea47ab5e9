//! Stages: the steps that processors run on kills.
//!
//! To add one: a file here with `Config` (what its table in a pipeline file takes: `Deserialize`, `JsonSchema`, `Default`, unknown fields
//! refused) and `Config::build`, which answers the engine's stage; then a variant and a line in each of the matches below, its
//! name in [`NAMES`], a row in the README, and a line in `tests/kills` that puts it through the contract suite. A stage spawns no tasks and
//! imports no other stage; what it waits for on the outside it waits for once a group, with a timeout.
//!
//! In a pipeline file a stage stands bare, `"decode"`, or with settings, `{ deduplicate = { capacity = 5000 } }`.

pub mod decode;
pub mod deduplicate;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use broadside_engine::Stage;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::killmail::Kill;
use crate::resources::Resources;

/// One stage with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// Reads the bytes.
    Decode(decode::Config),
    /// Filters what was seen of late.
    Deduplicate(deduplicate::Config),
}

/// Every stage, as it is written in a pipeline file.
pub const NAMES: &[&str] = &["decode", "deduplicate"];

impl Config {
    /// As it is written in a pipeline file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decode(_) => "decode",
            Self::Deduplicate(_) => "deduplicate",
        }
    }

    /// Stages that must stand before it.
    #[must_use]
    pub fn needs(&self) -> &'static [&'static str] {
        match self {
            Self::Decode(_) => &[],
            Self::Deduplicate(_) => &["decode"],
        }
    }

    /// The stage.
    #[must_use]
    pub fn build(&self, pipeline: &str, resources: &Resources) -> Arc<dyn Stage<Kill>> {
        match self {
            Self::Decode(config) => Arc::new(config.build(pipeline)),
            Self::Deduplicate(config) => Arc::new(config.build(resources.recent.clone())),
        }
    }
}

/// A stage's name, checked where it stands, so that an error points at it and not at the whole table.
enum Name {
    Decode,
    Deduplicate,
}

impl Name {
    fn parse<E: Error>(text: &str) -> Result<Self, E> {
        match text {
            "decode" => Ok(Self::Decode),
            "deduplicate" => Ok(Self::Deduplicate),
            other => Err(E::unknown_variant(other, NAMES)),
        }
    }

    fn bare(&self) -> Config {
        match self {
            Self::Decode => Config::Decode(decode::Config::default()),
            Self::Deduplicate => Config::Deduplicate(deduplicate::Config::default()),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a stage")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Name::parse(text)
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfigVisitor;

        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a stage, or a table with one stage in it")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Config, E> {
                Ok(Name::parse::<E>(text)?.bare())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let config = match map.next_key()? {
                    None => return Err(A::Error::custom("the table is empty: name a stage in it")),
                    Some(Name::Decode) => Config::Decode(map.next_value()?),
                    Some(Name::Deduplicate) => Config::Deduplicate(map.next_value()?),
                };
                match map.next_key::<String>()? {
                    None => Ok(config),
                    Some(second) => Err(A::Error::custom(format_args!(
                        "two stages in one table: put `{second}` into a table of its own"
                    ))),
                }
            }
        }

        deserializer.deserialize_any(ConfigVisitor)
    }
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let decode = generator.subschema_for::<decode::Config>();
        let deduplicate = generator.subschema_for::<deduplicate::Config>();
        let table = |name: &str, config: Schema| {
            json_schema!({
                "type": "object",
                "properties": { name: config },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "A stage by its name, or a table with its settings.",
            "oneOf": [
                { "type": "string", "enum": NAMES },
                table("decode", decode),
                table("deduplicate", deduplicate),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_stands_bare_or_with_settings() {
        let stages: Vec<Config> =
            serde_json::from_str(r#"["decode", {"deduplicate": {"capacity": 5}}, {"deduplicate": {}}]"#)
                .expect("three stages");
        assert_eq!(stages[0], Config::Decode(decode::Config {}));
        let capacity = std::num::NonZeroUsize::new(5);
        assert_eq!(stages[1], Config::Deduplicate(deduplicate::Config { capacity }));
        assert_eq!(stages[2].name(), "deduplicate");
        assert_eq!(stages[2].needs(), ["decode"]);
    }

    #[test]
    fn what_is_no_stage_is_refused_with_its_reason() {
        for (text, reason) in [
            (r#""decod""#, "unknown variant `decod`, expected `decode` or `deduplicate`"),
            (r#"{"decod": {}}"#, "unknown variant `decod`, expected `decode` or `deduplicate`"),
            (r#"{"decode": {}, "deduplicate": {}}"#, "two stages in one table"),
            ("{}", "the table is empty"),
            (r#"{"deduplicate": {"capacity": 0}}"#, "expected a nonzero usize"),
            (r#"{"deduplicate": {"size": 1}}"#, "unknown field `size`, expected `capacity`"),
            ("7", "expected the name of a stage, or a table with one stage in it"),
        ] {
            let error = serde_json::from_str::<Config>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn every_name_is_a_stage_and_every_stage_has_its_name() {
        for name in NAMES {
            let config: Config = serde_json::from_str(&format!("{name:?}")).expect("a stage");
            assert_eq!(config.name(), *name);
        }
    }
}
