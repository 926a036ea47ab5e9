//! The rounds of a courier that has the claim: looks for alerts, sees to each target's line when it is due, and takes note of what deliveries come to.

mod refusals;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use broadside_engine::Failure;
use broadside_engine::supervision::{Crew, guarded};
use metrics::{counter, gauge};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivered, Deliverer};
use super::desk::Desk;
use super::line::{Line, Next, Now, Parcel, Rules, WAITING_MAX};
use super::settings::Settings;
use crate::killmail::TargetId;
use crate::profile::document::Format;
use crate::store::{Claim, DisabledTarget, Error};

/// Between two looks when nobody rings: another process may have made an alert out.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks between two counts of what waits.
const COUNT_EVERY: u32 = 5;
/// Targets that are told at the same time, whatever is set.
const TARGETS_MAX: u32 = 256;
/// Alerts read at once.
const READ_MAX: u32 = 1000;
/// Past the time that a target has to answer.
const GRACE: Duration = Duration::from_secs(1);
/// How long a line waits for a store that could not tell.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// What a task came to.
enum Done {
    /// At this target; whether it was a digest.
    Delivery(TargetId, bool, Result<Delivered, Failure>),
    /// That this target is disabled.
    Noted(TargetId, Result<(), Error>),
}

pub(super) struct Rounds {
    deliverer: Arc<Deliverer>,
    desk: Arc<Desk>,
    rules: Rules,
    settings: Settings,
    drain_deadline: Duration,
    lines: HashMap<TargetId, Line>,
    /// When a line is to be seen to: each once.
    due: BTreeSet<(Instant, TargetId)>,
    planned: HashMap<TargetId, Instant>,
    /// Deliveries under way.
    crew: Crew<Done>,
    sending: HashSet<TargetId>,
    disabled: HashMap<TargetId, DisabledTarget>,
    /// Those of them that the store does not know yet.
    unnoted: HashSet<TargetId>,
    /// Everything up to this id was read.
    read_to: i64,
    /// Rows to be deleted, and the lines that wait for it.
    ended: Vec<i64>,
    held: Vec<TargetId>,
}

impl Rounds {
    pub(super) fn new(
        deliverer: Arc<Deliverer>,
        desk: Arc<Desk>,
        settings: Settings,
        drain_deadline: Duration,
    ) -> Self {
        Self {
            deliverer,
            desk,
            rules: settings.rules(Format::Discord),
            settings,
            drain_deadline,
            lines: HashMap::new(),
            due: BTreeSet::new(),
            planned: HashMap::new(),
            crew: Crew::new(),
            sending: HashSet::new(),
            disabled: HashMap::new(),
            unnoted: HashSet::new(),
            read_to: 0,
            ended: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Until it is stopped, or the claim is lost.
    pub(super) async fn make(&mut self, mut claim: Box<dyn Claim>, stop: &CancellationToken) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_begun, mut looks) = (false, 0_u32);
        loop {
            let desk = self.desk.clone();
            let wake = self.due.first().map(|(at, _)| *at).filter(|_| self.has_seat());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.crew.next() => self.done(done),
                _ = every.tick() => {
                    if !claim.is_held().await {
                        tracing::warn!("the delivery of alerts is another's now, or nobody's: it is claimed again");
                        break;
                    }
                    is_begun = is_begun || self.begin().await;
                    self.count(looks).await;
                    looks = looks.wrapping_add(1);
                    self.look(is_begun).await;
                }
                () = desk.rung() => self.look(is_begun).await,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
            self.delete().await;
            self.see_to_lines().await;
        }
        self.finish().await;
        claim.release().await;
    }

    /// What earlier couriers knew.
    async fn begin(&mut self) -> bool {
        match self.deliverer.store.disabled_targets().await {
            Ok(disabled) => {
                self.disabled = disabled.into_iter().map(|target| (target.target, target)).collect();
                self.show_disabled();
                true
            }
            Err(error) => {
                tracing::debug!(%error, "the targets of alerts cannot be read now");
                false
            }
        }
    }

    async fn count(&self, looks: u32) {
        if looks.is_multiple_of(COUNT_EVERY)
            && let Ok(count) = self.deliverer.store.count_alerts().await
        {
            gauge!("broadside_alerts_pending").set(count as f64);
        }
    }

    /// Reads what is new in the table, and gives each line its own.
    async fn look(&mut self, is_begun: bool) {
        if !is_begun {
            return;
        }
        loop {
            let alerts = match self.deliverer.store.alerts_after(self.read_to, None, READ_MAX).await {
                Ok(alerts) => alerts,
                Err(error) => {
                    tracing::debug!(%error, "alerts cannot be read now");
                    return;
                }
            };
            let (count, now) = (alerts.len(), Instant::now());
            for alert in alerts {
                self.read_to = alert.alert_id;
                self.lines.entry(alert.of.target).or_default().offer(alert);
                self.plan(alert.of.target, now);
            }
            if count < READ_MAX as usize {
                return;
            }
        }
    }

    fn has_seat(&self) -> bool {
        self.sending.len() < self.settings.targets_at_once.get().min(TARGETS_MAX) as usize
    }

    /// The line is to be seen to then, if not sooner.
    fn plan(&mut self, target: TargetId, at: Instant) {
        if self.sending.contains(&target) || self.held.contains(&target) {
            return;
        }
        match self.planned.get(&target) {
            Some(planned) if *planned <= at => return,
            Some(planned) => {
                self.due.remove(&(*planned, target));
            }
            None => {}
        }
        self.planned.insert(target, at);
        self.due.insert((at, target));
    }

