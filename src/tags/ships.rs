//! Classes of ships and structures, by group or category, with what is expected of each in a fight: the table `ships.csv`.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::{self, Error, Seen};
use crate::killmail::TypeId;
use crate::statics::Statics;

/// The table that comes with the program.
pub const BUILT_IN: &str = include_str!("ships.csv");
/// What it is called in errors.
pub const NAME: &str = "ships.csv";

const COLUMNS: &[&str] = &["class", "kind", "id", "weight", "label", "note"];

/// A class, as one of its groups has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// `frigate`, `capsule`, …
    pub name: Arc<str>,
    /// What part such a ship is expected to have in a kill, against others: see [`super::measures`]. 0: none.
    pub weight: f64,
    /// zKillboard's label of kills of it.
    pub label: Option<Arc<str>>,
}

/// The table, read.
#[derive(Debug, Clone)]
pub struct Ships {
    groups: HashMap<i64, Class>,
    categories: HashMap<i64, Class>,
    text: Arc<str>,
}

impl Default for Ships {
    fn default() -> Self {
        Self::read(NAME, BUILT_IN).expect("a test reads the table that comes with the program")
    }
}

impl Ships {
    /// Reads a table. `file` is what errors call it.
    ///
    /// # Errors
    /// Some line is not what it should be: the first such is named.
    pub fn read(file: &str, text: &str) -> Result<Self, Error> {
        let mut ships = Self { groups: HashMap::new(), categories: HashMap::new(), text: text.into() };
        // One class for the same name, however many groups it has.
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut seen = Seen::default();
        for row in table::rows(file, text, COLUMNS)? {
            let (name, kind, id) = (row.text("class"), row.text("kind"), row.number("id")?);
            if name.is_empty() {
                return Err(row.error("class", "a class needs a name"));
            }
            let classes = match kind {
                "group" => &mut ships.groups,
                "category" => &mut ships.categories,
                other => return Err(row.error("kind", format!("`{other}` is neither group nor category"))),
            };
            seen.note(&row, kind, id, "")?;
            let weight = row.text("weight").parse::<f64>().ok();
            let Some(weight) = weight.filter(|weight| weight.is_finite() && *weight >= 0.0) else {
                return Err(row.error("weight", "not a number from 0 up"));
            };
            let name = names.entry(name.to_owned()).or_insert_with(|| name.into()).clone();
            let label = Some(row.text("label")).filter(|label| !label.is_empty()).map(Arc::from);
            classes.insert(id, Class { name, weight, label });
        }
        Ok(ships)
    }

    /// The table as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The class of a type: by its group, else by its category.
    #[must_use]
    pub fn class(&self, statics: &Statics, type_id: TypeId) -> Option<&Class> {
        let group = statics.group(type_id)?;
        self.groups.get(&group.group_id.get()).or_else(|| self.categories.get(&group.category_id.get()))
    }
}
