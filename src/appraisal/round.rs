//! A call that is under way or about to be: whoever needs one of its answers waits for it.

use std::sync::Arc;

use tokio::sync::watch;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What the service has is known now.
    Answered,
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Round(watch::Sender<Option<End>>);

impl Round {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(None)))
    }

    /// Tells all who wait. The first word holds.
    pub(super) fn end(&self, end: End) {
        self.0.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(end);
            is_first
        });
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> End {
        let mut ended = self.0.subscribe();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // Nobody is left to say how it ended.
        end.unwrap_or(End::Failed)
    }
}

/// Adds what is not among them.
pub(super) fn add(rounds: &mut Vec<Arc<Round>>, round: &Arc<Round>) {
    if !rounds.iter().any(|known| Arc::ptr_eq(known, round)) {
        rounds.push(round.clone());
    }
}
