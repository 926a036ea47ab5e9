//! The description of the HTTP API, OpenAPI 3.1: it is written down with the routes, so that none can be added without.
//!
//! What is answered is described by the types that are answered; `routes` says the rest.

use axum::Router;
use axum::handler::Handler;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodFilter, get, on};
use bytes::Bytes;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::State;
use super::error::{self, Refusal};

/// Where the description is.
pub(super) const PLACE: &str = "/api/openapi.json";

type Make = fn(&mut SchemaGenerator) -> Schema;

/// What an answer has in it.
#[derive(Debug)]
enum Content {
    Nothing,
    Json(Make),
    Text(&'static str),
}

/// What a request does, wants and may get.
#[derive(Debug)]
pub(super) struct Operation {
    summary: &'static str,
    details: Option<&'static str>,
    is_guarded: bool,
    parameters: Vec<Value>,
    body: Option<(Make, Value)>,
    answers: Vec<(u16, &'static str, Content)>,
    headers: Vec<(u16, &'static str, Value)>,
    refusals: Vec<u16>,
}

impl Operation {
    /// Any may be refused while the worker starts, or when it takes too long.
    pub(super) fn new(summary: &'static str) -> Self {
        let (parameters, answers, headers, refusals) = Default::default();
        let mut refusals: Vec<u16> = refusals;
        refusals.push(503);
        Self { summary, details: None, is_guarded: false, parameters, body: None, answers, headers, refusals }
    }

    pub(super) fn details(mut self, details: &'static str) -> Self {
        self.details = Some(details);
        self
    }

    /// Only for those who may change something.
    pub(super) fn guarded(mut self) -> Self {
        self.is_guarded = true;
        self.refuses(&[400, 401, 403])
    }

    pub(super) fn path(mut self, name: &str, about: &str, schema: Value, example: impl Into<Value>) -> Self {
        let example: Value = example.into();
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": about, "schema": schema, "example": example,
        }));
        self.refuses(&[404])
    }

    /// A parameter that may be left out. One of a list is given as `name=1,2`.
    pub(super) fn query(mut self, name: &str, about: &str, schema: Value, example: impl Into<Value>) -> Self {
        let example: Value = example.into();
        let mut parameter =
            json!({"name": name, "in": "query", "description": about, "schema": schema, "example": example});
        if schema["type"] == "array" {
            parameter["explode"] = false.into();
        }
        self.parameters.push(parameter);
        self.refuses(&[400])
    }

    /// The parameter named last may not be left out.
    pub(super) fn required(mut self) -> Self {
        if let Some(parameter) = self.parameters.last_mut() {
            parameter["required"] = true.into();
        }
        self
    }

    pub(super) fn header(mut self, name: &str, about: &str, schema: Value, example: impl Into<Value>) -> Self {
        let example: Value = example.into();
        self.parameters
            .push(json!({"name": name, "in": "header", "description": about, "schema": schema, "example": example}));
        self
    }

    pub(super) fn body<T: JsonSchema>(self, example: Value) -> Self {
        self.body_of(SchemaGenerator::subschema_for::<T>, example)
    }

    pub(super) fn body_of(mut self, schema: Make, example: Value) -> Self {
        self.body = Some((schema, example));
        self.refuses(&[400, 413, 415])
    }

    pub(super) fn json<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.json_of(status, about, SchemaGenerator::subschema_for::<T>)
    }

    pub(super) fn json_of(mut self, status: u16, about: &'static str, schema: Make) -> Self {
        self.answers.push((status, about, Content::Json(schema)));
        self
    }

    pub(super) fn text(mut self, about: &'static str, content_type: &'static str) -> Self {
        self.answers.push((200, about, Content::Text(content_type)));
        self
    }

    pub(super) fn empty(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push((status, about, Content::Nothing));
        self
    }

    /// A header of the answers with this status.
    pub(super) fn says(mut self, status: u16, name: &'static str, about: &str, schema: Value) -> Self {
        self.headers.push((status, name, json!({"description": about, "schema": schema})));
        self
    }

    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    fn document(self, id: &str, tag: &str, generator: &mut SchemaGenerator) -> Value {
        let mut answers = Map::new();
        for status in self.refusals {
            // Where an answer has another form with this status, both may come.
            answers.insert(status.to_string(), refusal(status, generator));
        }
        for (status, about, content) in self.answers {
            let content = match content {
                Content::Nothing => json!({}),
                Content::Json(schema) => json!({"application/json": {"schema": schema(generator)}}),
                Content::Text(content_type) => json!({content_type: {"schema": {"type": "string"}}}),
            };
            let answer = answers.entry(status.to_string()).or_insert_with(|| json!({}));
            match (&answer["content"]["application/json"]["schema"], &content["application/json"]["schema"]) {
                (Value::Null, Value::Null) if content == json!({}) => *answer = json!({}),
                (Value::Null, _) => *answer = json!({"content": content}),
                (one, other) => {
                    answer["content"] = json!({"application/json": {"schema": {"anyOf": [one, other]}}});
                }
            }
            answer["description"] = about.into();
        }
        for (status, name, header) in self.headers {
            answers[&status.to_string()]["headers"][name] = header;
        }
        let mut document = json!({"operationId": id, "tags": [tag], "summary": self.summary, "parameters": self.parameters, "responses": answers});
        if let Some(details) = self.details {
            document["description"] = details.into();
        }
        if self.is_guarded {
            document["security"] = json!([{"token": []}, {}]);
        }
        if let Some((schema, example)) = self.body {
            let content = json!({"schema": schema(generator), "example": example});
            document["requestBody"] = json!({"required": true, "content": {"application/json": content}});
        }
        document
    }
}

