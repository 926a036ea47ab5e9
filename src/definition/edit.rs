//! Numbers changed in the text of a pipeline file: everything else, comments too, stays as it is.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

/// A number's new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub place: Place,
    /// Such as `concurrency`.
    pub field: &'static str,
    pub value: usize,
}

/// Where a number stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Processor(String),
    Batcher(String),
    Limits,
}

impl Edit {
    /// As it stands in a reload's changes: `batcher.db_insert.batch_size`.
    #[must_use]
    pub fn setting(&self) -> String {
        match &self.place {
            Place::Processor(name) => format!("processor.{name}.{}", self.field),
            Place::Batcher(name) => format!("batcher.{name}.{}", self.field),
            Place::Limits => format!("limits.{}", self.field),
        }
    }

    /// As lines of a pipeline file, with a remark.
    #[must_use]
    pub fn lines(&self, remark: &str) -> String {
        let header = match &self.place {
            Place::Processor(name) => format!("[[processor]]\nname = \"{name}\""),
            Place::Batcher(name) => format!("[[batcher]]\nname = \"{name}\""),
            Place::Limits => "[limits]".to_owned(),
        };
        format!("{header}\n{} = {}   # {remark}", self.field, self.value)
    }
}

/// Why a file cannot be edited. Texts fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read it as TOML: {0}")]
    Syntax(#[from] toml_edit::TomlError),
    #[error("find {0} in it")]
    Missing(String),
}

/// The text with these numbers in it.
///
/// # Errors
/// It is not TOML, or has no such worker group.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, Error> {
    let mut document: DocumentMut = text.parse()?;
    for edit in edits {
        let table = table(&mut document, &edit.place).ok_or_else(|| Error::Missing(edit.setting()))?;
        let mut value = Value::from(i64::try_from(edit.value).unwrap_or(i64::MAX));
        match table.get_mut(edit.field).and_then(Item::as_value_mut) {
            Some(old) => {
                // with the remark that stands behind it
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            None => {
                table.insert(edit.field, Item::Value(value));
            }
        }
    }
    Ok(document.to_string())
}

fn table<'d>(document: &'d mut DocumentMut, place: &Place) -> Option<&'d mut Table> {
    let (key, name) = match place {
        Place::Limits => {
            return document.entry("limits").or_insert_with(|| Item::Table(Table::new())).as_table_mut();
        }
        Place::Processor(name) => ("processor", name),
        Place::Batcher(name) => ("batcher", name),
    };
    let groups = document.get_mut(key)?.as_array_of_tables_mut()?;
    groups.iter_mut().find(|group| group.get("name").and_then(Item::as_str) == Some(name))
}

/// Where a pipeline's file is, if it is in the folder.
#[must_use]
pub fn file(folder: Option<&Path>, pipeline: &str) -> Option<PathBuf> {
    let path = folder.unwrap_or(Path::new(super::PIPELINES)).join(format!("{pipeline}.toml"));
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::parse;

    const KILLS: &str = include_str!("../../pipelines/kills.toml");

    #[test]
    fn numbers_change_and_everything_else_stays() {
        let edits = [
            Edit { place: Place::Processor("enrich".into()), field: "concurrency", value: 16 },
            Edit { place: Place::Batcher("db_insert".into()), field: "batch_size", value: 250 },
            Edit { place: Place::Limits, field: "in_flight_max", value: 9_000 },
        ];
        let edited = edit(KILLS, &edits).expect("it is TOML");
        let changed: Vec<(&str, &str)> = KILLS.lines().zip(edited.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!(KILLS.lines().count(), edited.lines().count());
        assert_eq!(changed.len(), 3, "{changed:?}");
        assert!(changed.iter().all(|(old, new)| old.split_once('#').map(|c| c.1) == new.split_once('#').map(|c| c.1)));
        let definition = parse("kills", "kills.toml", &edited, &|_| None).expect("a pipeline");
        assert_eq!(definition.topology.processors[1].concurrency, 16);
        assert_eq!((definition.topology.batchers[0].batch_size, definition.topology.in_flight_max), (250, 9_000));
    }

    #[test]
    fn a_number_that_was_left_out_is_added() {
        let edits = [Edit { place: Place::Batcher("alerts".into()), field: "concurrency", value: 3 }];
        let definition =
            parse("kills", "kills.toml", &edit(KILLS, &edits).expect("edited"), &|_| None).expect("a pipeline");
        assert_eq!(definition.topology.batchers[2].concurrency, 3);
        let bare = edit("enabled = true\n", &[Edit { place: Place::Limits, field: "in_flight_max", value: 7 }]);
        assert_eq!(bare.expect("edited"), "enabled = true\n\n[limits]\nin_flight_max = 7\n");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let edits = [Edit { place: Place::Processor("nobody".into()), field: "concurrency", value: 3 }];
        assert_eq!(edit(KILLS, &edits).expect_err("missing").to_string(), "find processor.nobody.concurrency in it");
        assert!(edit("[", &edits).is_err());
    }
}
