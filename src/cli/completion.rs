//! Completes kills that were stored in part: without their items, with something that static data lacked, with the prices of a source that is not the best.
//!
//! They wait in a queue in the store, which outlives the process; each goes through what it may lack again: detail, tags, price. What is asked of ESI for their
//! detail comes from the upper half of its limits, so that live kills never wait for old ones. A kill that comes complete by another way (the fallback's copy, a
//! backfill) leaves the queue by itself.
//!
//! Kills that only lack prices are many at once, after an outage. While the service that they need is known to be down they wait, untouched; once it is
//! back they are priced by the thousand with a few calls, in seconds. They hold up nobody: when there are more than one look takes, they go behind the others.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, MissedTickBehavior};

use crate::appraisal::Appraiser;
use crate::clients::esi::{Ask, Esi};
use crate::courier::Desk;
use crate::definition::Definition;
use crate::killmail::{Form, Kill, KillmailId, wire};
use crate::resources::Resources;
use crate::stages::{self, detail, r#match::Matcher, price, tag};
use crate::statics::Shelf;
use crate::store::{Error, Refresh, Store};
use crate::surveillance::Surveillance;

/// Between two looks into the queue.
const EVERY: Duration = Duration::from_secs(5);
/// Kills at a look.
const AT_ONCE: u32 = 1_000;
/// How long those are left alone that cannot be helped now, when others wait behind them. With a client's pause and a look, the longest of which is some ten
/// seconds and one is five, half a minute passes from a service's return.
const ASIDE: SignedDuration = SignedDuration::from_secs(15);
/// Of these so many are completed with ESI's killmail.
const DETAILS: usize = 50;
/// Kills that are stored together.
const STORED_AT_ONCE: usize = 100;
/// Matches of kills that are stored together: a second's work, where a call may take thirty.
const MATCHES_AT_ONCE: usize = 20_000;
/// How long one may take: it can wait for its turn, and holds up nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a look waits for prices: those that are not there by then have been asked for, and are there at a later look.
const PRICED_WITHIN: Duration = Duration::from_secs(2);
/// After the first failure; each further one doubles it …
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// … up to here.
const AGAIN_MOST: SignedDuration = SignedDuration::from_hours(12);
/// Some ten days: then it is given up.
const ATTEMPTS_MAX: u32 = 24;
/// Stored in the column `source` of a kill whose items ESI brought.
const SOURCE: &str = "esi";
/// What else may stand there, and stays.
const SOURCES: [&str; 7] = ["wanderer", "zkillboard", "redisq", "file", "generator", "dead_letters", "history"];

/// What a kill may lack, as the first stages that see to it do.
#[derive(Debug)]
pub(super) struct Completion {
    store: Arc<dyn Store>,
    shelf: Arc<Shelf>,
    esi: Option<Esi>,
    tag: Option<tag::Tag>,
    appraiser: Option<Appraiser>,
    matcher: Option<Matcher>,
    surveillance: Arc<Surveillance>,
    desk: Arc<Desk>,
}

impl Completion {
    /// Of the stages of these pipelines; `None`: they have none that can leave a kill incomplete.
    pub(super) fn new(definitions: &[impl Borrow<Definition>], resources: &Resources) -> Option<Self> {
        let (mut esi, mut tag, mut appraiser, mut matcher) = (None, None, None, None);
        let stages = definitions.iter().map(Borrow::borrow);
        let stages = stages.flat_map(|of: &Definition| of.stages.iter().map(move |stage| (&of.name, stage)));
        for (pipeline, stage) in stages {
            match stage {
                // What is wrong with the address, the stage has said.
                stages::Config::Detail(detail) if esi.is_none() => {
                    esi = resources.esi.at(&detail.url, resources.contact.as_deref()).ok();
                }
                stages::Config::Tag(config) if tag.is_none() => tag = Some(config.build(pipeline, resources)),
                stages::Config::Price(price) if appraiser.is_none() => appraiser = Some(price.appraiser(resources)),
                stages::Config::Match(_) => matcher = Some(Matcher::new(resources.surveillance.clone())),
                _ => {}
            }
        }
        let is_any = esi.is_some() || tag.is_some() || appraiser.is_some();
        let (store, shelf) = (resources.store.clone(), resources.statics.clone());
        let (surveillance, desk) = (resources.surveillance.clone(), resources.desk.clone());
        is_any.then_some(Self { store, shelf, esi, tag, appraiser, matcher, surveillance, desk })
    }

    /// Works off the queue until it is dropped.
    pub(super) async fn run(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            loop {
                let look = match self.some(AT_ONCE, Timestamp::now()).await {
                    Ok(look) => look,
                    Err(error) => {
                        // It says so itself where it matters.
                        tracing::debug!(%error, "the queue of kills to complete cannot be read now");
                        break;
                    }
                };
                if look.completed > 0 {
                    tracing::info!(completed = look.completed, "completed kills that were stored in part");
                }
                if look.seen < AT_ONCE as usize || look.completed == 0 {
                    break;
                }
            }
        }
    }

    /// One look into the queue.
    async fn some(&self, limit: u32, now: Timestamp) -> Result<Look, Error> {
        let due = self.store.due_refreshes(now, limit).await?;
        let mut look = Look { seen: due.len(), ..Look::default() };
        let (mut ready, mut details, mut esi_is_busy) = (Vec::new(), 0, false);
        for refresh in due {
            let mut work = Work::new(refresh);
            let is_poor = work.kill.mail.as_ref().is_none_or(|mail| mail.form == Form::Feed);
            match self.esi.as_ref().filter(|_| is_poor) {
                None => ready.push(work),
                Some(_) if esi_is_busy => look.waiting.push(work.id),
                Some(_) if details >= DETAILS => {}
                Some(esi) => {
                    details += 1;
                    match self.detail(esi, &mut work).await? {
                        Came::Complete => ready.push(work),
                        Came::Not => {}
                        Came::Busy => {
                            esi_is_busy = true;
                            look.waiting.push(work.id);
                        }
                    }
                }
            }
        }
        self.finish(ready, &mut look).await?;
        if look.seen >= limit as usize && !look.waiting.is_empty() {
            self.store.defer_refreshes(&look.waiting, now + ASIDE).await?;
        }
        Ok(look)
    }

    /// Fetches what the feed left out.
    async fn detail(&self, esi: &Esi, work: &mut Work) -> Result<Came, Error> {
        match detail::complete(esi, &mut work.kill, Ask::background(PATIENCE)).await {
            Ok(_) => {
                (work.is_detailed, work.kill.source, work.kill.received_at) = (true, SOURCE, Timestamp::now());
                Ok(Came::Complete)
            }
            Err(detail::Incomplete::Busy(_)) => Ok(Came::Busy),
            Err(detail::Incomplete::Later(why)) => {
                self.postpone(work, &why).await?;
                Ok(Came::Not)
            }
            Err(error) => {
                self.give_up(work, &error.to_string()).await?;
                Ok(Came::Not)
            }
        }
    }

    /// Tags and prices kills that have their items, and stores those that have gained by it.
    async fn finish(&self, mut works: Vec<Work>, look: &mut Look) -> Result<(), Error> {
        let is_in_vain = |work: &Work| !work.is_detailed && self.is_in_vain(&work.kill);
        look.waiting.extend(works.extract_if(.., |work| is_in_vain(work)).map(|work| work.id));
        if let Some(tag) = &self.tag {
            tag.tag(works.iter_mut().map(|work| &mut work.kill)).await;
        }
        self.price(&mut works).await;
        let mut done = Vec::new();
        for mut work in works {
            // It is stored with what there was, and stays due until a service is back, or has answered.
            if work.waits && !work.is_detailed {
                look.waiting.push(work.id);
            } else if !work.kill.refresh || work.is_detailed {
                done.push(work);
            } else if work.attempts < ATTEMPTS_MAX {
                self.postpone(&work, "find out all of it in time").await?;
            } else {
                tracing::warn!(killmail_id = %work.id, "a kill stays as it is for good: what it lacks was never to be had");
                work.kill.refresh = false;
                done.push(work);
            }
        }
        self.match_again(done.iter_mut().map(|work| &mut work.kill));
        let mut left = &done[..];
        while !left.is_empty() {
            let (works, rest) = left.split_at(together(left));
            look.completed += self.store(works).await?;
            left = rest;
        }
        Ok(())
    }

    /// What was found later may matter to those who watch: they are told of what they did not match before.
    fn match_again<'k>(&self, kills: impl Iterator<Item = &'k mut Kill>) {
        let Some(matcher) = &self.matcher else { return };
        let (now, mut kills) = (Timestamp::now(), kills.collect::<Vec<_>>());
        matcher.match_all(kills.iter_mut().map(|kill| &mut **kill));
        for kill in kills {
            kill.alerts = self.desk.notices(kill, &self.surveillance, now).map(Arc::from);
        }
    }

    /// Whether it lacks prices that cannot be had now.
    fn is_in_vain(&self, kill: &Kill) -> bool {
        let statics = self.shelf.current();
        let want = self.appraiser.as_ref().and_then(|appraiser| Some((appraiser, price::want(kill, &statics)?)));
        want.is_some_and(|(appraiser, want)| appraiser.is_in_vain(&statics, &want))
    }

    async fn price(&self, works: &mut [Work]) {
        let Some(appraiser) = &self.appraiser else { return };
        let (statics, deadline) = (self.shelf.current(), Instant::now() + PRICED_WITHIN);
        let priced: Vec<bool> = works.iter().map(|work| price::want(&work.kill, &statics).is_some()).collect();
        let kills = works.iter_mut().map(|work| &mut work.kill);
        let outcomes = price::price(appraiser, &statics, kills, deadline).await;
        let delays = outcomes.into_iter().map(|(_, delay)| delay);
        let priced = works.iter_mut().zip(priced).filter(|(_, is_priced)| *is_priced);
        for ((work, _), delay) in priced.zip(delays) {
            work.waits = delay.is_some();
        }
    }

    /// Stores kills together; one that is refused alone. Answers how many are stored and lack nothing more.
    async fn store(&self, works: &[Work]) -> Result<u32, Error> {
        let kills: Vec<&Kill> = works.iter().map(|work| &work.kill).collect();
        match self.store.insert_kills(&kills, false).await {
            Ok(_) => {}
            Err(Error::Data { message, .. }) if kills.len() == 1 => {
                self.give_up(&works[0], &message).await?;
                return Ok(0);
            }
            Err(Error::Data { .. }) => {
                let mut completed = 0;
                for work in works {
                    completed += Box::pin(self.store(std::slice::from_ref(work))).await?;
                }
                return Ok(completed);
            }
            Err(error) => return Err(error),
        }
        let completed = works.iter().filter(|work| !work.kill.refresh).count() as u32;
        metrics::counter!("broadside_refreshes_total", "result" => "completed").increment(completed.into());
        self.desk.ring();
        Ok(completed)
    }

    async fn postpone(&self, work: &Work, why: &str) -> Result<(), Error> {
        if work.attempts >= ATTEMPTS_MAX {
            return self.give_up(work, why).await;
        }
        tracing::debug!(killmail_id = %work.id, "a kill stays partial: failed to {why}");
        let doubled = AGAIN_AFTER.saturating_mul(1 << work.attempts.min(16)).min(AGAIN_MOST);
        self.store.postpone_refresh(work.id, Some(Timestamp::now() + doubled)).await?;
        metrics::counter!("broadside_refreshes_total", "result" => "postponed").increment(1);
        Ok(())
    }

    async fn give_up(&self, work: &Work, why: &str) -> Result<(), Error> {
        tracing::warn!(killmail_id = %work.id, "a kill stays partial for good: failed to {why}");
        self.store.postpone_refresh(work.id, None).await?;
        metrics::counter!("broadside_refreshes_total", "result" => "given_up").increment(1);
        Ok(())
    }
}

