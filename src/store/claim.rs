//! Claims: which of the workers of a database does what only one is to do.

use async_trait::async_trait;

use super::Error;

/// The right to do something that only one worker of a database is to do, or the knowledge that nobody does. It never outlives its process.
#[async_trait]
pub trait Claim: Send + Sync + std::fmt::Debug {
    /// Whether it still holds; one that was lost stays so.
    async fn is_held(&mut self) -> bool;
    /// Gives it back. Dropping it does so too, in time.
    async fn release(self: Box<Self>);
}

/// Whether the claim is held, or can be had now: whoever has it keeps it from round to round.
///
/// # Errors
/// The store could not be asked for it.
pub async fn keep_claim<F>(claim: &mut Option<Box<dyn Claim>>, ask: impl FnOnce() -> F) -> Result<bool, Error>
where
    F: Future<Output = Result<Option<Box<dyn Claim>>, Error>>,
{
    let is_held = match claim {
        Some(claim) => claim.is_held().await,
        None => false,
    };
    if !is_held {
        *claim = ask().await?;
    }
    Ok(claim.is_some())
}
