//! Where the files of days lie between the download and the moment when all their kills are safe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::civil::Date;
use tokio::fs;

use super::Error;
use crate::clients::history::{Archivist, History, Part};

/// Files are written anew at their origin when kills come in late: what is older than this is fetched again.
const FRESH: Duration = Duration::from_hours(24);
/// Attempts to get a file after the first one: with their waits about two minutes.
const RETRIES: usize = 7;
const WAIT_LEAST: Duration = Duration::from_secs(1);
const WAIT_MOST: Duration = Duration::from_secs(60);

/// A folder, made when it is needed. For one process at a time.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    wait: Duration,
}

impl Spool {
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), wait: WAIT_LEAST }
    }

    /// With another wait before the second attempt to get a file; each further one doubles it.
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// A file of a day, as `check` reads it: what lies here already, or else fetched, again and again while that may help.
    ///
    /// May be dropped at any time: the next call goes on from there.
    pub(super) async fn get<T: Send + 'static>(
        &self,
        history: &History,
        part: Part,
        day: Date,
        check: fn(&Path) -> Result<T, String>,
    ) -> Result<(PathBuf, T), Error> {
        fs::create_dir_all(&self.folder).await.map_err(|source| self.error(source))?;
        let path = self.path(history.archivist(), part, day);
        let attempt = || self.attempt(history, part, day, &path, check);
        let waits = ExponentialBuilder::default().with_min_delay(self.wait).with_max_delay(WAIT_MOST);
        let found = attempt
            .retry(waits.with_max_times(RETRIES).with_jitter())
            .when(|error: &Error| matches!(error, Error::Fetch(error) if error.is_transient()))
            .adjust(|error, wait| {
                let least = if let Error::Fetch(error) = error { error.retry_in() } else { None };
                wait.map(|wait| least.map_or(wait, |least| wait.max(least)))
            })
            .notify(|error, wait| {
                history.retried();
                tracing::warn!("failed to {error}: trying again in {wait:.0?}");
            })
            .await?;
        Ok((path, found))
    }

    async fn attempt<T: Send + 'static>(
        &self,
        history: &History,
        part: Part,
        day: Date,
        path: &Path,
        check: fn(&Path) -> Result<T, String>,
    ) -> Result<T, Error> {
        if !is_fresh(path).await {
            history.fetch(part, day, path).await?;
        }
        let checked = path.to_owned();
        let checked = tokio::task::spawn_blocking(move || check(&checked)).await;
        match checked.map_err(|panic| Error::Read(format!("check {}: {panic}", path.display())))? {
            Ok(found) => Ok(found),
            Err(reason) => {
                fs::remove_file(path).await.map_err(|source| self.error(source))?;
                Err(history.damaged(part, day, reason).into())
            }
        }
    }

    /// How much of a day's killmails has come so far, in bytes. A look at the disk.
    #[must_use]
    pub fn arrived(&self, archivist: Archivist, day: Date) -> u64 {
        let whole = self.path(archivist, Part::Kills, day);
        let mut part = whole.clone().into_os_string();
        part.push(".part");
        let bytes = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
        bytes(Path::new(&part)).or_else(|| bytes(&whole)).unwrap_or_default()
    }

    /// Every kill of the day is safe: its files go.
    pub async fn settled(&self, archivist: Archivist, day: Date) {
        for part in [Part::List, Part::Kills] {
            let path = self.path(archivist, part, day);
            match fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "failed to remove a file that is not needed any more");
                }
                _ => {}
            }
        }
    }

    /// Removes the folder, if nothing is left in it. Not while a day is fetched, which needs it.
    pub async fn close(&self) {
        let _ = fs::remove_dir(&self.folder).await;
    }

    fn path(&self, archivist: Archivist, part: Part, day: Date) -> PathBuf {
        let end = match (archivist, part) {
            (Archivist::Zkillboard, Part::List) => "-list.json",
            (Archivist::Zkillboard, Part::Kills) => "-raw.json",
            (Archivist::Everef, _) => ".tar.bz2",
        };
        self.folder.join(format!("{}-{day}{end}", archivist.name()))
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::Spool { folder: self.folder.display().to_string(), source }
    }
}

async fn is_fresh(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path).await else { return false };
    // A file from the future (a clock was set back) is as good as any.
    metadata.modified().is_ok_and(|time| time.elapsed().unwrap_or_default() < FRESH)
}
