//! The surveillance profiles that a worker has in use: all are loaded before any kill comes; then each change is taken up, within a second.
//!
//! Only what changed is touched: the rest stays as it is, and kills are matched meanwhile. A profile that cannot be read (written by hand, or by another
//! build) is left out, said once, and counted: it stops nothing. While the store is away what is in use stays; what changed meanwhile is taken up after.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanCount;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::definition::Definition;
use crate::killmail::ProfileId;
use crate::profile::document::parse_targets;
use crate::profile::{Filter, Tally};
use crate::resources::Resources;
use crate::stages;
use crate::store::retry::hold;
use crate::store::{Error, ProfileNews, Store, WatchedProfile};
use crate::surveillance::{Surveillance, Watched};

/// Profiles that are loaded together: with the longest filters that there may be, some hundred megabytes.
const PAGE: u32 = 1_000;
/// Changes that are taken up together.
const CHANGES: u32 = 1_000;
/// Between two looks whether the numbers of changes still go on where they were: a database may have been put back to what it was.
const RECOUNT_EVERY: Duration = Duration::from_secs(10);
/// Between two times that the store is told of matches …
const TELL_EVERY: Duration = Duration::from_secs(5);
/// … of so many profiles in one call.
const TOLD_AT_ONCE: usize = 5_000;
/// How long the last call may take.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Profiles that cannot be read and are named; when there are more, they are only counted.
const NAMED: usize = 20;

/// Keeps the profiles in use as the store has them.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<dyn Store>,
    news: Box<dyn ProfileNews>,
    kept: Kept,
    /// The number of the last change that was taken up; `None`: nothing was loaded.
    seen: Option<i64>,
    was_away: bool,
    recounted: Instant,
    tally: Arc<Tally>,
    told: Instant,
}

/// A keeper at work.
#[derive(Debug)]
pub(super) struct Keeping {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
}

impl Keeping {
    /// Ends it; the store is told of the last matches, if it answers soon.
    pub(super) async fn end(self) {
        self.stop.cancel();
        drop(tokio::time::timeout(END_WITHIN, self.task).await);
    }
}

