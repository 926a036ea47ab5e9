//! What is known of a kill, all in all: what the stages found, and where they did not look or could not know, what zKillboard says.

use super::{Kill, VALUE_LABELS, Zkb, value_label};

/// What a kill is worth. ISK cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Values<'k> {
    pub total: Option<i64>,
    pub destroyed: Option<i64>,
    pub dropped: Option<i64>,
    pub fitted: Option<i64>,
    /// Where the prices come from; `zkb` for zKillboard's values.
    pub source: Option<&'k str>,
}

impl Kill {
    fn zkb(&self) -> Option<&Zkb> {
        self.mail.as_ref()?.zkb.as_ref()
    }

    /// What it is worth: as `price` says, whole, or else as zKillboard does.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        match (self.worth.as_deref(), self.zkb()) {
            (Some(worth), _) => Values {
                total: worth.total,
                destroyed: worth.destroyed,
                dropped: worth.dropped,
                fitted: worth.fitted,
                source: Some(&worth.source),
            },
            (None, Some(zkb)) => Values {
                total: zkb.total_value,
                destroyed: zkb.destroyed_value,
                dropped: zkb.dropped_value,
                fitted: zkb.fitted_value,
                source: zkb.total_value.map(|_| "zkb"),
            },
            (None, None) => Values::default(),
        }
    }

    /// Whether only NPCs attacked.
    #[must_use]
    pub fn npc(&self) -> Option<bool> {
        self.tagged.as_ref().map(|tagged| tagged.npc).or_else(|| self.zkb()?.npc)
    }

    /// Whether one player alone did it.
    #[must_use]
    pub fn solo(&self) -> Option<bool> {
        self.tagged.as_ref().and_then(|tagged| tagged.solo).or_else(|| self.zkb()?.solo)
    }

    /// Whether somebody of the victim's own corporation did it.
    #[must_use]
    pub fn awox(&self) -> Option<bool> {
        self.tagged.as_ref().and_then(|tagged| tagged.awox).or_else(|| self.zkb()?.awox)
    }

    /// zKillboard's points.
    #[must_use]
    pub fn points(&self) -> Option<i64> {
        self.tagged.as_ref().and_then(|tagged| tagged.points).or_else(|| self.zkb()?.points)
    }

    /// The labels that `tag` found, or zKillboard's, with that of the value as it is known, sorted, each once. `None`: nobody gave any.
    #[must_use]
    pub fn labels(&self) -> Option<Vec<&str>> {
        let mut labels: Vec<&str> = match (self.tagged.as_deref(), self.zkb()) {
            (Some(tagged), _) => tagged.labels.iter().map(|label| &**label).collect(),
            (None, Some(zkb)) if !zkb.labels.is_empty() => zkb.labels.iter().map(String::as_str).collect(),
            (None, _) => return None,
        };
        if let Some(total) = self.values().total {
            labels.retain(|label| !label.starts_with(VALUE_LABELS));
            labels.extend(value_label(total));
        }
        labels.sort_unstable();
        labels.dedup();
        Some(labels)
    }
}
