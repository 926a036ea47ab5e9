//! How alerts are delivered: what the sink `webhook` may be told.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::line::Rules;
use crate::duration::Span;
use crate::profile::document::Format;

/// Everything has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Of a kill that is older nobody is told, whatever the reason.
    pub max_age: Span,
    /// What a profile matches beyond so many kills a minute is told in one message at the end of the minute.
    pub digest_above: u32,
    /// A target that refuses so many alerts in a row is told nothing any more, until a profile with it is written anew.
    pub failures_max: NonZeroU32,
    /// How long a target may take to answer.
    pub timeout: Span,
    /// Messages to one target, evenly spread. Not set: 5 in 2 s to Discord, which is its own limit, and 20 a second to others.
    pub rate_limit: Option<Rate>,
    /// Targets that are told at the same time.
    #[schemars(range(min = 1, max = 256))]
    pub targets_at_once: NonZeroU32,
}

/// So many messages in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub messages: NonZeroU32,
    pub per: Span,
}

const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age: Span::from_secs(3600),
            digest_above: 30,
            failures_max: number(5),
            timeout: Span::from_secs(10),
            rate_limit: None,
            targets_at_once: number(64),
        }
    }
}

impl Settings {
    /// What a target's line goes by. Messages are spaced from the answer to one to the next: so they never come closer, however long either takes to arrive.
    #[must_use]
    pub fn rules(&self, format: Format) -> Rules {
        let spacing = match (self.rate_limit, format) {
            (Some(rate), _) => rate.per.0 / rate.messages.get(),
            (None, Format::Discord) => Duration::from_millis(400),
            (None, Format::Json) => Duration::from_millis(50),
        };
        Rules { max_age: self.max_age(), digest_above: self.digest_above, spacing }
    }

    /// As kills' times are compared.
    #[must_use]
    pub fn max_age(&self) -> SignedDuration {
        SignedDuration::try_from(self.max_age.0).unwrap_or(SignedDuration::MAX)
    }
}
