//! The kills that filters are tried on: those that are stored, newest first, or those of files.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::failed;
use crate::archive::{Archive, Record};
use crate::killmail::{Kill, KillmailId, wire};
use crate::stages::tag;
use crate::statics::Statics;
use crate::store::Store;
use crate::tags::Tagger;

/// Read at a time.
const AT_ONCE: u32 = 500;

/// Hands out stored kills with what is stored of them, up to so many, of so many days.
pub(super) async fn stored(
    store: &dyn Store,
    limit: u64,
    days: Option<u32>,
    mut take: impl FnMut(&Kill, u64),
) -> anyhow::Result<()> {
    let statics = store.load_statics().await.map_err(failed)?.1;
    let since = days.map(|days| Timestamp::now() - SignedDuration::from_hours(24 * i64::from(days)));
    let (mut before, mut seen) = (None, 0);
    while seen < limit {
        let page = store.stored_kills(before, since, AT_ONCE).await.map_err(failed)?;
        let earlier = before;
        for kill in page {
            let Some(kill) = decoded(kill, &statics) else { continue };
            before = kill.mail.as_ref().map(|mail| mail.killmail_id);
            if seen < limit {
                seen += 1;
                take(&kill, seen);
            }
        }
        if before == earlier {
            break;
        }
    }
    Ok(())
}

/// A stored kill by its id.
pub(super) async fn one(store: &dyn Store, id: KillmailId) -> anyhow::Result<Option<Kill>> {
    let statics = store.load_statics().await.map_err(failed)?.1;
    let above = id.get().checked_add(1).and_then(KillmailId::new);
    let found = store.stored_kills(above, None, 1).await.map_err(failed)?.pop();
    let kill = found.and_then(|kill| decoded(kill, &statics));
    Ok(kill.filter(|kill| kill.mail.as_ref().is_some_and(|mail| mail.killmail_id == id)))
}

fn decoded(mut kill: Kill, statics: &Statics) -> Option<Kill> {
    let mail = wire::decode(&kill.raw).ok()?;
    // It is not stored: the static data tell it.
    let group = mail.victim.ship_type_id.and_then(|ship| statics.group(ship)).map(|group| group.group_id.get());
    kill.mail = Some(Arc::new(mail));
    if let Some(tagged) = &mut kill.tagged {
        Arc::make_mut(tagged).ship_group_id = group;
    }
    Some(kill)
}

/// Hands out the kills of a file, tagged as far as the static data allow, with zKillboard's values. Answers how many records could not be read. Blocks.
pub(super) fn given(path: &Path, statics: &Statics, take: &mut dyn FnMut(&Kill)) -> anyhow::Result<u64> {
    let tagger = tag::Config::default().tagger().map_err(anyhow::Error::msg)?;
    let (mut archive, mut unreadable) = (Archive::open(path, Arc::default(), 0), 0);
    loop {
        let taken = archive.take(AT_ONCE as usize);
        for (_, record) in taken.records {
            match read(record, &tagger, statics) {
                Some(kill) => take(&kill),
                None => unreadable += 1,
            }
        }
        if let Some(end) = taken.end {
            return end.map(|()| unreadable).map_err(|error| anyhow::anyhow!("failed to {error}"));
        }
    }
}

/// As if it were received the moment it happened.
fn read(record: Record, tagger: &Tagger, statics: &Statics) -> Option<Kill> {
    let Record::Whole(bytes) = record else { return None };
    let mail = wire::decode(&bytes).ok()?;
    let mut kill = Kill::new(bytes, "file", mail.killmail_time, true);
    kill.tagged = Some(Arc::new(tagger.tag(statics, &mail).tagged));
    kill.mail = Some(Arc::new(mail));
    Some(kill)
}
