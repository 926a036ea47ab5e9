//! [`Jobs`] on SQLite. The claim is a lock on a file beside the database: the system lets go of it when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Sqlite, stamp, time};
use crate::price::job::{Job, Market, Move, State};
use crate::store::jobs::{Jobs, Row, To, parse, text};
use crate::store::{Claim, Error};

/// What stands for the claim.
#[derive(Debug)]
pub(super) enum Turnstile {
    /// A file that is locked; it stays there, because another process may just be opening it.
    File(PathBuf),
    /// Of a database in memory, which nobody shares.
    Memory(Arc<Inside>),
}

/// Who has a claim: one that works, or so many that look.
#[derive(Debug, Default)]
pub(super) struct Inside(Mutex<(bool, usize)>);

impl Inside {
    fn enter(&self, to: To) -> bool {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (to, &mut *inside) {
            (_, (true, _)) | (To::Work, (_, 1..)) => return false,
            (To::Work, (works, _)) => *works = true,
            (To::Look, (_, look)) => *look += 1,
        }
        true
    }

    fn leave(&self) {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *inside = (false, inside.1.saturating_sub(1));
    }
}

impl Turnstile {
    /// `<database>.<of>.lock`.
    pub(super) fn beside(database: &Path, of: &str) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push(format!(".{of}.lock"));
        Self::File(name.into())
    }

    pub(super) fn in_memory() -> Self {
        Self::Memory(Arc::default())
    }

    pub(super) fn claim(&self, to: To) -> Result<Option<Box<dyn Claim>>, Error> {
        Ok(self.enter(to)?.map(|held| Box::new(held) as Box<dyn Claim>))
    }

    fn enter(&self, to: To) -> Result<Option<Held>, Error> {
        match self {
            Self::File(path) => {
                let failed = |error: std::io::Error| Error::Permanent(format!("lock {}: {error}", path.display()));
                let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
                let file = file.map_err(failed)?;
                let locked = if to == To::Work { file.try_lock() } else { file.try_lock_shared() };
                match locked {
                    Ok(()) => Ok(Some(Held::File(file))),
                    Err(TryLockError::WouldBlock) => Ok(None),
                    Err(TryLockError::Error(error)) => Err(failed(error)),
                }
            }
            Self::Memory(inside) => Ok(inside.enter(to).then(|| Held::Memory(inside.clone()))),
        }
    }
}

#[derive(Debug)]
enum Held {
    File(File),
    Memory(Arc<Inside>),
}

impl Drop for Held {
    fn drop(&mut self) {
        match self {
            // Closing it would do, unless the process has just forked.
            Self::File(file) => drop(file.unlock()),
            Self::Memory(inside) => inside.leave(),
        }
    }
}

#[async_trait]
impl Claim for Held {
    async fn is_held(&mut self) -> bool {
        true
    }

    async fn release(self: Box<Self>) {}
}

type Columns = (String, i64, Option<String>, Option<String>, Option<String>, String);

#[async_trait]
impl Jobs for Sqlite {
    async fn price_job(&self) -> Result<Job, Error> {
        let sql = "SELECT state, epoch, started_at, changed_at, reason, markets FROM price_jobs WHERE job_id = 1";
        let query = sqlx::query_as(sql).fetch_one(&self.readers);
        let (state, epoch, started_at, changed_at, reason, markets): Columns =
            self.bounded(async { Ok(query.await?) }).await?;
        let time = |at: Option<String>| at.as_deref().map(time).transpose();
        Row { state, epoch, started_at: time(started_at)?, changed_at: time(changed_at)?, reason, markets }.read()
    }

    async fn move_price_job(&self, change: &Move) -> Result<bool, Error> {
        let sql = "UPDATE price_jobs SET state = ?1, epoch = ?2, reason = ?3, changed_at = ?4,
                started_at = CASE WHEN ?1 = 'initializing' THEN ?4 ELSE started_at END, markets = coalesce(?5, markets)
            WHERE job_id = 1 AND state = ?6 AND epoch = ?7";
        let query = sqlx::query(sql)
            .bind(change.to.as_str())
            .bind(change.next_epoch)
            .bind(&change.reason)
            .bind(stamp(change.at))
            .bind(change.markets.as_deref().map(text).transpose()?)
            .bind(change.from.as_str())
            .bind(change.epoch);
        self.bounded(async { Ok(query.execute(&self.writer).await?.rows_affected() == 1) }).await
    }

    async fn save_price_progress(&self, epoch: i64, markets: &[Market]) -> Result<Option<State>, Error> {
        let sql = "UPDATE price_jobs SET markets = ? WHERE job_id = 1 AND epoch = ? RETURNING state";
        let query = sqlx::query_scalar(sql).bind(text(markets)?).bind(epoch);
        let state: Option<String> = self.bounded(async { Ok(query.fetch_optional(&self.writer).await?) }).await?;
        state.as_deref().map(parse).transpose()
    }

    async fn claim_price_job(&self, to: To) -> Result<Option<Box<dyn Claim>>, Error> {
        self.turnstile.claim(to)
    }
}
