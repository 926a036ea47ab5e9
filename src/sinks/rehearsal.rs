//! What stands in the place of a sink where kills are only tried out: it finds out what the sink would do, notes it on the message, and changes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::database;
use crate::courier::Desk;
use crate::killmail::Kill;
use crate::resources::Resources;
use crate::store::{Change, REHEARSED, RowChange, Store, retry};
use crate::surveillance::Surveillance;

/// In the place of `database`.
pub(super) fn database(events: bool, resources: &Resources) -> Arc<dyn Sink<Kill>> {
    Arc::new(Storing {
        store: resources.store.clone(),
        desk: resources.desk.clone(),
        surveillance: resources.surveillance.clone(),
        events: events && resources.events,
    })
}

/// In the place of `webhook`.
pub(super) fn telling(resources: &Resources) -> Arc<dyn Sink<Kill>> {
    Arc::new(Telling { desk: resources.desk.clone(), surveillance: resources.surveillance.clone() })
}

/// In the place of a sink that writes no rows.
pub(super) fn nothing() -> Arc<dyn Sink<Kill>> {
    Arc::new(Nothing)
}

/// Adds rows to those that the message would change.
fn note(message: &mut Message<Kill>, rows: &[RowChange]) {
    let known = message.metadata(REHEARSED).and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    let mut all = known.unwrap_or_default();
    all.extend(rows.iter().filter_map(|row| serde_json::to_value(row).ok()));
    message.put_metadata(REHEARSED, Value::from(all).to_string());
}

fn new_row(table: &str, row: Value) -> RowChange {
    let after = match row {
        Value::Object(row) => row,
        _ => Map::new(),
    };
    RowChange { table: table.to_owned(), before: None, after: Some(after) }
}

#[derive(Debug)]
struct Storing {
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
    surveillance: Arc<Surveillance>,
    events: bool,
}

#[async_trait]
impl Sink<Kill> for Storing {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages {
            if message.payload.mail.is_none() {
                message.fail(Failure::invalid(database::UNDECODED));
                continue;
            }
            self.rehearse(message).await;
        }
        Ok(())
    }
}

impl Storing {
    async fn rehearse(&self, message: &mut Message<Kill>) {
        let kill = &mut message.payload;
        if kill.matches.is_some() {
            kill.alerts = self.desk.notices(kill, &self.surveillance, Timestamp::now()).map(Arc::from);
        }
        let kill = &*kill;
        let rehearsed = match retry::hold(self.store.health(), "rehearse", || self.store.rehearse_kill(kill)).await {
            Ok(rehearsed) => rehearsed,
            Err(error) => return message.fail(database::failure(error)),
        };
        let mut rows = rehearsed.rows;
        if let (Change::New { .. }, true, Some(mail)) = (rehearsed.change, self.events, &kill.mail) {
            let event = json!({"system_id": mail.solar_system_id.get(), "killmail_id": mail.killmail_id.get()});
            rows.push(new_row("killmail_events", event));
        }
        note(message, &rows);
        database::settle(message, rehearsed.change);
    }
}

#[derive(Debug)]
struct Telling {
    desk: Arc<Desk>,
    surveillance: Arc<Surveillance>,
}

#[async_trait]
impl Sink<Kill> for Telling {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        let now = Timestamp::now();
        for message in messages {
            let kill = &message.payload;
            let (Some(mail), None) = (&kill.mail, &kill.alerts) else { continue };
            let notices = self.desk.notices(kill, &self.surveillance, now).unwrap_or_default();
            let row = |notice: crate::killmail::Notice| {
                let (kill, profile) = (mail.killmail_id.get(), notice.profile_id.get());
                new_row("alerts", json!({"killmail_id": kill, "profile_id": profile, "target": notice.target.get()}))
            };
            let rows: Vec<RowChange> = notices.into_iter().map(row).collect();
            if !rows.is_empty() {
                note(message, &rows);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Sink<Kill> for Nothing {
    async fn deliver(&self, _batch: &Batch, _messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        Ok(())
    }
}
