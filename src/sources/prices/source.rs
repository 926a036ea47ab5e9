//! The source: hands products out, keeps progress and claim, obeys.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broadside_engine::{Demand, Failure, Flow, Message, Source};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Shared;
use super::run::Run;
use crate::price::Product;
use crate::price::job::{Action, Job, Market, Move, Outlook, State, Status};
use crate::price_job::{Refusal, look, publish};
use crate::store::{Claim, Error, To};

/// Between two looks at the store while there is a run.
const TICK: Duration = Duration::from_millis(200);
/// Progress that is not written is lost with the process.
const SAVE_AHEAD: Duration = Duration::from_millis(200);
/// The same when there is none: the state may have been changed by another process.
const SAVE_ANYWAY: Duration = Duration::from_millis(500);
const CLAIM_CHECK: Duration = Duration::from_millis(500);
/// Between looks whether the next run is due.
const DUE_CHECK: Duration = Duration::from_secs(30);
/// Said of a run whose epoch is over.
const OVER: &str = "stopped, or taken over by another process";
/// Said of a job whose worker was stopped.
const STOPPED: &str = "the worker that was at it was stopped";

#[derive(Debug)]
pub(super) struct Prices {
    shared: Arc<Shared>,
    /// There for as long as there is a run, unless it is lost.
    claim: Option<Box<dyn Claim>>,
    /// From the begin of a run to its end, also when it was taken away meanwhile.
    is_at_it: bool,
    claim_checked_at: Instant,
    due_checked_at: Option<Instant>,
    is_new: bool,
}