/// How many of these, from the first on, are stored together: at least one.
fn together(works: &[Work]) -> usize {
    let mut matches = 0;
    let fitting = works.iter().take(STORED_AT_ONCE).take_while(|work| {
        matches += work.kill.matches.as_ref().map_or(0, |matches| matches.len());
        matches <= MATCHES_AT_ONCE
    });
    fitting.count().max(1)
}

/// What a look came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    seen: usize,
    completed: u32,
    /// They need a service that is down, or has not answered yet.
    waiting: Vec<KillmailId>,
}

/// What an attempt at a kill's items came to.
enum Came {
    Complete,
    Not,
    /// There was none: ESI has no time for old kills now.
    Busy,
}

/// A kill of the queue.
struct Work {
    id: KillmailId,
    attempts: u32,
    kill: Kill,
    /// ESI has brought its items.
    is_detailed: bool,
    /// A service that it needs is down, or has not answered yet.
    waits: bool,
}

impl Work {
    fn new(refresh: Refresh) -> Self {
        let Refresh { killmail_id: id, attempts, payload, source, received_at } = refresh;
        let source = SOURCES.into_iter().find(|known| *known == source).unwrap_or(SOURCE);
        let mut kill = Kill::new(payload.into(), source, received_at, true);
        kill.mail = wire::decode(&kill.raw).ok().map(Arc::new);
        kill.revises = true;
        Self { id, attempts, kill, is_detailed: false, waits: false }
    }
}

#[cfg(test)]
#[path = "completion_tests.rs"]
mod tests;
