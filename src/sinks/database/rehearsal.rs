//! What stands in the place of `database` where kills are only tried out: it finds out what storing them would change, notes it on the message, and changes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::Timestamp;
use serde_json::json;

use crate::courier::Desk;
use crate::killmail::Kill;
use crate::store::{Change, REHEARSED, RowChange, Store, retry};
use crate::surveillance::Surveillance;

#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) store: Arc<dyn Store>,
    pub(super) desk: Arc<Desk>,
    pub(super) surveillance: Arc<Surveillance>,
    pub(super) events: bool,
}

#[async_trait]
impl Sink<Kill> for Rehearsal {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        for message in messages {
            if message.payload.mail.is_none() {
                message.fail(Failure::invalid(super::UNDECODED));
                continue;
            }
            self.rehearse(message).await;
        }
        Ok(())
    }
}

impl Rehearsal {
    async fn rehearse(&self, message: &mut Message<Kill>) {
        let kill = &mut message.payload;
        if kill.matches.is_some() {
            kill.alerts = self.desk.notices(kill, &self.surveillance, Timestamp::now()).map(Arc::from);
        }
        let kill = &*kill;
        let rehearsed = match retry::hold(self.store.health(), "rehearse", || self.store.rehearse_kill(kill)).await {
            Ok(rehearsed) => rehearsed,
            Err(error) => return message.fail(super::failure(error)),
        };
        let mut rows = rehearsed.rows;
        if let (Change::New { .. }, true, Some(mail)) = (rehearsed.change, self.events, &kill.mail) {
            let event = json!({"system_id": mail.solar_system_id.get(), "killmail_id": mail.killmail_id.get()});
            rows.push(RowChange::new("killmail_events", event));
        }
        let noted = RowChange::noted(message.metadata(REHEARSED), &rows);
        message.put_metadata(REHEARSED, noted);
        super::settle(message, rehearsed.change);
    }
}
