//! Every route, with what it does: the router and its description are made of this.

use axum::Router;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::openapi::{Operation, Routes};
use super::{
    State, dashboard, dead_letters, explain, health, history, killfeed, market, metrics, names, pipelines, prices,
    profiles, reload, replays,
};
use crate::dead_letter::{Group, Snapshot, Whole};
use crate::price::job::Status as PriceJob;
use crate::profile::document::Written;
use crate::profile::schema;
use crate::regions::Standing;

/// All of them.
pub(super) fn routes() -> Router<State> {
    let routes = worker(Routes::new());
    let routes = prices_routes(market_routes(routes));
    killfeed_routes(replay_routes(letters_routes(profiles_routes(routes)))).finish()
}

fn id() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 1})
}

fn whole(least: i64) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": least})
}

/// A list of ids that may be empty.
fn some() -> Value {
    json!({"type": "array", "items": id(), "maxItems": names::IDS_MAX})
}

fn limit(most: u32, default: u32) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": most, "default": default})
}

fn worker(routes: Routes) -> Routes {
    let asset = json!({"enum": dashboard::names()});
    let known = json!({"type": "string"});
    let kept = |operation: Operation| {
        let operation = operation.header("If-None-Match", "What is kept", known.clone(), "\"0\"");
        operation.empty(304, "What is kept is what is there").says(200, "ETag", "Of what is there", known.clone())
    };
    routes
        .get("/", dashboard::page, kept(Operation::new("The page").text("The page", "text/html; charset=utf-8")))
        .get(
            "/assets/{name}",
            dashboard::asset,
            kept(
                Operation::new("Scripts and style of the page")
                    .path("name", "The file", asset, "page.css")
                    .text("The file", "text/*"),
            ),
        )
        .get(
            "/metrics",
            metrics::render,
            Operation::new("Metrics, as Prometheus reads them")
                .text("Counters, gauges and summaries", "text/plain; version=0.0.4; charset=utf-8"),
        )
        .get(
            "/api/explain",
            explain::explain,
            Operation::new("What limits each pipeline, in one sentence with its figures")
                .query("seconds", "So far back", json!({"type": "integer", "minimum": 2, "maximum": explain::SECONDS_MAX, "default": explain::SECONDS}), 10)
                .json::<explain::Explained>(200, "By pipeline"),
        )
        .post(
            "/api/reload",
            reload::reload,
            Operation::new("Reads the pipeline files again, and follows what has changed")
                .json::<reload::Reload>(200, "What it came to")
                .json::<reload::Reload>(202, "It is under way: `/api/pipelines` will say what it came to")
                .refuses(&[409]),
        )
        .get("/livez", health::live, Operation::new("Whether it lives").json::<health::Live>(200, "It does"))
        .get(
            "/readyz",
            health::ready,
            Operation::new("Whether it is ready, and what speaks against it")
                .json::<health::Verdict>(200, "It is ready")
                .json::<health::Verdict>(503, "It is not ready"),
        )
        .get(
            "/api/pipelines",
            pipelines::list,
            Operation::new("The running pipelines: shape, figures, ledger")
                .json::<pipelines::Listed>(200, "All pipelines of this process"),
        )
        .get(
            "/api/names",
            names::list,
            Operation::new("What types and systems are called, by the static data")
                .query("types", "Item types", some(), vec![587, 670])
                .query("systems", "Solar systems", some(), vec![30_000_142])
                .json::<names::Names>(200, "Those that are known"),
        )
        .get(
            "/api/pipelines/history",
            history::list,
            Operation::new("The last hour of every pipeline: throughput, queues, in flight, latencies")
                .details("One point each ten seconds, the oldest first; every list has one entry for each of `at`. A pipeline that is gone is shown for an hour.")
                .query("since", "Only points after this time, in seconds since 1970", whole(0), 1_790_000_000)
                .json::<history::Listed>(200, "By pipeline"),
        )
}

fn market_routes(routes: Routes) -> Routes {
    let region = |operation: Operation| operation.path("region", "A region's id", id(), 10_000_002);
    routes
        .get(
            "/api/market",
            market::list,
            Operation::new("The regions whose orders are polled").json::<market::Regions>(200, "Where each stands"),
        )
        .get(
            "/api/market/{region}",
            market::one,
            region(Operation::new("One region").json::<Standing>(200, "Where it stands")),
        )
        .post(
            "/api/market/regions",
            market::add,
            Operation::new("Has one more region polled, until the worker is started again")
                .body::<market::Wanted>(json!({"region": 10_000_002}))
                .json::<market::Changed>(201, "It is polled from now on")
                .refuses(&[409]),
        )
        .delete(
            "/api/market/regions/{region}",
            market::remove,
            region(Operation::new("Has a region polled no more, until the worker is started again"))
                .json::<market::Changed>(200, "It is polled no more")
                .refuses(&[409]),
        )
}

