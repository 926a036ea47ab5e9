//! Tags of fitted modules: where each was fitted, how it was made, what it is.
//!
//! What counts is what lies directly in a slot, destroyed or dropped. A charge shares the slot of its module and is told from it by its category; cargo
//! gives nothing. The table `modules.csv` says which item flags are slots and what gives which tag; an empty tag in it is a decision too, with the
//! reason beside it, so that every group of modules in the game is either tagged or known to have none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::table::{self, Error, Seen};
use crate::killmail::Item;
use crate::statics::{Statics, Type};

/// The table that comes with the program.
pub const BUILT_IN: &str = include_str!("modules.csv");
/// What it is called in errors.
pub const NAME: &str = "modules.csv";

const COLUMNS: &[&str] = &["tag", "kind", "id", "note"];
/// What a [`Set`] holds.
const TAGS_MAX: usize = 256;

/// Some of a table's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set([u64; TAGS_MAX / 64]);

impl Set {
    fn add(&mut self, tag: usize) {
        self.0[tag / 64] |= 1 << (tag % 64);
    }

    /// Ascending.
    fn tags(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }

    /// Those of the other too.
    pub fn join(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, others)| *mine |= others);
    }
}

/// A place in a ship.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    name: Arc<str>,
    /// The tag of a slot; `None`: no slot.
    slot: Option<Set>,
}

/// What an item is to its kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Fitted: it gives these tags.
    Fitted(Set),
    /// Fitted, of a group for which there is neither a tag nor a reason to have none: it gives these.
    Unruled(Set),
    /// Fitted, and its type is not known: its slot is all there is to say.
    Unknown(Set),
    /// In the slot of its module.
    Charge,
    /// Not in a slot.
    Loose,
}

impl Role {
    /// The tags that it gives.
    #[must_use]
    pub fn tags(self) -> Set {
        match self {
            Self::Fitted(tags) | Self::Unruled(tags) | Self::Unknown(tags) => tags,
            Self::Charge | Self::Loose => Set::default(),
        }
    }
}

/// The table, read.
#[derive(Debug, Clone)]
pub struct Modules {
    /// Sorted.
    tags: Vec<Arc<str>>,
    /// By item flag.
    places: HashMap<i64, Place>,
    makes: HashSet<i64>,
    charges: HashSet<i64>,
    meta_groups: HashMap<i64, Set>,
    tech_levels: HashMap<i64, Set>,
    types: HashMap<i64, Set>,
    effects: HashMap<i64, Set>,
    groups: HashMap<i64, Set>,
    categories: HashMap<i64, Set>,
    text: Arc<str>,
}

impl Default for Modules {
    fn default() -> Self {
        Self::read(NAME, BUILT_IN).expect("a test reads the table that comes with the program")
    }
}

