//! Stages: the steps that processors run on kills, pages of market orders, or products to be priced.
//!
//! To add one: a file here with `Config` (what its table in a pipeline file takes: `Deserialize`, `JsonSchema`, `Default`, unknown fields
//! refused) and `Config::build`, which answers the engine's stage; then a line in `stages!` below and one in `build` and `check`, a row in the README, and a line in `tests/kills` that puts it through the contract suite. A stage spawns no tasks and
//! imports no other stage; what it waits for on the outside it waits for once a group, with a timeout.
//!
//! In a pipeline file a stage stands bare, `"decode"`, or with settings, `{ deduplicate = { capacity = 5000 } }`.

pub mod decode;
pub mod decode_orders;
pub mod deduplicate;
pub mod detail;
pub mod r#match;
pub mod price;
pub mod quote;
pub mod tag;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use broadside_engine::{Message, Stage, stage};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::killmail::Kill;
use crate::market::Page;
use crate::price::Product;
use crate::record::{Record, Typed};
use crate::resources::Resources;

/// A stage, by what it works on.
pub type Built = Typed<Arc<dyn Stage<Kill>>, Arc<dyn Stage<Page>>, Arc<dyn Stage<Product>>>;

/// Declares the stages: the module with its `Config`, its name in a pipeline file, and the stages that must stand before it.
macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident($module:ident) = $name:literal, needs $needs:expr;)+) => {
        /// One stage with its settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Config {
            $($(#[$doc])* $variant($module::Config),)+
        }

        /// Every stage, as it is written in a pipeline file.
        pub const NAMES: &[&str] = &[$($name),+];

        impl Config {
            /// As it is written in a pipeline file.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Stages that must stand before it.
            #[must_use]
            pub fn needs(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(_) => &$needs,)+
                }
            }
        }

        /// A stage's name, checked where it stands, so that an error points at it and not at the whole table.
        #[derive(Clone, Copy)]
        enum Name {
            $($variant,)+
        }

        impl Name {
            fn parse<E: Error>(text: &str) -> Result<Self, E> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    other => Err(E::unknown_variant(other, NAMES)),
                }
            }

            fn bare(self) -> Config {
                match self {
                    $(Self::$variant => Config::$variant($module::Config::default()),)+
                }
            }

            fn with_settings<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<Config, A::Error> {
                match self {
                    $(Self::$variant => map.next_value().map(Config::$variant),)+
                }
            }
        }

        /// The settings of each, in the order of [`NAMES`].
        fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
            vec![$(generator.subschema_for::<$module::Config>()),+]
        }
    };
}

stages! {
    /// Reads the bytes.
    Decode(decode) = "decode", needs [];
    /// Filters what was seen of late.
    Deduplicate(deduplicate) = "deduplicate", needs ["decode"];
    /// Fetches what the feed leaves out.
    Detail(detail) = "detail", needs ["decode"];
    /// Finds out what a kill is.
    Tag(tag) = "tag", needs ["decode"];
    /// Says what a kill is worth.
    Price(price) = "price", needs ["decode"];
    /// Finds the surveillance profiles that match.
    Match(r#match) = "match", needs ["decode"];
    /// Reads the orders of a page.
    DecodeOrders(decode_orders) = "decode_orders", needs [];
    /// Asks what products cost.
    Quote(quote) = "quote", needs [];
}

impl Config {
    /// What it works on.
    #[must_use]
    pub fn record(&self) -> Record {
        match self {
            Self::DecodeOrders(_) => Record::Pages,
            Self::Quote(_) => Record::Products,
            _ => Record::Kills,
        }
    }

    /// The stage.
    #[must_use]
    pub fn build(&self, pipeline: &str, resources: &Resources) -> Built {
        Built::Kills(match self {
            Self::Decode(config) => Arc::new(config.build(pipeline)),
            Self::Deduplicate(config) => Arc::new(config.build(resources.recent.clone())),
            Self::Detail(config) => {
                Arc::new(config.build(pipeline, resources.esi.at(&config.url, resources.contact.as_deref())))
            }
            Self::Tag(config) => Arc::new(config.build(pipeline, resources)),
            Self::Price(config) => Arc::new(config.build(pipeline, resources)),
            Self::Match(config) => Arc::new(config.build(resources)),
            Self::DecodeOrders(config) => return Built::Pages(Arc::new(config.build(pipeline))),
            Self::Quote(config) => return Built::Products(Arc::new(config.build(resources))),
        })
    }

    /// The stage as it is tried out: on [`Resources::for_rehearsal`], and without a word in the metrics. Nothing is taken for a copy of what was seen before: each
    /// kill is tried by itself.
    #[must_use]
    pub fn rehearse(&self, pipeline: &str, resources: &Resources) -> Built {
        match self {
            Self::Decode(config) => Built::Kills(Arc::new(config.rehearse())),
            Self::Deduplicate(_) => Built::Kills(Arc::new(stage::each(|_: &mut Message<Kill>| {}))),
            // What a stage counts by it asks for when it is built.
            _ => metrics::with_local_recorder(&metrics::NoopRecorder, || self.build(pipeline, resources)),
        }
    }

    /// Whether it has what it needs from its surroundings, without opening anything.
    ///
    /// # Errors
    /// A sentence for the operator: something that it needs is not set, or cannot be.
    pub fn check(&self, contact: Option<&str>) -> Result<(), String> {
        match self {
            Self::Decode(_) | Self::Deduplicate(_) | Self::Match(_) | Self::DecodeOrders(_) => Ok(()),
            Self::Detail(config) => config.check(contact).map_err(|error| format!("failed to {error}")),
            Self::Tag(config) => config.check(contact),
            Self::Quote(config) => config.check(contact),
            Self::Price(config) => config.check(contact).map_err(|error| format!("failed to {error}")),
        }
    }

    /// What it does without because it is not set: a sentence for the operator.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        match self {
            Self::Price(config) => config.lacks(),
            _ => None,
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
                let Some(name) = map.next_key::<Name>()? else {
                    return Err(A::Error::custom("the table is empty: name a stage in it"));
                };
                let config = name.with_settings(&mut map)?;
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
        let table = |(name, config): (&&str, Schema)| {
            json_schema!({
                "type": "object",
                "properties": { *name: config },
                "required": [name],
                "additionalProperties": false,
            })
        };
        let bare = json_schema!({ "type": "string", "enum": NAMES });
        let tables = NAMES.iter().zip(schemas(generator)).map(table);
        json_schema!({
            "description": "A stage by its name, or a table with its settings.",
            "oneOf": std::iter::once(bare).chain(tables).collect::<Vec<_>>(),
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
            (
                r#""decod""#,
                "unknown variant `decod`, expected one of `decode`, `deduplicate`, `detail`, `tag`, `price`, `match`, `decode_orders`",
            ),
            (
                r#"{"decod": {}}"#,
                "unknown variant `decod`, expected one of `decode`, `deduplicate`, `detail`, `tag`, `price`, `match`, `decode_orders`",
            ),
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