impl Keeper {
    /// Loads all, before any kill comes. A store that is away is waited for: a kill that nobody looked at would never be matched. `None`: none of
    /// these pipelines matches kills.
    pub(super) async fn take_up<'d>(
        definitions: impl IntoIterator<Item = &'d Definition>,
        resources: &Resources,
    ) -> Option<Self> {
        let mut stages = definitions.into_iter().flat_map(|definition| &definition.stages);
        let matches = stages.any(|stage| matches!(stage, stages::Config::Match(_)));
        if matches { Some(Self::load_all(resources).await) } else { None }
    }

    async fn load_all(resources: &Resources) -> Self {
        let store = resources.store.clone();
        let kept = Kept { surveillance: resources.surveillance.clone(), refused: HashSet::new() };
        let (news, tally, now) = (store.profile_news(), resources.tally.clone(), Instant::now());
        let mut keeper = Self { store, news, kept, seen: None, was_away: false, recounted: now, tally, told: now };
        if let Err(error) = keeper.load(true).await {
            // No reason not to store kills.
            tracing::warn!(%error, "failed to load the surveillance profiles: none match until that works");
            keeper.was_away = true;
        }
        keeper
    }

    /// From now on it takes up changes, and tells the store of matches.
    pub(super) fn start(self) -> Keeping {
        let stop = CancellationToken::new();
        Keeping { task: AbortOnDropHandle::new(tokio::spawn(self.keep(stop.clone()))), stop }
    }

    async fn keep(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.news.wait() => {}
                () = stop.cancelled() => break,
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.tell_matches().await;
            }
            let looked = self.look().await;
            match &looked {
                Err(error) if !self.was_away => {
                    tracing::warn!(%error, "failed to look for changes of surveillance profiles: those in use stay until that works");
                }
                Ok(()) if self.was_away => tracing::info!("changes of surveillance profiles are looked for again"),
                _ => {}
            }
            self.was_away = looked.is_err();
        }
        self.tell_matches().await;
    }

    /// An outage is told elsewhere: what was counted stays counted until the store has it.
    async fn tell_matches(&mut self) {
        self.told = Instant::now();
        let matched = self.tally.take();
        for (at, some) in matched.chunks(TOLD_AT_ONCE).enumerate() {
            if let Err(error) = self.store.add_profile_matches(some).await {
                tracing::debug!(%error, "the figures of surveillance profiles wait");
                return self.tally.give_back(&matched[at * TOLD_AT_ONCE..]);
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let Some(mut seen) = self.seen else { return self.load(false).await };
        if self.recounted.elapsed() >= RECOUNT_EVERY {
            if self.store.last_profile_change().await? < seen {
                tracing::warn!("the database was put back to what it was: all surveillance profiles are loaded again");
                self.seen = None;
                return self.load(false).await;
            }
            self.recounted = Instant::now();
        }
        loop {
            let changes = self.store.profile_changes(seen, CHANGES).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            seen = last.change_id;
            let is_all = changes.len() < CHANGES as usize;
            let gone = changes.iter().filter(|change| change.now.is_none()).map(|change| change.profile_id);
            self.kept.drop_out(&gone.collect::<Vec<_>>());
            tracing::debug!(changes = changes.len(), "surveillance profiles changed");
            self.kept.take(changes.into_iter().filter_map(|change| change.now).collect()).await?;
            self.kept.tell_counts();
            self.seen = Some(seen);
            if is_all {
                return Ok(());
            }
        }
    }

    /// Everything, also that some are gone. With `patience` a store that is away is waited for.
    async fn load(&mut self, patience: bool) -> Result<(), Error> {
        let (begun, store) = (Instant::now(), self.store.clone());
        let page = |after: i64| {
            let store = store.clone();
            async move {
                let call = || store.watched_profiles(after, PAGE);
                if patience { hold(store.health(), "load surveillance profiles", call).await } else { call().await }
            }
        };
        // What changes from here on is taken up as a change, whether its page was read before or after.
        let call = || store.last_profile_change();
        let seen =
            if patience { hold(store.health(), "load surveillance profiles", call).await } else { call().await }?;
        let mut gone: HashSet<ProfileId> = self.kept.surveillance.ids().into_iter().collect();
        gone.extend(self.kept.refused.drain());
        let mut profiles = page(0).await?;
        while let Some(last) = profiles.last().map(|profile| profile.profile_id.get()) {
            if !gone.is_empty() {
                profiles.iter().for_each(|profile| _ = gone.remove(&profile.profile_id));
            }
            let (next, taken) = tokio::join!(page(last), self.kept.take(profiles));
            taken?;
            profiles = next?;
        }
        self.kept.drop_out(&gone.into_iter().collect::<Vec<_>>());
        (self.seen, self.recounted) = (Some(seen), Instant::now());
        let (took, profiles) = (begun.elapsed(), self.kept.tell_counts());
        metrics::gauge!("broadside_profile_index_rebuild_seconds").set(took.as_secs_f64());
        if profiles > 0 {
            let profiles = HumanCount(profiles as u64);
            tracing::info!(?took, refused = self.kept.refused.len(), "{profiles} surveillance profiles in use");
        }
        Ok(())
    }
}

/// What is in use, and what could not be read.
#[derive(Debug)]
struct Kept {
    surveillance: Arc<Surveillance>,
    refused: HashSet<ProfileId>,
}

impl Kept {
    /// Puts to use what can be read, on a thread where that holds up nobody.
    async fn take(&mut self, profiles: Vec<WatchedProfile>) -> Result<(), Error> {
        if !self.refused.is_empty() {
            profiles.iter().for_each(|profile| _ = self.refused.remove(&profile.profile_id));
        }
        let surveillance = self.surveillance.clone();
        let taking = tokio::task::spawn_blocking(move || take(&surveillance, profiles));
        let died = |_| Error::Permanent("read surveillance profiles: the thread ended early".to_owned());
        for (profile_id, problem) in taking.await.map_err(died)? {
            if self.refused.len() < NAMED {
                tracing::warn!(%profile_id, %problem, "left a surveillance profile out: it cannot be read");
            }
            self.refused.insert(profile_id);
        }
        Ok(())
    }

    fn drop_out(&mut self, gone: &[ProfileId]) {
        self.surveillance.remove(gone);
        gone.iter().for_each(|id| _ = self.refused.remove(id));
    }

    /// Answers how many are in use.
    fn tell_counts(&self) -> usize {
        let counts = self.surveillance.counts();
        metrics::gauge!("broadside_profiles").set(counts.profiles as f64);
        metrics::gauge!("broadside_profiles_broad").set(counts.broad as f64);
        metrics::gauge!("broadside_profiles_refused").set(self.refused.len() as f64);
        counts.profiles
    }
}

/// Answers those that cannot be read: whatever they were before, they are not any more.
fn take(surveillance: &Surveillance, profiles: Vec<WatchedProfile>) -> Vec<(ProfileId, String)> {
    let (mut watched, mut refused) = (Vec::with_capacity(profiles.len()), Vec::new());
    for profile in profiles {
        let id = profile.profile_id;
        match read(profile) {
            Ok(profile) => watched.push(profile),
            Err(problem) => refused.push((id, problem)),
        }
    }
    surveillance.put(watched);
    surveillance.remove(&refused.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    refused
}

fn read(profile: WatchedProfile) -> Result<Watched, String> {
    let WatchedProfile { profile_id, name, filter, targets } = profile;
    let targets = parse_targets(&targets).map_err(|problem| problem.to_string())?;
    let filter = Filter::parse(&filter).map_err(|problem| format!("its filter, {problem}"))?;
    Ok(Watched { profile_id, name: name.into(), filter, targets: targets.into() })
}

#[cfg(test)]
#[path = "surveillance_tests.rs"]
mod tests;