impl Modules {
    /// Reads a table. `file` is what errors call it.
    ///
    /// # Errors
    /// Some line is not what it should be: the first such is named.
    pub fn read(file: &str, text: &str) -> Result<Self, Error> {
        let rows = table::rows(file, text, COLUMNS)?;
        let mut names: Vec<&str> =
            rows.iter().filter(|row| row.text("kind") != "hold").map(|row| row.text("tag")).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.is_empty());
        if names.len() > TAGS_MAX {
            let why = format!("{} tags are more than {TAGS_MAX}", names.len());
            return Err(Error { file: file.to_owned(), line: 0, column: Some("tag"), why });
        }
        let mut modules = Self {
            tags: names.iter().map(|name| Arc::from(*name)).collect(),
            places: HashMap::new(),
            makes: HashSet::new(),
            charges: HashSet::new(),
            meta_groups: HashMap::new(),
            tech_levels: HashMap::new(),
            types: HashMap::new(),
            effects: HashMap::new(),
            groups: HashMap::new(),
            categories: HashMap::new(),
            text: text.into(),
        };
        let mut seen = Seen::default();
        rows.iter().try_for_each(|row| modules.take(row, &mut seen))?;
        Ok(modules)
    }

    fn take(&mut self, row: &table::Row<'_>, seen: &mut Seen) -> Result<(), Error> {
        let (tag, kind) = (row.text("tag"), row.text("kind"));
        let mut set = Set::default();
        if let Ok(place) = self.tags.binary_search_by(|name| (**name).cmp(tag)) {
            set.add(place);
        } else if tag.is_empty() && row.text("note").is_empty() {
            return Err(row.error("note", "without a tag a row needs a reason"));
        }
        if matches!(kind, "slot" | "hold") {
            if tag.is_empty() {
                return Err(row.error("tag", "a place needs a name"));
            }
            for flag in row.range("id")? {
                // Of one name only: the same for all places.
                seen.note(row, "flag", flag, "")?;
                self.places.insert(flag, Place { name: tag.into(), slot: (kind == "slot").then_some(set) });
            }
            return Ok(());
        }
        let id = row.number("id")?;
        seen.note(row, kind, id, tag)?;
        let sets = match kind {
            "make" | "charge" => {
                if !tag.is_empty() {
                    return Err(row.error("tag", format!("a {kind} row has none")));
                }
                let ids = if kind == "make" { &mut self.makes } else { &mut self.charges };
                ids.insert(id);
                return Ok(());
            }
            "meta_group" => &mut self.meta_groups,
            "tech_level" => &mut self.tech_levels,
            "type" => &mut self.types,
            "effect" => &mut self.effects,
            "group" => &mut self.groups,
            "category" => &mut self.categories,
            other => return Err(row.error("kind", format!("`{other}` is none of slot, hold, make, charge, meta_group, tech_level, type, effect, group, category"))),
        };
        sets.entry(id).or_default().join(set);
        Ok(())
    }

    /// The table as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a place in a ship is called.
    #[must_use]
    pub fn place(&self, flag: i32) -> Option<&str> {
        self.places.get(&i64::from(flag)).map(|place| &*place.name)
    }

    /// The names of a set, sorted.
    #[must_use]
    pub fn names(&self, set: Set) -> Vec<Arc<str>> {
        set.tags().map(|tag| self.tags[tag].clone()).collect()
    }

    /// What an item that lies directly in the ship is to the kill.
    #[must_use]
    pub fn role(&self, statics: &Statics, item: &Item) -> Role {
        let Some(mut tags) = self.places.get(&i64::from(item.flag)).and_then(|place| place.slot) else {
            return Role::Loose;
        };
        let known = statics.types.get(&item.item_type_id);
        let Some((kind, group)) = known.and_then(|kind| Some((kind, statics.groups.get(&kind.group_id)?))) else {
            return Role::Unknown(tags);
        };
        let category = group.category_id.get();
        if self.charges.contains(&category) {
            return Role::Charge;
        }
        if self.makes.contains(&category) {
            tags.join(self.make(kind));
        }
        match self.what(kind, category) {
            Some(what) => {
                tags.join(what);
                Role::Fitted(tags)
            }
            None => Role::Unruled(tags),
        }
    }

    /// How it was made: by its meta group, else by its tech level. Not every meta group tells.
    fn make(&self, kind: &Type) -> Set {
        let by_meta = kind.meta_group_id.and_then(|meta| self.meta_groups.get(&meta.get()));
        let level = || kind.tech_level.filter(|level| self.tech_levels.contains_key(level)).unwrap_or(0);
        by_meta.or_else(|| self.tech_levels.get(&level())).copied().unwrap_or_default()
    }

    /// What it is, by the most specific rule that there is.
    fn what(&self, kind: &Type, category: i64) -> Option<Set> {
        let by_effects = || {
            let mut rules = kind.effects.iter().filter_map(|effect| self.effects.get(effect)).peekable();
            rules.peek()?;
            let mut all = Set::default();
            rules.for_each(|set| all.join(*set));
            Some(all)
        };
        let by_type = self.types.get(&kind.type_id.get()).copied();
        by_type
            .or_else(by_effects)
            .or_else(|| self.groups.get(&kind.group_id.get()).copied())
            .or_else(|| self.categories.get(&category).copied())
    }
}
