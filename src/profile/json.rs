//! JSON read one level at a time, so that an error knows its place, and numbers stay as they are written.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{Path, Problem};

/// A value that was not read yet.
pub(super) type Raw<'a> = &'a RawValue;

/// Reads a text as one JSON value.
pub(super) fn value(text: &str) -> Result<Raw<'_>, Problem> {
    let wrong =
        |error: serde_json::Error| Problem::said(&Path::default(), format!("no JSON ({error})"), "one JSON object");
    serde_json::from_str(text).map_err(wrong)
}

/// The members of an object, in their order. Each key once.
pub(super) fn object<'a>(raw: Raw<'a>, path: &Path, allowed: &str) -> Result<Vec<(String, Raw<'a>)>, Problem> {
    let Ok(Members(members)) = serde_json::from_str(raw.get()) else {
        return Err(Problem::new(path, raw.get(), allowed));
    };
    let mut seen = HashSet::with_capacity(members.len());
    if let Some((twice, _)) = members.iter().find(|(key, _)| !seen.insert(key)) {
        return Err(Problem::said(&path.key(twice), "the same key twice", "each key once"));
    }
    Ok(members)
}

/// The elements of a list.
pub(super) fn list<'a>(raw: Raw<'a>, path: &Path, allowed: &str) -> Result<Vec<Raw<'a>>, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| Problem::new(path, raw.get(), allowed))
}

/// A string.
pub(super) fn text(raw: Raw<'_>, path: &Path, allowed: &str) -> Result<String, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| Problem::new(path, raw.get(), allowed))
}

/// A truth value.
pub(super) fn flag(raw: Raw<'_>, path: &Path) -> Result<bool, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| Problem::new(path, raw.get(), "true or false"))
}

struct Members<'a>(Vec<(String, Raw<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}