    async fn see_to_lines(&mut self) {
        let now = Instant::now();
        while let Some((at, target)) = self.due.first().copied() {
            if at > now || !self.has_seat() {
                return;
            }
            self.due.pop_first();
            self.planned.remove(&target);
            if let Err(error) = self.see_to(target).await {
                tracing::debug!(%error, "a target's alerts cannot be read now");
                self.plan(target, Instant::now() + STORE_AGAIN);
            }
        }
    }

    async fn see_to(&mut self, target: TargetId) -> Result<(), Error> {
        loop {
            if self.disabled.contains_key(&target) && !self.is_told_again(target).await? {
                self.withdraw(target);
            }
            let now = Now::read();
            let Some(line) = self.lines.get_mut(&target) else { return Ok(()) };
            let next = line.next(&self.rules, now);
            let expired = line.take_expired();
            told("expired", expired.len());
            self.ended.extend(expired);
            match next {
                Next::Send(parcel) => {
                    self.send(target, parcel);
                    return Ok(());
                }
                Next::Wait(at) => {
                    self.plan(target, at);
                    return Ok(());
                }
                Next::Rest => {
                    if line.is_idle(now) {
                        self.lines.remove(&target);
                    } else {
                        // What it remembers is forgotten in time.
                        self.plan(target, now.instant + Duration::from_secs(60));
                    }
                    return Ok(());
                }
                Next::Refill(after) => {
                    let store = &self.deliverer.store;
                    let alerts = store.alerts_after(after, Some(target), WAITING_MAX as u32).await?;
                    line.refill(alerts);
                }
            }
        }
    }

    fn send(&mut self, target: TargetId, parcel: Parcel) {
        let deliverer = self.deliverer.clone();
        self.sending.insert(target);
        self.crew.spawn(async move {
            let is_digest = parcel.is_digest;
            let delivered = guarded(async move { deliverer.deliver(target, &parcel).await }).await;
            Done::Delivery(target, is_digest, delivered)
        });
    }

    /// Takes note of a delivery. The line goes on when the rows of what has ended are deleted.
    fn done(&mut self, done: Result<Done, Failure>) {
        let (target, is_digest, delivered) = match done {
            Ok(Done::Delivery(target, is_digest, delivered)) => (target, is_digest, delivered),
            Ok(Done::Noted(target, Ok(()))) => {
                self.unnoted.remove(&target);
                return;
            }
            // Should it not come to that, the next courier finds out by itself.
            Ok(Done::Noted(_, Err(error))) => return tracing::warn!(%error, "failed to note a disabled target"),
            Err(failure) => return tracing::error!(%failure, "a delivery was lost"),
        };
        self.sending.remove(&target);
        let now = Now::read();
        let Some(line) = self.lines.get_mut(&target) else { return };
        let ended = match delivered {
            Ok(Delivered::Taken { count, pause, format }) => {
                told(if is_digest { "digested" } else { "delivered" }, count);
                line.delivered(count, pause, &self.settings.rules(format), now)
            }
            Ok(Delivered::Later { wait, reason, shown }) => {
                tracing::debug!(target = shown, reason, "an alert is to be sent again");
                told("retried", 1);
                line.later(wait, rand::random(), &self.rules, now);
                Vec::new()
            }
            Ok(Delivered::Refused { count, reason, shown }) => {
                told("failed", count);
                let (ended, refusals) = line.refused(count, &self.rules, now);
                tracing::warn!(target = shown, reason, refusals, "a target refuses an alert for good");
                if refusals >= self.settings.failures_max.get() {
                    self.disable(target, shown, reason);
                }
                ended
            }
            Ok(Delivered::Withdrawn) => {
                let ended = line.withdrawn(usize::MAX);
                told("withdrawn", ended.len());
                ended
            }
            Ok(Delivered::Unknown(error)) => {
                tracing::debug!(%error, "an alert cannot be delivered before the store answers");
                line.later(Some(STORE_AGAIN), 0.0, &self.rules, now);
                Vec::new()
            }
            Err(failure) => {
                tracing::error!(%failure, "a delivery crashed: it is tried again");
                line.later(None, rand::random(), &self.rules, now);
                Vec::new()
            }
        };
        if ended.is_empty() {
            self.plan(target, now.instant);
        } else {
            self.ended.extend(ended);
            self.held.push(target);
        }
    }

    /// Deletes the rows of what has ended; the lines that were held go on. When the store cannot, it is tried again later.
    async fn delete(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        if let Err(error) = self.deliverer.store.remove_alerts(&self.ended).await {
            return tracing::debug!(%error, "alerts that have ended cannot be deleted now");
        }
        self.ended.clear();
        let now = Instant::now();
        for target in std::mem::take(&mut self.held) {
            self.plan(target, now);
        }
    }

    fn withdraw(&mut self, target: TargetId) {
        let Some(line) = self.lines.get_mut(&target) else { return };
        let ids = line.give_up();
        told("withdrawn", ids.len());
        self.ended.extend(ids);
    }

    /// Lets the requests under way end, and notes what came of them.
    async fn finish(&mut self) {
        let deadline = Instant::now() + self.drain_deadline.min(self.settings.timeout.0 + GRACE);
        while let Ok(Some(done)) = timeout_at(deadline, self.crew.next()).await {
            self.done(done);
        }
        self.crew.end().await;
        let _ = timeout_at(deadline, self.delete()).await;
    }
}

/// Counts alerts by what became of them.
fn told(result: &'static str, count: usize) {
    if count > 0 {
        counter!("broadside_alerts_total", "result" => result).increment(count as u64);
    }
}
