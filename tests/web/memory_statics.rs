//! [`StaticData`] in memory.

use async_trait::async_trait;
use broadside::killmail::KillmailId;
use broadside::statics::Statics;
use broadside::store::{Error, Import, Origins, Queued, StaticData};
use jiff::Timestamp;

use super::MemoryStore;

#[derive(Debug, Default)]
pub(super) struct Kept {
    version: i64,
    /// The last import's version.
    import: i64,
    /// How often kills without static data were looked for.
    walks: usize,
    statics: Statics,
}

#[allow(dead_code, reason = "for those of the users of this file that want it")]
impl MemoryStore {
    pub(crate) fn walks(&self) -> usize {
        self.statics.lock().expect("no panic while held").walks
    }
}

#[async_trait]
impl StaticData for MemoryStore {
    async fn replace_statics(&self, statics: &Statics, _source: &str, _now: Timestamp) -> Result<i64, Error> {
        self.answer(())?;
        let mut kept = self.statics.lock().expect("no panic while held");
        let version = kept.version + 1;
        *kept = Kept { version, import: version, statics: statics.clone(), walks: kept.walks };
        Ok(version)
    }

    async fn amend_statics(&self, over: i64, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        if self.statics.lock().expect("no panic while held").import != over {
            return Err(Error::Transient("there is a newer one".to_owned()));
        }
        self.replace_statics(statics, source, now).await
    }

    async fn add_statics(&self, found: &Statics, _now: Timestamp) -> Result<Option<i64>, Error> {
        self.answer(())?;
        let mut kept = self.statics.lock().expect("no panic while held");
        let before = kept.statics.counts();
        kept.statics.add(found);
        if kept.statics.counts() == before {
            return Ok(None);
        }
        kept.version += 1;
        Ok(Some(kept.version))
    }

    async fn statics_version(&self) -> Result<i64, Error> {
        self.answer(())?;
        Ok(self.statics.lock().expect("no panic while held").version)
    }

    async fn load_statics(&self) -> Result<(i64, Statics), Error> {
        self.answer(())?;
        let kept = self.statics.lock().expect("no panic while held");
        Ok((kept.version, kept.statics.clone()))
    }

    async fn load_origins(&self) -> Result<Origins, Error> {
        let (_, imported) = self.load_statics().await?;
        let version = self.statics.lock().expect("no panic while held").import;
        Ok(Origins { version, imported, told: Statics::default() })
    }

    async fn queue_untagged(&self, _: Option<KillmailId>, _: u32, _: Timestamp) -> Result<Queued, Error> {
        // It has no kills.
        self.statics.lock().expect("no panic while held").walks += 1;
        self.answer(Queued::default())
    }

    async fn last_import(&self) -> Result<Option<Import>, Error> {
        self.answer(())?;
        let kept = self.statics.lock().expect("no panic while held");
        Ok((kept.import > 0).then(|| Import {
            version: kept.import,
            source: "a test".to_owned(),
            imported_at: Timestamp::UNIX_EPOCH,
            counts: kept.statics.counts().map(|count| count as u64),
            added: [0, 0],
        }))
    }
}
