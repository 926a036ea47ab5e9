//! [`StaticData`] in memory.

use async_trait::async_trait;
use broadside::statics::Statics;
use broadside::store::{Error, Import, StaticData};
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

    async fn last_import(&self) -> Result<Option<Import>, Error> {
        self.answer(())?;
        Ok(None)
    }
}
