//! Taking the job on: for a start or a resumption.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::run::Run;
use super::{Config, Shared};
use crate::killmail::TypeId;
use crate::price::job::{Action, Course, Illegal, Job, Market, Move, State};
use crate::price_job::{Refusal, pause_abandoned};
use crate::store::{Claim, Store, To};

/// Somebody may have the claim for a moment only, to look whether anybody is at the job.
const CLAIM_ATTEMPTS: u32 = 8;
const CLAIM_AGAIN: Duration = Duration::from_millis(150);

impl Shared {
    /// Claims the job and makes its lists; the run goes on as soon as it is wanted.
    pub(super) async fn begin(&self, action: Action, id: u64) -> Result<(Box<dyn Claim>, Run), Refusal> {
        let job = self.store.price_job().await?;
        if !job.state.is_running() {
            job.state.after(action)?;
        }
        if let Some(obstacle) = self.board.obstacle() {
            return Err(Refusal::Refused(obstacle));
        }
        let types: Arc<[TypeId]> = self.config.types(&self.statics.current()).into();
        if types.is_empty() {
            let why = "there is nothing to be priced: import static data (`broadside sde import`), or name `types` in the pipeline file";
            return Err(Refusal::Refused(why.to_owned()));
        }
        let claim = self.claim(action).await?;
        match self.take_on(action, &types).await {
            Ok(job) => Ok((claim, Run::new(id, job, types, Instant::now()))),
            Err(refusal) => {
                claim.release().await;
                Err(refusal)
            }
        }
    }

    async fn claim(&self, action: Action) -> Result<Box<dyn Claim>, Refusal> {
        for attempt in 0..CLAIM_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(CLAIM_AGAIN).await;
            }
            if let Some(claim) = self.store.claim_price_job(To::Work).await? {
                return Ok(claim);
            }
            let state = self.store.price_job().await?.state;
            // The other one has begun.
            if state.is_running() && state.after(action).is_err() && attempt > 2 {
                return Err(Illegal { state, action }.into());
            }
        }
        Err(Refusal::Elsewhere)
    }

    /// With the claim.
    async fn take_on(&self, action: Action, types: &[TypeId]) -> Result<Job, Refusal> {
        let store = &*self.store;
        let mut job = pause_abandoned(store).await?;
        let to = job.state.after(action)?;
        let mut change = Move::of(&job, to, Timestamp::now()).taking_over();
        change = change.with_markets(if action == Action::Resume { job.markets.clone() } else { Vec::new() });
        if to == State::Initializing {
            job = apply(store, &change, &job).await?;
            change = Move::of(&job, State::Processing, Timestamp::now());
        }
        let markets = lists(&self.config, change.markets.take().unwrap_or_default(), types);
        apply(store, &change.with_markets(markets), &job).await
    }
}

async fn apply(store: &dyn Store, change: &Move, job: &Job) -> Result<Job, Refusal> {
    if !store.move_price_job(change).await? {
        return Err(Refusal::Busy);
    }
    change.applied(job).ok_or(Refusal::Busy)
}

/// The markets of a run: those that it has had, or as the settings say. What is left in each is as the types are now.
fn lists(config: &Config, kept: Vec<Market>, types: &[TypeId]) -> Vec<Market> {
    let mut markets = kept;
    if markets.is_empty() {
        markets = config.markets.iter().map(|market| Market::new(*market, 0)).collect();
    }
    for market in &mut markets {
        market.total = market.completed() + Course::new(market, types).remaining();
    }
    markets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_keeps_its_markets_and_what_is_left_is_as_the_types_are_now() {
        let types: Vec<TypeId> = [34, 35, 40, 50].into_iter().filter_map(TypeId::new).collect();
        let config = Config { markets: vec![2, 115], ..Config::default() };
        let fresh = lists(&config, Vec::new(), &types);
        assert_eq!(fresh, [Market::new(2, 4), Market::new(115, 4)]);
        let kept = Market { successful: 2, failed: 1, position: Some(36), ..Market::new(3, 3) };
        assert_eq!(lists(&config, vec![kept], &types), [Market { total: 5, ..kept }]);
    }
}
