//! What stands in the place of `webhook` where kills are only tried out: it notes the alerts that would be made out on the message, and makes none.

use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Batch, Failure, Message, Sink};
use jiff::Timestamp;
use serde_json::json;

use crate::courier::Desk;
use crate::killmail::Kill;
use crate::store::{REHEARSED, RowChange};
use crate::surveillance::Surveillance;

#[derive(Debug)]
pub(super) struct Rehearsal {
    pub(super) desk: Arc<Desk>,
    pub(super) surveillance: Arc<Surveillance>,
}

#[async_trait]
impl Sink<Kill> for Rehearsal {
    async fn deliver(&self, _batch: &Batch, messages: &mut [Message<Kill>]) -> Result<(), Failure> {
        let now = Timestamp::now();
        for message in messages {
            let kill = &message.payload;
            let (Some(mail), None) = (&kill.mail, &kill.alerts) else { continue };
            let notices = self.desk.notices(kill, &self.surveillance, now).unwrap_or_default();
            let row = |notice: crate::killmail::Notice| {
                let (kill, profile) = (mail.killmail_id.get(), notice.profile_id.get());
                RowChange::new(
                    "alerts",
                    json!({"killmail_id": kill, "profile_id": profile, "target": notice.target.get()}),
                )
            };
            let rows: Vec<RowChange> = notices.into_iter().map(row).collect();
            if !rows.is_empty() {
                let noted = RowChange::noted(message.metadata(REHEARSED), &rows);
                message.put_metadata(REHEARSED, noted);
            }
        }
        Ok(())
    }
}
