//! Which sources `failover` may stand between: the one place where sources meet.

use std::sync::Arc;

use broadside_engine::Factory;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::failover::{self, Failover, Feed};
use super::{wanderer, zkillboard};
use crate::feeds::Standing;
use crate::killmail::Kill;
use crate::resources::Resources;

/// `[source.failover]`
pub type Config = failover::Config<Primary, Fallback>;

/// The feed that serves when it can: it hands out each kill once, and shows signs of life.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Primary {
    /// Without filters, so that both feeds can be compared. An empty url: there is no primary, and the fallback serves alone.
    Wanderer(wanderer::Config),
}

/// The feed that remembers: it has every kill, and can be asked again.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    Zkillboard(zkillboard::Config),
}

/// Builds what builds it.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn build(config: &Config, pipeline: &str, resources: &Resources) -> Result<Arc<dyn Factory<Kill>>, String> {
    let limits = config.limits()?;
    let Fallback::Zkillboard(fallback) = &config.fallback;
    let fallback = fallback.open(pipeline, resources)?;
    let Some(primary) = primary(config)? else {
        resources.feeds.set(pipeline, alone, |_| {});
        return Ok(Arc::new(fallback));
    };
    let primary =
        primary.factory(pipeline, resources.contact.as_deref()).map_err(|error| format!("failed to {error}"))?;
    let pulse = primary.pulse();
    let primary = Feed { name: wanderer::NAME, factory: Arc::new(primary) };
    let fallback = Feed { name: zkillboard::NAME, factory: Arc::new(fallback) };
    Ok(Arc::new(Failover::new(pipeline, (primary, pulse), fallback, limits, resources.feeds.clone())))
}

/// Whether both feeds have what they need.
///
/// # Errors
/// As [`build`].
pub(super) fn check(config: &Config, pipeline: &str, contact: Option<&str>) -> Result<(), String> {
    config.limits()?;
    let Fallback::Zkillboard(fallback) = &config.fallback;
    fallback.check(contact)?;
    match primary(config)? {
        Some(primary) => primary.factory(pipeline, contact).map(drop).map_err(|error| format!("failed to {error}")),
        None => Ok(()),
    }
}

/// The primary, if one is set.
fn primary(config: &Config) -> Result<Option<&wanderer::Config>, String> {
    let Primary::Wanderer(primary) = &config.primary;
    if !primary.system_ids.is_empty() || !primary.character_ids.is_empty() || primary.min_value.is_some() {
        return Err(
            "use a primary with filters: the fallback has every kill, so the two could not be compared".to_owned()
        );
    }
    Ok(Some(primary).filter(|primary| !primary.url.trim().is_empty()))
}

/// Who serves when, in a sentence.
pub(super) fn feeds(config: &Config) -> String {
    let fallback = zkillboard::NAME;
    match primary(config) {
        Ok(Some(_)) => format!(
            "{} serves; {fallback} after {} of silence, or when a kill is missing for {}",
            wanderer::NAME,
            config.silence,
            config.behind
        ),
        _ => format!("no primary is set: {fallback} serves alone"),
    }
}

fn alone() -> Standing {
    Standing {
        primary: None,
        fallback: zkillboard::NAME,
        serving: zkillboard::NAME,
        state: "serving",
        reason: Some("no primary is set: the fallback serves alone".to_owned()),
        since: Timestamp::now(),
        switches: 0,
        held: 0,
        gap_messages: 0,
    }
}