fn prices_routes(routes: Routes) -> Routes {
    let stands = |summary| Operation::new(summary).json::<PriceJob>(200, "How the job stands then");
    let told = |summary| stands(summary).refuses(&[409]);
    routes
        .get("/api/cache/prices/status", prices::status, stands("How the price cache job stands"))
        .post("/api/cache/prices/start", prices::start, told("Starts the price cache job"))
        .post("/api/cache/prices/stop", prices::stop, told("Stops it; what it has is kept"))
        .post("/api/cache/prices/pause", prices::pause, told("Has it wait"))
        .post("/api/cache/prices/resume", prices::resume, told("Has it go on"))
        .post("/api/cache/prices/reset", prices::reset, told("Has it begin anew"))
}

fn letters_routes(routes: Routes) -> Routes {
    let text = || json!({"type": "string", "pattern": "^[^\\x00]*$"});
    let what = |operation: Operation| {
        let operation = operation.query("pipeline", "Only of this pipeline", text(), "kills");
        let operation = operation.query("stage", "Only what failed in this stage or sink", text(), "decode");
        let classes = json!({"enum": ["invalid", "permanent", "transient", "panic"]});
        operation.query("class", "Only of this class", classes, "invalid")
    };
    let most = || limit(dead_letters::LIMIT_MAX, dead_letters::LIMIT);
    let group = || json!({"type": "string", "pattern": "^[0-9a-f]{16}$"});
    let states = |of: &[&str]| json!({"type": "array", "items": {"enum": of}});
    let time = "a time, a date, or how long ago";
    let letters = Operation::new("Dead letters, by id, in pages; open ones unless asked otherwise")
        .query(
            "state",
            "Only in one of these states",
            states(&["open", "retrying", "replayed", "discarded", "all"]),
            "open",
        )
        .query("group", "Only of these groups", json!({"type": "array", "items": group()}), "0123456789abcdef")
        .query("killmail_id", "Only of this kill", id(), 97_030_352)
        .query("since", &format!("Only what failed last at this time or later: {time}"), text(), "2h")
        .query("until", &format!("Only what failed last before: {time}"), text(), "2026-01-31")
        .query("after", "Only those with a greater id", json!({"type": "integer", "format": "int64"}), 0)
        .query("limit", "So many at most", most(), 100);
    let groups = Operation::new("Dead letters that failed alike, those first in which a letter failed last")
        .query(
            "state",
            "Only in one of these states",
            states(&["open", "acknowledged", "fixed", "regressed", "all"]),
            "open",
        )
        .query(
            "settled",
            "Also groups without an open letter; as it is, when `fixed` is asked for",
            json!({"type": "boolean"}),
            true,
        )
        .query("limit", "So many at most", most(), 100);
    let routes = routes
        .get("/api/dead-letters", dead_letters::list, what(letters).json::<dead_letters::Listed>(200, "Some of them"))
        .get(
            "/api/dead-letters/groups",
            dead_letters::groups,
            what(groups).json::<dead_letters::Groups>(200, "Some of them"),
        )
        .get(
            "/api/dead-letters/stats",
            dead_letters::stats,
            Operation::new("How many there are, and of which database").json::<dead_letters::Stats>(200, "By state"),
        );
    routes
        .get(
            "/api/dead-letters/{id}",
            dead_letters::one,
            Operation::new("One dead letter, with payload and history")
                .path("id", "A letter's id", id(), 1)
                .json::<Whole>(200, "All of it"),
        )
        .post(
            "/api/dead-letters/groups/{fingerprint}",
            dead_letters::mark,
            Operation::new("Says of a group that it is acknowledged, or fixed, or takes that back")
                .path("fingerprint", "A group's fingerprint", group(), "0123456789abcdef")
                .body::<dead_letters::Mark>(json!({"state": "fixed", "version": "0.2.0"}))
                .json::<Group>(200, "As it is then"),
        )
        .post(
            "/api/dead-letters/discard",
            dead_letters::discard,
            Operation::new("Gives open letters up; they are kept, with the reason")
                .details("Says which: at least one condition, or all; all that is said must hold.")
                .body::<dead_letters::Discard>(json!({"ids": [17], "reason": "not a killmail"}))
                .json::<dead_letters::Discarded>(200, "How many were open"),
        )
}

