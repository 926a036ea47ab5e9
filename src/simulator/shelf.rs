//! What the simulator keeps of what it published, for those who ask: zKillboard's numbered files, and ESI's killmails by id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use super::supply::Published;

/// Kills kept, of each kind: some 40 MB.
const KEPT: usize = 5_000;
/// Readers take ten files a second at most, as they must of the real service: at a higher rate, only so many kills a second become files …
const FILES_PER_SECOND: f64 = 8.0;
/// … but for short bursts.
const BURST: f64 = 50.0;
/// The number of the first file.
const FIRST: u64 = 96_000_001;

/// Bounded: the oldest go.
#[derive(Debug)]
pub(super) struct Shelf(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// The number of the first of `files`.
    first: u64,
    files: VecDeque<Arc<Published>>,
    killmails: HashMap<i64, Arc<Published>>,
    order: VecDeque<i64>,
    allowance: f64,
    filled_at: Instant,
}

impl Default for Shelf {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            first: FIRST,
            files: VecDeque::new(),
            killmails: HashMap::new(),
            order: VecDeque::new(),
            allowance: BURST,
            filled_at: Instant::now(),
        }))
    }
}

impl Shelf {
    fn kept<R>(&self, use_it: impl FnOnce(&mut Kept) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A kill is published. One that is known in the feed's form alone has neither a file nor a killmail.
    pub(super) fn put(&self, kill: &Arc<Published>) {
        if kill.package.is_some() {
            self.kept(|kept| kept.put(kill, Instant::now()));
        }
    }

    /// The newest number; before there is one, the first that will be.
    pub(super) fn newest(&self) -> u64 {
        self.kept(|kept| kept.first + (kept.files.len() as u64).saturating_sub(1))
    }

    /// A numbered file.
    pub(super) fn file(&self, number: u64) -> Option<Bytes> {
        self.kept(|kept| {
            let index = usize::try_from(number.checked_sub(kept.first)?).ok()?;
            kept.files.get(index)?.package.clone()
        })
    }

    /// A kill's package, by its id.
    pub(super) fn killmail(&self, id: i64) -> Option<Bytes> {
        self.kept(|kept| kept.killmails.get(&id)?.package.clone())
    }
}

impl Kept {
    fn put(&mut self, kill: &Arc<Published>, now: Instant) {
        if self.killmails.insert(kill.id, kill.clone()).is_none() {
            self.order.push_back(kill.id);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.killmails.remove(&oldest);
        }
        let since = now.duration_since(std::mem::replace(&mut self.filled_at, now));
        self.allowance = (self.allowance + since.as_secs_f64() * FILES_PER_SECOND).min(BURST);
        if self.allowance < 1.0 {
            return;
        }
        self.allowance -= 1.0;
        self.files.push_back(kill.clone());
        if self.files.len() > KEPT {
            self.files.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kill(id: i64) -> Arc<Published> {
        Arc::new(Published { id, system_id: 1, json: Bytes::new(), package: Some(Bytes::from(id.to_string())) })
    }

    #[test]
    fn files_have_numbers_and_the_oldest_go() {
        let shelf = Shelf::default();
        assert_eq!((shelf.newest(), shelf.file(FIRST)), (FIRST, None));
        let start = Instant::now();
        for second in 0..=KEPT as u64 {
            shelf.kept(|kept| kept.put(&kill(second as i64), start + Duration::from_secs(second)));
        }
        assert_eq!((shelf.newest(), shelf.file(FIRST)), (FIRST + KEPT as u64, None));
        assert_eq!((shelf.file(FIRST + 1), shelf.file(FIRST + KEPT as u64 + 1)), (Some("1".into()), None));
        assert_eq!((shelf.killmail(0), shelf.killmail(1)), (None, Some("1".into())));
    }

    #[test]
    fn no_more_files_are_made_than_readers_may_take() {
        let (shelf, start) = (Shelf::default(), Instant::now());
        for millisecond in 0..10_000 {
            shelf.kept(|kept| kept.put(&kill(millisecond), start + Duration::from_millis(millisecond as u64)));
        }
        let files = shelf.newest() + 1 - FIRST;
        assert!((120..=131).contains(&files), "{files} files");
    }
}
