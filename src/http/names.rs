//! `GET /api/names`: what types and systems are called, for a page that has only their ids. From the static data in memory; without any, nothing has a name.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Extract};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::error::ApiError;
use crate::killmail::{SystemId, TypeId};

/// Ids of each kind that one question may have.
pub(super) const IDS_MAX: usize = 500;

/// Whose names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    types: String,
    #[serde(default)]
    systems: String,
}

/// By id. What is not known is left out.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Names {
    types: BTreeMap<String, String>,
    systems: BTreeMap<String, Place>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Place {
    name: String,
    region: Option<String>,
    security_status: f64,
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Names>, ApiError> {
    let Query(wanted) = wanted.map_err(|_| ApiError::bad_request("types and systems may be asked for, each once"))?;
    let (types, systems) = (ids(&wanted.types, TypeId::new)?, ids(&wanted.systems, SystemId::new)?);
    let statics = state.statics.current();
    let place = |id: SystemId| {
        let system = statics.systems.get(&id)?;
        let region = statics.regions.get(&system.region_id).map(|region| region.name.to_string());
        Some((id.to_string(), Place { name: system.name.to_string(), region, security_status: system.security_status }))
    };
    let types = types.into_iter().filter_map(|id| Some((id.to_string(), statics.types.get(&id)?.name.to_string())));
    Ok(Json(Names { types: types.collect(), systems: systems.into_iter().filter_map(place).collect() }))
}

/// As `1,2,3`.
fn ids<I>(list: &str, id: impl Fn(i64) -> Option<I>) -> Result<Vec<I>, ApiError> {
    let parts: Vec<&str> = list.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.len() > IDS_MAX {
        return Err(ApiError::bad_request(format!("at most {IDS_MAX} types and {IDS_MAX} systems may be asked for")));
    }
    let ids: Option<Vec<I>> = parts.into_iter().map(|part| part.parse().ok().and_then(&id)).collect();
    ids.ok_or_else(|| ApiError::bad_request("ids are whole numbers above 0, with commas between them"))
}
