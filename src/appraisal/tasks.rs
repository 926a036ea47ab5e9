//! The few tasks that run calls to their end, even when whoever asked has gone.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// More than that at once are refused.
const TASKS_MAX: usize = 64;

/// They end with their owner.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Runs it; `false`: there are too many.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let has_room = tasks.len() < TASKS_MAX;
        if has_room {
            tasks.spawn(task);
        }
        has_room
    }
}