fn replay_routes(routes: Routes) -> Routes {
    let one = |operation: Operation| operation.path("id", "A replay's id", id(), 1);
    routes
        .post(
            "/api/dead-letters/replay",
            replays::order,
            Operation::new("Has dead letters sent through their pipelines again, from where they failed")
                .details("Says which letters, and how; at least one condition, or all. Answers at once: how far it is, the second route tells. One replay at a time.")
                .body::<replays::Ordered>(json!({"stage": "db_insert", "dry_run": true}))
                .json::<Snapshot>(202, "It is ordered")
                .refuses(&[409, 422]),
        )
        .get(
            "/api/dead-letters/replays/{id}",
            replays::one,
            one(Operation::new("How far a replay is, and what became of each letter"))
                .query("after", "Only reports from this number on: what `next` was", whole(0), 0)
                .json::<replays::Shown>(200, "Some of the reports, in their order"),
        )
        .delete(
            "/api/dead-letters/replays/{id}",
            replays::stop,
            one(Operation::new("Has a replay hand out no further letter; those under way are finished"))
                .json::<Snapshot>(200, "How far it is"),
        )
}

fn profiles_routes(routes: Routes) -> Routes {
    let one = |operation: Operation| operation.path("id", "A profile's id", id(), 1);
    let example = || json!({"name": "Jita", "filter": {"field": "system_id", "operator": "eq", "value": 30_000_142}});
    let stored = "It is stored; warnings say what is odd about it";
    routes
        .get(
            "/api/profiles",
            profiles::list,
            Operation::new("Surveillance profiles, by id, in pages")
                .query("after", "Only those with a greater id", json!({"type": "integer", "format": "int64"}), 0)
                .query("limit", "So many at most", limit(profiles::LIMIT_MAX, profiles::LIMIT), 100)
                .query(
                    "owner",
                    "Only those of this owner",
                    json!({"type": "string", "pattern": "^[^\\x00]*$"}),
                    "someone",
                )
                .json::<profiles::Listed>(200, "Some of them; addresses of targets are masked"),
        )
        .post(
            "/api/profiles",
            profiles::add,
            Operation::new("Stores a new profile")
                .body_of(document, example())
                .json::<profiles::Stored>(201, stored)
                .says(201, "Location", "The profile's own path", json!({"type": "string"}))
                .refuses(&[422]),
        )
        .get(
            "/api/profiles/schema",
            profiles::schema,
            Operation::new("The JSON Schema of a profile").json::<Map<String, Value>>(200, "Draft 2020-12"),
        )
        .get(
            "/api/profiles/{id}",
            profiles::one,
            one(Operation::new("One profile").json::<Written>(200, "As it is stored; addresses of targets are masked")),
        )
        .put(
            "/api/profiles/{id}",
            profiles::replace,
            one(Operation::new("Puts another in a profile's place"))
                .body_of(document, example())
                .json::<profiles::Stored>(200, stored)
                .refuses(&[422]),
        )
        .delete(
            "/api/profiles/{id}",
            profiles::remove,
            one(Operation::new("Removes a profile").json::<profiles::Removed>(200, "It is removed")),
        )
}

/// The schema of a profile, with its definitions among the others.
fn document(generator: &mut SchemaGenerator) -> Schema {
    let text = schema::schema().to_string().replace("#/$defs/", "#/components/schemas/profile.");
    let mut schema: Map<String, Value> = serde_json::from_str(&text).expect("it was an object");
    schema.remove("$schema");
    if let Some(Value::Object(definitions)) = schema.remove("$defs") {
        let named = definitions.into_iter().map(|(name, definition)| (format!("profile.{name}"), definition));
        generator.definitions_mut().extend(named);
    }
    schema.into()
}

const NEW: &str =
    "Where a client begins in a system that it has no offset for: now, at the earliest event, or after an event";
const SYSTEMS: &str = "Solar systems. Also `systems[]=1&systems[]=2`";
const POLL: &str = "A client's first request for a system makes its offset. With `commit=auto` the offsets are moved before the answer \
    leaves: no event is handed out twice. With `explicit` they stay until they are committed. See docs/killfeed.md.";

fn client_id() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,100}$"})
}

/// `now`, `earliest` or an id.
fn from() -> Value {
    json!({"anyOf": [{"enum": ["now", "earliest"]}, whole(0)], "default": "now"})
}

fn ids() -> Value {
    json!({"type": "array", "items": id(), "minItems": 1, "maxItems": killfeed::TOPICS_MAX})
}

fn commit(default: &str) -> Value {
    json!({"enum": ["auto", "explicit"], "default": default})
}

fn client(operation: Operation, default: &str) -> Operation {
    operation
        .query("client_id", "The client's name", client_id(), "map-1")
        .query("commit", "Who moves its offsets", commit(default), "explicit")
        .query("from", NEW, from(), "earliest")
}

