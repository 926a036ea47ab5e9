//! What a question about the killfeed says: parameters as `name=value`, some of them more than once.

use std::collections::BTreeSet;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;

use super::super::error::ApiError;
use super::reader::Start;
use super::topic::Topic;
use crate::killmail::{ProfileId, RegionId, SystemId};
use crate::store::{Begin, ClientId, Commit};

/// Systems, regions or profiles that one question may name.
pub(in crate::http) const TOPICS_MAX: usize = 1000;

pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) fn pairs(query: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    query.map(|Query(pairs)| pairs).map_err(|_| ApiError::bad_request("the query cannot be read"))
}

/// Refuses parameters that are none: a misspelt one would be passed over, and the answer be another than was asked for.
pub(super) fn only(pairs: &[(String, String)], names: &[&str]) -> Result<(), ApiError> {
    let is_known = |name: &str| names.contains(&name.strip_suffix("[]").unwrap_or(name));
    let Some((name, _)) = pairs.iter().find(|(name, _)| !is_known(name)) else { return Ok(()) };
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(ApiError::bad_request(format!("{name} is no parameter of this: {}", names.join(", "))))
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

/// Where a stream starts. The header first: a browser that reconnects sends it, and repeats the query it once started with.
pub(super) fn start(pairs: &[(String, String)], headers: &HeaderMap) -> Result<Start, ApiError> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let query = pairs.iter().find(|(name, _)| name == "last_event_id").map(|(_, value)| value.as_str());
    match header.filter(|text| !text.is_empty()).or(query).filter(|text| !text.is_empty()) {
        None => Ok(Start::Now),
        Some(text) => Ok(Start::After(event_id(text, "last_event_id")?)),
    }
}

/// Everything that `systems`, `regions` and `profiles` name; `all` when they are not there.
pub(super) fn topics(pairs: &[(String, String)]) -> Result<Vec<Topic>, ApiError> {
    let systems = ids(pairs, "systems", SystemId::new)?.map(|ids| ids.into_iter().map(Topic::System).collect());
    let regions = ids(pairs, "regions", RegionId::new)?.map(|ids| ids.into_iter().map(Topic::Region).collect());
    let profiles = ids(pairs, "profiles", ProfileId::new)?.map(|ids| ids.into_iter().map(Topic::Profile).collect());
    let named: Vec<Vec<Topic>> = [systems, regions, profiles].into_iter().flatten().collect();
    Ok(if named.is_empty() { vec![Topic::All] } else { named.concat() })
}

/// `systems=1,2`, `systems[]=1&systems[]=2`, or both. None given: all.
pub(super) fn systems(pairs: &[(String, String)]) -> Result<Vec<SystemId>, ApiError> {
    Ok(ids(pairs, "systems", SystemId::new)?.unwrap_or_default())
}

/// The same of any ids: at least one, each once, ascending. `None`: they are not there.
fn ids<T: Ord>(
    pairs: &[(String, String)],
    name: &str,
    id: impl Fn(i64) -> Option<T>,
) -> Result<Option<Vec<T>>, ApiError> {
    let (mut is_given, mut found) = (false, BTreeSet::new());
    let is_named = |given: &str| given.strip_suffix("[]").unwrap_or(given) == name;
    for (_, value) in pairs.iter().filter(|(given, _)| is_named(given)) {
        is_given = true;
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let id = part.parse().ok().and_then(&id);
            found.insert(id.ok_or_else(|| ApiError::bad_request(format!("{name} are numbers above 0")))?);
            if found.len() > TOPICS_MAX {
                return Err(ApiError::bad_request(format!("at most {TOPICS_MAX} {name}")));
            }
        }
    }
    if is_given && found.is_empty() {
        return Err(ApiError::bad_request(format!("{name} names none: leave it out for all of them")));
    }
    Ok(is_given.then(|| found.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

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

    #[test]
    fn the_header_says_where_to_start_before_the_query_does() {
        let mut headers = HeaderMap::new();
        assert_eq!(start(&[], &headers).expect("now"), Start::Now);
        let asked = query(&[("last_event_id", "7")]);
        assert_eq!(start(&asked, &headers).expect("a number"), Start::After(7));
        headers.insert("last-event-id", HeaderValue::from_static("9"));
        assert_eq!(start(&asked, &headers).expect("a number"), Start::After(9));
        for bad in ["-1", "x", "1e3", "99999999999999999999"] {
            assert!(start(&query(&[("last_event_id", bad)]), &HeaderMap::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn topics_are_the_union_of_what_is_named() {
        let named = |pairs: &[(&str, &str)]| {
            topics(&query(pairs)).map(|all| all.iter().map(Topic::to_string).collect::<Vec<_>>())
        };
        assert_eq!(named(&[]).expect("all"), ["all"]);
        let some = named(&[("regions", "8,7"), ("systems[]", "1"), ("profiles[]", "3")]).expect("numbers");
        assert_eq!(some, ["system:1", "region:7", "region:8", "profile:3"]);
        for bad in ["regions", "profiles[]"] {
            assert!(named(&[(bad, "")]).is_err() && named(&[(bad, "x")]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_names_itself_and_says_how_it_reads() {
        let asked = |pairs: &[(&str, &str)]| client(&query(pairs), Commit::Explicit);
        assert!(asked(&[]).expect("nobody").is_none());
        let one = asked(&[("client_id", "map:1")]).expect("a name").expect("somebody");
        assert_eq!((one.id.as_str(), one.commit, one.begin), ("map:1", Commit::Explicit, Begin::Now));
        let other = asked(&[("client_id", "x"), ("commit", "auto"), ("from", "7")]).expect("fine").expect("somebody");
        assert_eq!((other.commit, other.begin), (Commit::Auto, Begin::After(7)));
        for (name, bad) in
            [("client_id", ""), ("client_id", "a b"), ("commit", "never"), ("from", "-1"), ("from", "then")]
        {
            assert!(
                asked(&[("client_id", "x"), (name, bad)]).is_err() && asked(&[(name, bad)]).is_err(),
                "{name}={bad}"
            );
        }
        assert!(asked(&[("client_id", "x"), ("client_id", "y")]).is_err());
    }
}