impl Prices {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        // An incarnation that crashed may have left a run.
        let is_at_it = shared.run().is_some();
        Self { shared, claim: None, is_at_it, claim_checked_at: Instant::now(), due_checked_at: None, is_new: true }
    }

    /// At the start: what a worker that is gone has left behind.
    async fn settle_in(&mut self) {
        self.is_new = false;
        self.shared.board.serve(true);
        let job = match look(&*self.shared.store).await {
            Ok(job) => job,
            Err(error) => return tracing::warn!(%error, "failed to look at the price job"),
        };
        if self.shared.run().is_none() {
            publish(&Status::new(&job, &Outlook::of(&job)));
        }
        if self.shared.config.resume && job.state == State::Paused && job.reason.is_some() {
            self.begin_by_itself(Action::Resume).await;
        }
    }

    async fn begin_by_itself(&mut self, action: Action) {
        match self.begin(action).await {
            Ok(()) => tracing::info!(%action, "the price job goes on by itself"),
            Err(refusal) => tracing::warn!(error = %refusal, %action, "the price job cannot go on by itself"),
        }
    }

    async fn begin(&mut self, action: Action) -> Result<(), Refusal> {
        self.step().await;
        if let Some(job) = self.shared.with_run(|run| run.job.clone()) {
            return self.begin_again(action, &job).await;
        }
        let (claim, run) = self.shared.begin(action, rand::random()).await?;
        (self.claim, self.claim_checked_at) = (Some(claim), Instant::now());
        let (markets, products) = (run.job.markets.len(), run.job.markets.iter().map(Market::remaining).sum::<u64>());
        tracing::info!(pipeline = self.shared.pipeline, %action, markets, products, "the price job is being processed");
        *self.shared.run() = Some(run);
        self.is_at_it = true;
        self.want();
        Ok(())
    }

    /// There is a run here: one that is being paused may go on before it has come to rest.
    async fn begin_again(&mut self, action: Action, job: &Job) -> Result<(), Refusal> {
        let to = job.state.after(action)?;
        if self.claim.is_none() || to != State::Processing {
            return Err(Refusal::Busy);
        }
        let change = Move::of(job, to, Timestamp::now());
        if !self.shared.store.move_price_job(&change).await? {
            return Err(Refusal::Busy);
        }
        self.shared.with_run(|run| (run.job.state, run.job.reason, run.job.changed_at) = (to, None, Some(change.at)));
        self.want();
        Ok(())
    }

    /// Says whether the stage is to go on, and how the job stands.
    fn want(&self) {
        if self.shared.board.is_changed() {
            // What is known here is out of date.
            return self.shared.board.want(None);
        }
        let (now, has_claim) = (Instant::now(), self.claim.is_some());
        let wanted = self.shared.with_run(|run| {
            let is_wanted = has_claim && run.job.state == State::Processing;
            run.work(is_wanted, now);
            is_wanted.then_some(run.id)
        });
        self.shared.board.want(wanted.flatten());
        self.shared.show();
    }

    /// Does what is due: progress, claim, state.
    async fn step(&mut self) {
        let now = Instant::now();
        let Some(id) = self.shared.with_run(|run| run.id) else {
            if self.is_at_it {
                self.end(OVER).await;
            }
            return self.start_if_due(now).await;
        };
        if let Some(why) = self.shared.board.take_broken(id) {
            tracing::error!(error = why, "the price job cannot go on");
            self.shared.save_and_move(Action::Broken, Some(why)).await;
        }
        if self.shared.board.take_changed() {
            let _ = self.shared.save().await;
        }
        self.shared.save_if_due(now).await;
        self.keep_claim(now).await;
        let Some((state, is_done, is_drained)) =
            self.shared.with_run(|run| (run.job.state, run.is_done(), run.is_drained()))
        else {
            return self.end(OVER).await;
        };
        match state {
            State::Processing if is_done && self.claim.is_some() => {
                if self.shared.save_and_move(Action::Done, None).await {
                    self.end("completed").await;
                }
            }
            State::Paused if is_drained => {
                if self.shared.save().await.is_ok() {
                    self.end("paused").await;
                }
            }
            State::Processing | State::Initializing | State::Paused => self.want(),
            State::Idle | State::Completed | State::Error => self.end(state.as_str()).await,
        }
    }

    /// A claim that is lost is taken again, if nobody else has taken the job on meanwhile.
    async fn keep_claim(&mut self, now: Instant) {
        if now.saturating_duration_since(self.claim_checked_at) < CLAIM_CHECK {
            return;
        }
        self.claim_checked_at = now;
        if let Some(claim) = &mut self.claim {
            if claim.is_held().await {
                return;
            }
            tracing::warn!("the claim on the price job is lost: nothing is asked for until it is back");
            self.claim = None;
            self.want();
        }
        // While the store is away, this is tried again.
        let Ok(Some(claim)) = self.shared.store.claim_price_job(To::Work).await else { return };
        match self.shared.go_on().await {
            Ok(true) => {
                tracing::info!("the claim on the price job is back");
                self.claim = Some(claim);
            }
            Ok(false) => {
                *self.shared.run() = None;
                claim.release().await;
            }
            Err(_) => claim.release().await,
        }
    }

    /// The run is over, or rests: lets go of it.
    async fn end(&mut self, why: &str) {
        self.is_at_it = false;
        self.shared.board.want(None);
        let run = self.shared.run().take();
        self.shared.complaints().tell();
        if let Some(run) = run {
            let done: u64 = run.job.markets.iter().map(Market::completed).sum();
            tracing::info!(pipeline = self.shared.pipeline, products = done, "the price job rests: {why}");
            publish(&Status::new(&run.job, &run.outlook));
        }
        if let Some(claim) = self.claim.take() {
            claim.release().await;
        }
        self.shared.board.show_nothing();
    }

    async fn start_if_due(&mut self, now: Instant) {
        let Some(every) = self.shared.config.every.and_then(|every| SignedDuration::try_from(every.0).ok()) else {
            return;
        };
        if self.due_checked_at.is_some_and(|at| now.saturating_duration_since(at) < DUE_CHECK) {
            return;
        }
        self.due_checked_at = Some(now);
        let Ok(job) = look(&*self.shared.store).await else { return };
        let since = job.changed_at.map(|at| Timestamp::now().duration_since(at));
        if job.state == State::Completed && since.is_some_and(|since| since >= every) {
            // No run of ours is under way: nothing is waited for in a circle.
            Box::pin(self.begin_by_itself(Action::Start)).await;
        }
    }

    /// When to look again, if nothing happens.
    fn next_tick(&self) -> Option<Instant> {
        let tick = if self.is_at_it { TICK } else { self.shared.config.every.map(|_| DUE_CHECK)? };
        Some(Instant::now() + tick)
    }

    fn hand_out(&self, demand: &mut Demand<Product>) {
        if self.claim.is_none() {
            return;
        }
        let width = self.shared.board.width();
        self.shared.with_run(|run| {
            let lot = run.lot(demand.room(), width);
            demand.reserve(lot.len());
            for (number, type_id) in lot {
                let product = Product { run: run.id, market: run.market_id(), type_id, quote: None };
                demand.push(Message::new(product).with_position(run.id, number));
            }
        });
    }
}