fn poll(summary: &'static str) -> Operation {
    let operation = Operation::new(summary).details(POLL).query("client_id", "The client's name", client_id(), "map-1");
    let operation = operation.required().query("systems", SYSTEMS, ids(), vec![30_000_142, 30_002_187]).required();
    operation
        .query("commit", "Who moves the offsets", commit("auto"), "explicit")
        .query("from", NEW, from(), "earliest")
        .guarded()
        .refuses(&[429])
}

fn killfeed_routes(routes: Routes) -> Routes {
    let number = |least| move |operation: Operation, name, about| operation.query(name, about, whole(least), 7);
    let most = limit(killfeed::POLL_MAX, killfeed::POLL_DEFAULT);
    let one = |operation: Operation| operation.path("id", "The client's name", client_id(), "map-1").guarded();
    let routes = routes
        .get(
            "/api/kills/recent",
            killfeed::recent,
            Operation::new("The newest events, oldest first")
                .query("limit", "So many at most", limit(killfeed::RECENT_MAX, 100), 100)
                .json::<killfeed::Recent>(200, "Events"),
        )
        .get_alone(
            "/api/killfeed",
            killfeed::poll,
            poll("All that is new to a client in its systems, up to a limit")
                .query("limit", "So many at most", most, 100)
                .json::<killfeed::Polled>(200, "Events, their ids ascending"),
        )
        .get_alone(
            "/api/killfeed/next",
            killfeed::next,
            poll("The oldest event that is new to a client in its systems")
                .json::<killfeed::Event>(200, "The event")
                .empty(204, "There is none")
                .says(200, "X-Killfeed-Gap", "Events before this one were collected unread", whole(0)),
        )
        .post(
            "/api/killfeed/commit",
            killfeed::commit,
            Operation::new("Moves a client's offsets forward")
                .body::<killfeed::Done>(json!({"client_id": "map-1", "offsets": {"30000142": 7}}))
                .json::<killfeed::Offsets>(200, "Where they are")
                .refuses(&[429]),
        )
        .get(
            "/api/killfeed/clients",
            killfeed::clients,
            Operation::new("Who reads the killfeed, and how far behind; by name, in pages")
                .query("after", "Only those with a greater name", client_id(), "map-1")
                .query("limit", "So many at most", limit(killfeed::CLIENTS_MAX, 100), 100)
                .json::<killfeed::Clients>(200, "Some of them")
                .guarded(),
        )
        .get(
            "/api/killfeed/clients/{id}",
            killfeed::client,
            one(Operation::new("A client's offsets").json::<killfeed::Offsets>(200, "By system")),
        )
        .delete(
            "/api/killfeed/clients/{id}",
            killfeed::forget,
            one(Operation::new("Forgets a client").json::<killfeed::Forgotten>(200, "It is forgotten")),
        );
    live(routes, number(0))
}

fn live(routes: Routes, number: impl Fn(Operation, &'static str, &'static str) -> Operation) -> Routes {
    let stream = Operation::new("Events as they come, for ever")
        .details(
            "Server-sent events: `killmail` with an `id` and an event as its data, `gap` with `{\"oldest\":ID}` when events were collected \
             before they could be sent; a comment every 15 s. Systems, regions and profiles are united; none: all. See docs/killfeed.md.",
        )
        .query("systems", SYSTEMS, ids(), vec![30_000_142])
        .query("regions", "Regions", ids(), vec![10_000_002])
        .query("profiles", "Surveillance profiles that match", ids(), vec![1])
        .header("Last-Event-ID", "Starts after this event; before `last_event_id`", whole(0), 7)
        .text("Events", "text/event-stream")
        .refuses(&[401, 403, 429]);
    let stream = client(number(stream, "last_event_id", "Starts after this event"), "explicit");
    let socket = Operation::new("Events of topics that come and go, over a WebSocket")
        .details(
            "The client sends `{\"subscribe\":[TOPIC…]}` (with `\"last_event_id\":ID` to start after an event) and `{\"unsubscribe\":[TOPIC…]}`; \
             a topic is `all`, `system:ID`, `region:ID` or `profile:ID`. It gets `{\"event\":\"killmail\",\"topic\",\"event_id\",\"system_id\",\
             \"killmail\"}`, `subscribed`, `gap` and `error`. See docs/killfeed.md.",
        )
        .empty(101, "A socket from now on")
        .refuses(&[401, 403, 429]);
    routes.get("/api/killfeed/stream", killfeed::stream, stream).get(
        "/api/killfeed/ws",
        killfeed::ws,
        client(socket, "explicit"),
    )
}
