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
    statics: Statics,
}

#[async_trait]
impl StaticData for MemoryStore {
    async fn replace_statics(&self, statics: &Statics, _source: &str, _now: Timestamp) -> Result<i64, Error> {
        self.answer(())?;
        let mut kept = self.statics.lock().expect("no panic while held");
        *kept = Kept { version: kept.version + 1, statics: statics.clone() };
        Ok(kept.version)
    }

    async fn amend_statics(&self, over: i64, statics: &Statics, source: &str, now: Timestamp) -> Result<i64, Error> {
        if self.statics.lock().expect("no panic while held").version != over {
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
        let (version, imported) = self.load_statics().await?;
        Ok(Origins { version, imported, told: Statics::default() })
    }

    async fn queue_untagged(&self, _: Option<KillmailId>, _: u32, _: Timestamp) -> Result<Queued, Error> {
        // It has no kills.
        self.answer(Queued::default())
    }

    async fn last_import(&self) -> Result<Option<Import>, Error> {
        self.answer(())?;
        Ok(None)
    }
}