fn refusal(status: u16, generator: &mut SchemaGenerator) -> Value {
    let about = match status {
        400 => "It cannot be read, or is out of bounds: the message names what",
        401 => "The worker's API token is needed",
        403 => "A page of another site asks, or a worker that can only be read is asked to change something",
        404 => "It is not there",
        409 => "As things stand, it cannot be done",
        413 => "The body is too large",
        415 => "The body is not application/json",
        422 => "It is JSON, and says what cannot be: the message names the place",
        429 => "This address asks too often, or has too many live streams",
        _ => "Not now: the worker starts, or the store does not answer",
    };
    let content = json!({"application/json": {"schema": generator.subschema_for::<Refusal>()}});
    let header = |about: &str, kind: &str| json!({"description": about, "schema": {"type": kind}});
    let mut answer = json!({"description": about, "content": content});
    match status {
        401 => answer["headers"] = json!({"WWW-Authenticate": header("`Bearer`", "string")}),
        429 | 503 => answer["headers"] = json!({"Retry-After": header("Seconds to wait", "integer")}),
        _ => {}
    }
    answer
}

/// Routes, each with what it does.
#[derive(Debug)]
pub(super) struct Routes {
    router: Router<State>,
    paths: Map<String, Value>,
    generator: SchemaGenerator,
}

impl Routes {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { router: Router::new(), paths: Map::new(), generator: settings.into_generator() }
    }

    pub(super) fn get<H: Handler<T, State>, T: 'static>(self, path: &str, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::GET, "get", path, handler, operation)
    }

    /// A GET without its HEAD, which would do what it does and not show what has come of it.
    pub(super) fn get_alone<H: Handler<T, State>, T: 'static>(
        mut self,
        path: &str,
        handler: H,
        operation: Operation,
    ) -> Self {
        self.router = self.router.route(path, on(MethodFilter::HEAD, error::no_method));
        self.get(path, handler, operation)
    }

    pub(super) fn post<H: Handler<T, State>, T: 'static>(self, path: &str, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::POST, "post", path, handler, operation.guarded())
    }

    pub(super) fn put<H: Handler<T, State>, T: 'static>(self, path: &str, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::PUT, "put", path, handler, operation.guarded())
    }

    pub(super) fn delete<H: Handler<T, State>, T: 'static>(self, path: &str, handler: H, operation: Operation) -> Self {
        self.on(MethodFilter::DELETE, "delete", path, handler, operation.guarded())
    }

    fn on<H, T>(mut self, filter: MethodFilter, method: &str, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.describe(method, path, operation);
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    fn describe(&mut self, method: &str, path: &str, operation: Operation) {
        let words: Vec<&str> = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty()).collect();
        let id = format!("{method}_{}", if words.is_empty() { "page".to_owned() } else { words.join("_") });
        let tag = words.get(1).filter(|_| words[0] == "api").copied().unwrap_or("worker");
        let operation = operation.document(&id, tag, &mut self.generator);
        self.paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    }

    /// The routes, with one more: what describes them all.
    pub(super) fn finish(mut self) -> Router<State> {
        let about = "OpenAPI 3.1; see https://spec.openapis.org";
        let this = Operation::new("This document").json::<Map<String, Value>>(200, about);
        self.describe("get", PLACE, this);
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Broadside",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Killmails and markets of EVE Online, as a worker has them. Paths that are not here are answered with 404, \
                    other methods with 405, in the form of every refusal.",
                "license": {"name": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": self.paths,
            "components": {
                "schemas": self.generator.take_definitions(true),
                "securitySchemes": {"token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "BROADSIDE_API_TOKEN of the worker. One that listens on its own machine alone may have none.",
                }},
            },
        });
        let document = Bytes::from(document.to_string());
        self.router.route(PLACE, get(async move || ([(CONTENT_TYPE, "application/json")], document)))
    }
}
