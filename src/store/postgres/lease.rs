//! A connection for the time of one call.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgPool, Postgres};

use crate::store::Error;

/// Goes back to the pool only when its call has ended well ([`done`](Self::done)). A call that was dropped or failed half-way may leave a
/// conversation open (a COPY that waits for rows): then the connection is closed, and the server undoes what was not committed.
#[derive(Debug)]
pub(super) struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self(Some(connection))
    }

    /// With a transaction begun, which [`end`](Self::end) ends.
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, Error> {
        let mut lease = Self::new(pool.acquire().await?);
        lease.execute("BEGIN").await?;
        Ok(lease)
    }

    /// Commits when all went well, else undoes it.
    pub(super) async fn end<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        let end = match &outcome {
            Ok(_) => "COMMIT",
            // The conversation is intact: it was the server that refused.
            Err(Error::Data { .. }) => "ROLLBACK",
            Err(_) => return outcome,
        };
        self.execute(end).await?;
        self.done();
        outcome
    }

    /// Nothing is open on it.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = PoolConnection<Postgres>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("it is there until the lease ends")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("it is there until the lease ends")
    }
}
