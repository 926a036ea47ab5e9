//! Filters kills that were seen of late: feeds send every kill twice, and several feeds send the same ones.
//!
//! By killmail id, never by "greatest seen": kills arrive late and out of order. Whether a copy may be dropped depends on what became of
//! the one before it ([`RecentKills`]); what is too old to be remembered passes, and the store finds out.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use broadside_engine::{Message, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::Kill;
use crate::recent::{RecentKills, Seen};

/// What `deduplicate` may be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many kills are remembered, the oldest forgotten first: 100,000 unless set. Each takes about 100 bytes.
    pub capacity: Option<NonZeroUsize>,
}

impl Config {
    /// The stage, on the memory that it shares with the `database` sink.
    pub fn build(&self, recent: Arc<RecentKills>) -> impl Stage<Kill> + use<> {
        if let Some(capacity) = self.capacity {
            recent.set_capacity(capacity.get());
        }
        Deduplicate { recent }
    }
}

struct Deduplicate {
    recent: Arc<RecentKills>,
}

#[async_trait]
impl Stage<Kill> for Deduplicate {
    async fn process(&self, messages: &mut [Message<Kill>]) {
        let mut recent = self.recent.lock();
        let before = recent.stats;
        for message in messages {
            let kill = &message.payload;
            let Some(mail) = &kill.mail else { continue };
            let seen = recent.observe(mail.killmail_id, mail.form, kill.redelivers);
            if seen == Seen::Before && !kill.revises {
                message.filter();
            }
        }
        let (after, entries) = (recent.stats, recent.entries.len());
        drop(recent);
        metrics::counter!("broadside_cache_hits_total", "cache" => "recent_kills").increment(after.hits - before.hits);
        metrics::counter!("broadside_cache_misses_total", "cache" => "recent_kills")
            .increment(after.misses - before.misses);
        metrics::counter!("broadside_cache_evictions_total", "cache" => "recent_kills")
            .increment(after.evictions - before.evictions);
        metrics::gauge!("broadside_cache_entries", "cache" => "recent_kills").set(entries as f64);
    }
}
