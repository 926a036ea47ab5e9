//! What a question about the killfeed says: parameters as `name=value`, some of them more than once.

use std::collections::BTreeSet;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::super::error::ApiError;
use crate::killmail::SystemId;

pub(super) const SYSTEMS_MAX: usize = 1000;

pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) fn pairs(query: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    query.map(|Query(pairs)| pairs).map_err(|_| ApiError::bad_request("the query cannot be read"))
}

/// `systems=1,2`, `systems[]=1&systems[]=2`, or both. None given: all.
pub(super) fn systems(pairs: &[(String, String)]) -> Result<Vec<SystemId>, ApiError> {
    let (mut given, mut found) = (false, BTreeSet::new());
    for (_, value) in pairs.iter().filter(|(name, _)| name == "systems" || name == "systems[]") {
        given = true;
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let id = part.parse().ok().and_then(SystemId::new);
            found.insert(id.ok_or_else(|| ApiError::bad_request("systems are numbers above 0"))?);
            if found.len() > SYSTEMS_MAX {
                return Err(ApiError::bad_request(format!("at most {SYSTEMS_MAX} systems")));
            }
        }
    }
    if given && found.is_empty() {
        return Err(ApiError::bad_request("systems names no system: leave it out for all of them"));
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn systems_are_read_in_both_spellings_and_once_each() {
        let found = systems(&query(&[("systems", "3, 1"), ("systems[]", "2"), ("systems[]", "3")])).expect("numbers");
        assert_eq!(found.iter().map(|id| id.get()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(systems(&query(&[("other", "x")])).expect("all").is_empty());
        for bad in ["x", "0", "-1", "1;2", ""] {
            assert!(systems(&query(&[("systems", bad)])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn more_than_a_thousand_systems_are_refused() {
        let list = |n: i64| (1..=n).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(systems(&query(&[("systems", &list(1000))])).expect("a thousand").len(), 1000);
        assert!(systems(&query(&[("systems", &list(1001))])).is_err());
    }
}
