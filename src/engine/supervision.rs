//! For a source that is several readers in one: tasks of the engine's to run them on, its fence to keep the crash of one from the others, and its restart budget.
//!
//! A source is only polled while it is pulled. A reader that waits inside it for something that others wait for too (a connection of a pool, a lock) may be given it, and
//! then hold it without being polled, for as long as the pipeline is full; and the pipeline may be full because a sink waits for just that. So readers that share anything
//! run as tasks, and hand on what they read through a bounded channel.
//!
//! ```
//! use broadside_engine::supervision::{Crew, Restarts, guarded};
//! use broadside_engine::topology::RestartBudget;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut crew = Crew::new();
//! crew.spawn(async { (7, guarded(async { panic!("out of paper") }).await) });
//! let (reader, ended): (u32, Result<(), _>) = crew.next().await.unwrap().unwrap();
//! assert_eq!((reader, ended.unwrap_err().error.as_str()), (7, "panicked: out of paper"));
//! let mut restarts = Restarts::new(RestartBudget { restarts: 1, ..RestartBudget::default() });
//! let now = tokio::time::Instant::now();
//! assert!(restarts.crashed(now).is_some() && restarts.crashed(now).is_none());
//! # });
//! ```

use std::future::Future;

use tokio::task::JoinSet;

use crate::failure::{Class, Failure};
pub use crate::pure::restart_budget::Restarts;
use crate::worker::fence;

/// Awaits `code`; a panic in it comes back as a failure of class [`Panic`](crate::Class::Panic).
///
/// # Errors
/// It panicked. What it was working on is gone with it.
pub async fn guarded<R>(code: impl Future<Output = R>) -> Result<R, Failure> {
    fence::guard(code).await
}

/// Tasks that end with whoever owns them.
#[derive(Debug)]
pub struct Crew<R>(JoinSet<R>);

impl<R: Send + 'static> Crew<R> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(JoinSet::new())
    }

    /// Runs `work` beside the others, now.
    pub fn spawn(&mut self, work: impl Future<Output = R> + Send + 'static) {
        self.0.spawn(work);
    }

    /// Waits for the next one to end; `None`: there is none. May be given up without loss.
    ///
    /// # Errors
    /// It panicked outside of [`guarded`].
    pub async fn next(&mut self) -> Option<Result<R, Failure>> {
        let ended = self.0.join_next().await?;
        Some(ended.map_err(|error| Failure::new(Class::Panic, error.to_string())))
    }

    /// Ends all of them, and waits until they have ended.
    pub async fn end(&mut self) {
        self.0.shutdown().await;
    }
}

impl<R: Send + 'static> Default for Crew<R> {
    fn default() -> Self {
        Self::new()
    }
}
