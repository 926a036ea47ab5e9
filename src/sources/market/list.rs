//! Which regions are polled.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::poller::Shared;
use crate::killmail::RegionId;
use crate::regions::Which;
use crate::store::{Error, Swept};

/// Among the checkpoints.
const KEPT: &str = "market/regions";

/// What the pipeline file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every region that ESI names.
    All,
    Some(Vec<Which>),
}

/// Regions with their names, as far as those are known.
pub(super) type List = BTreeMap<RegionId, Option<String>>;

impl Wanted {
    /// What can be begun with before ESI is asked: regions named by id, and those that were swept before.
    pub(super) fn known(&self, swept: &[Swept]) -> List {
        let all = || swept.iter().map(|swept| (swept.region, swept.name.clone()));
        let Self::Some(wanted) = self else { return all().collect() };
        let find = |which: &Which| match which {
            Which::Id(id) => Some((*id, all().find(|(region, _)| region == id).and_then(|(_, name)| name))),
            Which::Name(wanted) => all().find(|(_, name)| name.as_deref().is_some_and(|name| is_same(name, wanted))),
        };
        wanted.iter().filter_map(find).collect()
    }

    /// Everything, as ESI has it; and of what it does not know, why not.
    ///
    /// # Errors
    /// ESI does not answer.
    pub(super) async fn resolve(&self, shared: &Shared) -> Result<(List, Vec<String>), String> {
        let ids_only: Option<Vec<RegionId>> = match self {
            Self::All => None,
            Self::Some(wanted) => wanted.iter().map(|which| which.id()).collect(),
        };
        let regions = match ids_only {
            Some(ids) => ids,
            None => all(shared).await?,
        };
        let names = shared.outside.names(&regions).await?;
        let Self::Some(wanted) = self else {
            return Ok((regions.into_iter().map(|id| (id, names.get(&id).cloned())).collect(), Vec::new()));
        };
        let (mut list, mut unknown) = (List::new(), Vec::new());
        for which in wanted {
            match find(which, &names) {
                Ok((id, name)) => drop(list.insert(id, name)),
                Err(error) => unknown.push(error),
            }
        }
        Ok((list, unknown))
    }
}

/// One region, as ESI has it.
///
/// # Errors
/// ESI does not answer, or knows no such region.
pub(super) async fn one(which: &Which, shared: &Shared) -> Result<(RegionId, Option<String>), String> {
    let regions = all(shared).await?;
    if let Which::Id(id) = which
        && !regions.contains(id)
    {
        return Err(format!("ESI knows no region {id}"));
    }
    let regions = which.id().map_or(regions, |id| vec![id]);
    find(which, &shared.outside.names(&regions).await?)
}

/// The list of all regions as it was last learnt, under [`KEPT`].
#[derive(Serialize, Deserialize)]
struct Kept {
    url: String,
    /// ESI is not to be asked for it before.
    until: Timestamp,
    regions: Vec<i64>,
}

/// Every region: as ESI said before, for as long as that holds, also to the process before this one.
async fn all(shared: &Shared) -> Result<Vec<RegionId>, String> {
    let trouble = |error: Error| format!("failed to {error}");
    let kept = shared.store.checkpoint(KEPT).await.map_err(trouble)?;
    let kept = kept.and_then(|kept| serde_json::from_str::<Kept>(&kept).ok());
    if let Some(kept) = kept.filter(|kept| kept.url == shared.url && kept.until > shared.now()) {
        return Ok(kept.regions.into_iter().filter_map(RegionId::new).collect());
    }
    let (regions, holds) = shared.outside.regions().await?;
    let until = shared.now().checked_add(SignedDuration::try_from(holds).unwrap_or_default()).unwrap_or(Timestamp::MAX);
    let kept = Kept { url: shared.url.clone(), until, regions: regions.iter().map(|id| id.get()).collect() };
    let kept = serde_json::to_string(&kept).map_err(|error| error.to_string())?;
    shared.store.set_checkpoint(KEPT, Some(&kept)).await.map_err(trouble)?;
    Ok(regions)
}

fn find(which: &Which, names: &HashMap<RegionId, String>) -> Result<(RegionId, Option<String>), String> {
    match which {
        Which::Id(id) => Ok((*id, names.get(id).cloned())),
        Which::Name(wanted) => {
            let found = names.iter().find(|(_, name)| is_same(name, wanted));
            let (id, name) = found.ok_or_else(|| format!("ESI names no region {wanted:?}"))?;
            Ok((*id, Some(name.clone())))
        }
    }
}

fn is_same(name: &str, wanted: &str) -> bool {
    name.trim().eq_ignore_ascii_case(wanted.trim())
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WantedVisitor;

        impl<'de> Visitor<'de> for WantedVisitor {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\", or a list of ids and names of regions")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Wanted, E> {
                match text {
                    "all" => Ok(Wanted::All),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Wanted, A::Error> {
                let mut wanted = Vec::new();
                while let Some(Entry(which)) = list.next_element()? {
                    wanted.push(which);
                }
                Ok(Wanted::Some(wanted))
            }
        }

        deserializer.deserialize_any(WantedVisitor)
    }
}

struct Entry(Which);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl Visitor<'_> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id or the name of a region")
            }

            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<Entry, E> {
                let unfit = || E::invalid_value(serde::de::Unexpected::Signed(id), &self);
                RegionId::new(id).map(|id| Entry(Which::Id(id))).ok_or_else(unfit)
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Entry, E> {
                self.visit_i64(i64::try_from(id).unwrap_or(0))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Entry, E> {
                Which::parse(name).map(Entry).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(name), &self))
            }
        }

        deserializer.deserialize_any(EntryVisitor)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> Cow<'static, str> {
        "Regions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "\"all\": every region that ESI names; or a list of ids and names.",
            "oneOf": [
                { "const": "all" },
                { "type": "array", "items": { "type": ["integer", "string"] } },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_all_or_a_list_of_ids_and_names() {
        let read = |text: &str| serde_json::from_str::<Wanted>(text).map_err(|error| error.to_string());
        assert_eq!(read("\"all\""), Ok(Wanted::All));
        let forge = RegionId::new(10_000_002).expect("an id");
        let listed = vec![Which::Id(forge), Which::Name("Sinq Laison".to_owned()), Which::Id(forge)];
        assert_eq!(read(r#"[10000002, "Sinq Laison", "10000002"]"#), Ok(Wanted::Some(listed)));
        for (text, reason) in [
            ("\"some\"", "expected \"all\", or a list"),
            ("7", "expected \"all\", or a list"),
            ("[0]", "expected the id or the name of a region"),
            ("[-3]", "expected the id or the name of a region"),
            ("[\" \"]", "expected the id or the name of a region"),
            ("[1.5]", "expected the id or the name of a region"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
