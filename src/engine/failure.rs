//! Why a message failed, as data.

use std::borrow::Cow;
use std::sync::Arc;

/// What kind of failure, and so what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The record is wrong: it will fail again as it is. A batch that fails so is split until the bad records stand alone.
    Invalid,
    /// The outside refused for good, and not because of the record's shape.
    Permanent,
    /// The outside could not be reached or was busy: the same record may succeed later.
    Transient,
    /// User code panicked.
    Panic,
}

impl Class {
    /// The word used in tables, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Panic => "panic",
        }
    }
}

/// A cause: its class, a sentence that fits after "failed to", and where in the pipeline it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// What kind.
    pub class: Class,
    /// Lower-case, without a full stop.
    pub error: String,
    /// The processor or batcher in which it failed; set by the engine.
    pub group: Option<Arc<str>>,
    /// The stage or sink that failed; set by the engine.
    pub stage: Option<Arc<str>>,
    /// Facts for people and tables: `("sqlstate", "23514")`.
    pub details: Vec<(&'static str, Cow<'static, str>)>,
}

impl Failure {
    /// A failure that has not yet been placed.
    pub fn new(class: Class, error: impl Into<String>) -> Self {
        Self { class, error: error.into(), group: None, stage: None, details: Vec::new() }
    }

    /// The record is wrong.
    pub fn invalid(error: impl Into<String>) -> Self {
        Self::new(Class::Invalid, error)
    }

    /// Refused for good.
    pub fn permanent(error: impl Into<String>) -> Self {
        Self::new(Class::Permanent, error)
    }

    /// May succeed later.
    pub fn transient(error: impl Into<String>) -> Self {
        Self::new(Class::Transient, error)
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// A fact by its name.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_ref())
    }

    pub(crate) fn place(&mut self, group: &Arc<str>, stage: &Arc<str>) {
        if self.group.is_none() {
            self.group = Some(group.clone());
            self.stage = Some(stage.clone());
        }
    }
}
