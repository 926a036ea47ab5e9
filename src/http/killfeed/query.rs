//! What a question about the killfeed says: parameters as `name=value`, some of them more than once.

use std::collections::BTreeSet;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::super::error::ApiError;
use crate::killmail::SystemId;
use crate::store::{Begin, ClientId, Commit};

pub(super) const SYSTEMS_MAX: usize = 1000;

pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) fn pairs(query: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    query.map(|Query(pairs)| pairs).map_err(|_| ApiError::bad_request("the query cannot be read"))
}

/// A client that names itself.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) commit: Commit,
    pub(super) begin: Begin,
}

/// `client_id`, with `commit` and `from`; without it there is none.
pub(super) fn client(pairs: &[(String, String)], commit: Commit) -> Result<Option<Client>, ApiError> {
    let commit = match single(pairs, "commit")? {
        None => commit,
        Some("auto") => Commit::Auto,
        Some("explicit") => Commit::Explicit,
        Some(_) => return Err(ApiError::bad_request("commit is auto or explicit")),
    };
    let begin = match single(pairs, "from")? {
        None | Some("now") => Begin::Now,
        Some("earliest") => Begin::Earliest,
        Some(text) => Begin::After(event_id(text, "from")?),
    };
    let Some(id) = single(pairs, "client_id")? else { return Ok(None) };
    let id = ClientId::parse(id).ok_or_else(|| {
        ApiError::bad_request(format!("client_id is 1 to {} characters of A-Z a-z 0-9 . _ : -", ClientId::LENGTH_MAX))
    })?;
    Ok(Some(Client { id, commit, begin }))
}

/// A parameter that is given once, if at all.
pub(super) fn single<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(ApiError::bad_request(format!("{name} is given more than once"))),
    }
}

fn event_id(text: &str, name: &str) -> Result<i64, ApiError> {
    match text.parse() {
        Ok(id @ 0..) => Ok(id),
        _ => Err(ApiError::bad_request(format!("{name} is not the id of an event: a number from 0"))),
    }
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
