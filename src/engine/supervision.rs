//! What a source that is several readers in one needs to keep the crash of one from the others: the engine's own fence and restart budget.
//!
//! ```
//! use broadside_engine::supervision::{Restarts, guarded};
//! use broadside_engine::topology::RestartBudget;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let failure = guarded(async { panic!("reader 7") }).await.map(|(): ()| ()).unwrap_err();
//! assert_eq!(failure.error, "panicked: reader 7");
//! let mut restarts = Restarts::new(RestartBudget { restarts: 1, ..RestartBudget::default() });
//! let now = tokio::time::Instant::now();
//! assert!(restarts.crashed(now).is_some() && restarts.crashed(now).is_none());
//! # });
//! ```

use std::future::Future;

use crate::failure::Failure;
pub use crate::pure::restart_budget::Restarts;
use crate::worker::fence;

/// Awaits `code`; a panic in it comes back as a failure of class [`Panic`](crate::Class::Panic).
///
/// # Errors
/// It panicked. What it was working on is gone with it.
pub async fn guarded<R>(code: impl Future<Output = R>) -> Result<R, Failure> {
    fence::guard(code).await
}
