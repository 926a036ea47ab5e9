//! What ESI tells of the made-up things, one by one: types, groups, systems, constellations.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::things;
use crate::killmail::{ConstellationId, GroupId, SystemId, TypeId};
use crate::statics::{Statics, attribute};

static THINGS: LazyLock<Statics> = LazyLock::new(things::statics);

/// How long an answer holds.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// What there is by an id.
type Tell = fn(i64) -> Option<Value>;

pub(super) fn router() -> Router {
    let routes: [(&str, Tell); 4] =
        [("types", item_type), ("groups", group), ("systems", system), ("constellations", constellation)];
    routes.into_iter().fold(Router::new(), |router, (what, tell)| {
        let answer = get(move |Path(id): Path<i64>| async move { answer(tell(id)) });
        router
            .route(&format!("/esi/universe/{what}/{{id}}"), answer.clone())
            .route(&format!("/esi/universe/{what}/{{id}}/"), answer)
    })
}

fn answer(told: Option<Value>) -> Response {
    let Some(told) = told else {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "not found"}))).into_response();
    };
    match DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + HOLDS)) {
        Ok(expires) => ([(header::EXPIRES, expires)], Json(told)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn item_type(id: i64) -> Option<Value> {
    let made = THINGS.types.get(&TypeId::new(id)?)?;
    let attributes = [
        (attribute::TECH_LEVEL, made.tech_level),
        (attribute::META_LEVEL, made.meta_level),
        (attribute::RIG_SIZE, made.rig_size),
        (attribute::META_GROUP, made.meta_group_id.map(|id| id.get())),
        (attribute::HEAT_DAMAGE, made.has_heat_damage.filter(|has| *has).map(i64::from)),
    ];
    let attribute = |(id, value): (i64, Option<i64>)| Some(json!({"attribute_id": id, "value": value? as f64}));
    let mut body = json!({
        "type_id": id,
        "name": &*made.name,
        "description": "",
        "group_id": made.group_id,
        "published": made.is_published,
        "mass": made.mass,
        "volume": made.volume,
        "dogma_attributes": attributes.into_iter().filter_map(attribute).collect::<Vec<_>>(),
        "dogma_effects": made.effects.iter().map(|id| json!({"effect_id": id, "is_default": false})).collect::<Vec<_>>(),
    });
    if made.is_on_market {
        body["market_group_id"] = 1.into();
    }
    Some(body)
}

fn group(id: i64) -> Option<Value> {
    let group = THINGS.groups.get(&GroupId::new(id)?)?;
    Some(
        json!({"group_id": id, "name": &*group.name, "category_id": group.category_id, "published": true, "types": []}),
    )
}

fn system(id: i64) -> Option<Value> {
    let system = THINGS.systems.get(&SystemId::new(id)?)?;
    Some(json!({
        "system_id": id,
        "name": &*system.name,
        "constellation_id": system.constellation_id,
        "security_status": system.security_status,
        "position": {"x": 0.0, "y": 0.0, "z": 0.0},
    }))
}

fn constellation(id: i64) -> Option<Value> {
    let constellation = THINGS.constellations.get(&ConstellationId::new(id)?)?;
    Some(json!({
        "constellation_id": id,
        "name": &*constellation.name,
        "region_id": constellation.region_id,
        "position": {"x": 0.0, "y": 0.0, "z": 0.0},
        "systems": [],
    }))
}
