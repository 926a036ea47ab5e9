//! Completes kills that came in the feed's form, which carries no items, with ESI's own killmail.
//!
//! What ESI says holds, and zKillboard's block stays as the feed sent it: together they are what a numbered file would have
//! brought, and are stored as such. Kills in any other form are whole and pass untouched, items or not.
//!
//! All kills of a group are fetched at once, within ESI's limits, and none is waited for longer than `max_wait`: what is not there by then passes
//! as it is, to be stored as partial and completed later. Only a hash that ESI refuses three times fails its kill.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broadside_engine::{Failure, Message, Stage};
use bytes::Bytes;
use futures::future::join_all;
use metrics::{Counter, counter};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clients::address;
use crate::clients::esi::{Ask, Error, Esi};
use crate::duration::Span;
use crate::killmail::{Form, Kill, Killmail, KillmailHash, KillmailId, wire};

/// What `detail` may be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// ESI's base address.
    pub url: String,
    /// How long a kill waits for its detail at most.
    pub max_wait: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: "https://esi.evetech.net".to_owned(), max_wait: Span::from_secs(2) }
    }
}

impl Config {
    /// Whether ESI may be called there.
    ///
    /// # Errors
    /// As [`Esi::check`].
    pub fn check(&self, contact: Option<&str>) -> Result<(), address::Error> {
        Esi::check(&self.url, contact)
    }

    /// The stage. Without ESI every kill in the feed's form passes as it is: a backfill of whole kills needs none.
    pub fn build(&self, pipeline: &str, esi: Result<Esi, address::Error>) -> impl Stage<Kill> + use<> {
        Detail { esi, has_warned: AtomicBool::new(false), max_wait: self.max_wait, results: Results::new(pipeline) }
    }
}

struct Detail {
    esi: Result<Esi, address::Error>,
    /// That there is no ESI is said once it is missed.
    has_warned: AtomicBool,
    max_wait: Span,
    results: Results,
}

struct Results {
    fetched: Counter,
    cached: Counter,
    partial: Counter,
    refused: Counter,
}

impl Results {
    fn new(pipeline: &str) -> Self {
        let result = |result: &'static str| counter!("broadside_detail_total", "pipeline" => pipeline.to_owned(), "result" => result);
        let (fetched, cached) = (result("fetched"), result("cached"));
        Self { fetched, cached, partial: result("partial"), refused: result("refused") }
    }
}

#[async_trait]
impl Stage<Kill> for Detail {
    async fn process(&self, messages: &mut [Message<Kill>]) {
        let ask = Ask::live(self.max_wait.0);
        join_all(messages.iter_mut().filter(|message| is_poor(message)).map(|message| self.complete(message, ask)))
            .await;
    }
}

fn is_poor(message: &Message<Kill>) -> bool {
    message.payload.mail.as_ref().is_some_and(|mail| mail.form == Form::Feed)
}

/// Why a kill could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum Incomplete {
    /// Without its hash a kill can never be had.
    #[error("ask for a kill without its hash")]
    NoHash,
    /// The hash is not this kill's, as often as it is asked.
    #[error("{0}")]
    Refused(Error),
    /// ESI's limits have no room for it in time.
    #[error("{0}")]
    Busy(Error),
    /// Not now.
    #[error("{0}")]
    Later(String),
}

/// Fetches what the feed's form leaves out, and puts the kill together. Answers whether ESI's part was there already.
///
/// # Errors
/// The kill is as it was.
pub async fn complete(esi: &Esi, kill: &mut Kill, ask: Ask) -> Result<bool, Incomplete> {
    let Some((id, hash)) = kill.mail.as_ref().and_then(|mail| Some((mail.killmail_id, mail.killmail_hash?))) else {
        return Err(Incomplete::NoHash);
    };
    let detail = esi.killmail(id, hash, ask).await.map_err(|error| match error {
        Error::Refused { .. } => Incomplete::Refused(error),
        Error::Busy { .. } => Incomplete::Busy(error),
        error => Incomplete::Later(error.to_string()),
    })?;
    let unreadable = |error| Incomplete::Later(format!("read ESI's killmail: {error}"));
    let (whole, mail) = whole(id, hash, &detail.body, &kill.raw).map_err(unreadable)?;
    (kill.whole, kill.mail) = (Some(whole), Some(Arc::new(mail)));
    Ok(detail.is_cached)
}

impl Detail {
    async fn complete(&self, message: &mut Message<Kill>, ask: Ask) {
        let esi = match &self.esi {
            Ok(esi) => esi,
            Err(error) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("kills without items stay so: failed to {error}");
                }
                return self.leave(message);
            }
        };
        match complete(esi, &mut message.payload, ask).await {
            Ok(true) => self.results.cached.increment(1),
            Ok(false) => self.results.fetched.increment(1),
            Err(Incomplete::NoHash) => self.results.partial.increment(1),
            Err(Incomplete::Refused(error)) => {
                self.results.refused.increment(1);
                message.fail(Failure::permanent(error.to_string()).with("http_status", "422"));
            }
            Err(error @ (Incomplete::Busy(_) | Incomplete::Later(_))) => {
                tracing::debug!("a kill stays partial: failed to {error}");
                self.leave(message);
            }
        }
    }

    fn leave(&self, message: &mut Message<Kill>) {
        message.payload.refresh = true;
        self.results.partial.increment(1);
    }
}

/// The feed's bytes, as far as they are of use.
#[derive(Deserialize)]
struct Feed<'a> {
    #[serde(borrow)]
    zkb: Option<&'a RawValue>,
    #[serde(borrow)]
    package: Option<Box<Feed<'a>>>,
}

/// The package that zKillboard would have sent: ESI's bytes as they are, and the feed's `zkb` as it is.
fn whole(id: KillmailId, hash: KillmailHash, esi: &Bytes, feed: &[u8]) -> Result<(Bytes, Killmail), wire::Error> {
    let zkb = serde_json::from_slice(feed).ok().and_then(|feed: Feed<'_>| feed.zkb.or_else(|| feed.package?.zkb));
    let zkb = zkb.map_or("null", RawValue::get);
    let mut package = Vec::with_capacity(esi.len() + zkb.len() + 120);
    package.extend_from_slice(format!(r#"{{"killmail_id":{id},"hash":"{hash}","esi":"#).as_bytes());
    package.extend_from_slice(esi);
    package.extend_from_slice(br#","zkb":"#);
    package.extend_from_slice(zkb.as_bytes());
    package.push(b'}');
    let mail = wire::decode(&package)?;
    Ok((package.into(), mail))
}