#[async_trait]
impl Source<Product> for Prices {
    async fn pull(&mut self, demand: &mut Demand<Product>) -> Result<Flow, Failure> {
        if self.is_new {
            self.settle_in().await;
        }
        self.want();
        loop {
            if demand.is_interrupted() {
                // Nobody looks after the run until the next pull.
                self.shared.board.want(None);
                return Ok(Flow::More);
            }
            self.hand_out(demand);
            if !demand.is_empty() {
                return Ok(Flow::More);
            }
            let tick = self.next_tick();
            let ticks = async {
                match tick {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let board = self.shared.board.clone();
            tokio::select! {
                biased;
                () = demand.interrupted() => {}
                wishes = board.wishes() => {
                    for wish in wishes {
                        let _ = wish.tell.send(self.begin(wish.action).await);
                    }
                }
                () = board.nudged() => self.step().await,
                () = ticks => self.step().await,
            }
        }
    }

    /// All that was handed out is settled. A run that is under way waits to be resumed.
    async fn close(&mut self) {
        self.shared.board.serve(false);
        if self.shared.with_run(|run| run.job.state.is_running()) == Some(true) {
            self.shared.save_and_move(Action::Pause, Some(STOPPED.to_owned())).await;
        } else if self.shared.run().is_some() {
            let _ = self.shared.save().await;
        }
        self.end("the worker is being stopped").await;
    }
}

impl Drop for Prices {
    fn drop(&mut self) {
        self.shared.board.serve(false);
        self.shared.board.want(None);
    }
}

impl Shared {
    /// How the job stands, for those who ask.
    fn show(&self) {
        let shown = self.with_run(|run| (run.job.clone(), run.outlook.clone(), run.progress_at));
        if let Some((job, outlook, progress_at)) = shown {
            publish(&Status::new(&job, &outlook));
            self.board.show(job, outlook, progress_at);
        }
    }

    pub(super) async fn save_if_due(&self, now: Instant) {
        if self.with_run(|run| run.is_due(now, SAVE_AHEAD, SAVE_ANYWAY)) == Some(true) {
            // What is not written now is written soon: who waits for the store is told of its trouble elsewhere.
            let _ = self.save().await;
        }
    }

    /// Writes how far the run is, and hears what state the job is in. A run whose epoch is over ends.
    async fn save(&self) -> Result<(), Error> {
        let _turn = self.saving.lock().await;
        let snapshot = |run: &mut Run| {
            run.pass(Instant::now());
            run.is_ahead = false;
            run.saved_at = Instant::now();
            (run.id, run.job.epoch, run.job.markets.clone())
        };
        let Some((id, epoch, markets)) = self.with_run(snapshot) else { return Ok(()) };
        let saved = self.store.save_price_progress(epoch, &markets).await;
        let mut kept = self.run();
        let Some(run) = kept.as_mut().filter(|run| run.id == id) else { return Ok(()) };
        match saved {
            Ok(Some(state)) => run.job.state = state,
            Ok(None) => {
                // A stop keeps the run's figures and ends its epoch.
                *kept = None;
                self.board.want(None);
            }
            Err(error) => {
                tracing::debug!(%error, "failed to write the price job's progress");
                run.is_ahead = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The last word of a run, and then the change; whether it was made.
    async fn save_and_move(&self, action: Action, reason: Option<String>) -> bool {
        if self.save().await.is_err() {
            return false;
        }
        let Some(job) = self.with_run(|run| run.job.clone()) else { return false };
        let Ok(to) = job.state.after(action) else { return false };
        let change = Move { reason, ..Move::of(&job, to, Timestamp::now()) };
        let is_made = self.store.move_price_job(&change).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to change the price job's state");
            false
        });
        if is_made {
            self.with_run(|run| {
                (run.job.state, run.job.reason, run.job.changed_at) = (to, change.reason, Some(change.at));
            });
        }
        is_made
    }

    /// With a claim that was lost in between: goes on in an epoch of its own, unless the job is another's.
    async fn go_on(&self) -> Result<bool, Error> {
        let job = self.store.price_job().await?;
        let is_ours = self.with_run(|run| run.job.epoch) == Some(job.epoch);
        if !is_ours || !job.state.is_begun() {
            return Ok(false);
        }
        let mut change = Move::of(&job, job.state, Timestamp::now()).taking_over();
        change.reason.clone_from(&job.reason);
        if !self.store.move_price_job(&change).await? {
            return Ok(false);
        }
        self.with_run(|run| (run.job.epoch, run.job.state) = (change.next_epoch, job.state));
        Ok(true)
    }
}
