//! What is known of a kill, all in all: what the stages found, and where they did not look or could not know, what zKillboard says.

use super::{Kill, Killmail, VALUE_LABELS, Zkb, value_label};

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

/// What is known of a kill, as it is stored beside the payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// [`Kill::values`]: ISK cents.
    pub total_value: Option<i64>,
    pub destroyed_value: Option<i64>,
    pub dropped_value: Option<i64>,
    pub fitted_value: Option<i64>,
    /// `None`: nobody said what it is worth.
    pub price_source: Option<String>,
    pub npc: Option<bool>,
    pub solo: Option<bool>,
    pub awox: Option<bool>,
    pub points: Option<i64>,
    pub labels: Option<Vec<String>>,
}

impl Kill {
    /// All of it that is stored beside the payload.
    #[must_use]
    pub fn known(&self) -> Known {
        let values = self.values();
        Known {
            total_value: values.total,
            destroyed_value: values.destroyed,
            dropped_value: values.dropped,
            fitted_value: values.fitted,
            price_source: values.source.map(str::to_owned),
            npc: self.npc(),
            solo: self.solo(),
            awox: self.awox(),
            points: self.points(),
            labels: self.labels().map(|labels| labels.into_iter().map(str::to_owned).collect()),
        }
    }
}

impl Killmail {
    /// Puts what is known in the `zkb` block, in the place of what came with the kill. The values go together: those of two sources add up
    /// to nothing.
    pub fn show(&mut self, known: Known) {
        if known == Known::default() {
            return;
        }
        let zkb = self.zkb.get_or_insert_default();
        if known.price_source.is_some() {
            zkb.total_value = known.total_value;
            zkb.destroyed_value = known.destroyed_value;
            zkb.dropped_value = known.dropped_value;
            zkb.fitted_value = known.fitted_value;
        }
        zkb.npc = known.npc.or(zkb.npc);
        zkb.solo = known.solo.or(zkb.solo);
        zkb.awox = known.awox.or(zkb.awox);
        zkb.points = known.points.or(zkb.points);
        if let Some(labels) = known.labels {
            zkb.labels = labels;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::killmail::{Tagged, Worth, wire};

    const BODY: &str = r#""killmail_id":1,"killmail_time":"2026-11-20T10:00:00Z","solar_system_id":30000142,
        "victim":{"ship_type_id":587,"damage_taken":1,"items":[]},"attackers":[{"damage_done":1,"final_blow":true,"security_status":0}]"#;

    fn kill(zkb: &str) -> Kill {
        let mut kill =
            Kill::new(format!("{{{BODY}{zkb}}}").into(), "file", "2026-11-20T10:00:00Z".parse().expect("a time"), true);
        kill.mail = Some(Arc::new(wire::decode(&kill.raw).expect("a killmail")));
        kill
    }

    fn shown(kill: &Kill) -> Option<Zkb> {
        let mut mail = Killmail::clone(kill.mail.as_ref().expect("decoded"));
        mail.show(kill.known());
        mail.zkb
    }

    const ZKB: &str = r#","zkb":{"locationID":40,"totalValue":10.5,"droppedValue":4,"destroyedValue":6.5,"fittedValue":2,
        "points":7,"npc":true,"solo":true,"awox":true,"labels":["npc","isk:5b+"]}"#;

    #[test]
    fn a_kill_nobody_looked_at_shows_what_came_with_it() {
        assert_eq!(shown(&kill("")), None);
        let kill = kill(ZKB);
        let mut expected = kill.mail.as_ref().and_then(|mail| mail.zkb.clone()).expect("a block");
        expected.labels = vec!["npc".into()];
        assert_eq!(shown(&kill), Some(expected), "but for the label, which is of another value");
    }

    #[test]
    fn what_was_found_takes_the_place_of_what_came_and_the_rest_stays() {
        let worth =
            Worth { total: Some(200), destroyed: Some(150), dropped: None, fitted: Some(1), source: "janice:2".into() };
        let tagged = Tagged { solo: Some(false), labels: vec!["pvp".into()], ..Tagged::default() };
        let found = Kill { worth: Some(Arc::new(worth)), tagged: Some(Arc::new(tagged)), ..kill(ZKB) };
        let zkb = shown(&found).expect("a block");
        let values = (zkb.total_value, zkb.destroyed_value, zkb.dropped_value, zkb.fitted_value);
        assert_eq!(values, (Some(200), Some(150), None, Some(1)), "all of one source");
        assert_eq!((zkb.npc, zkb.solo, zkb.awox, zkb.points), (Some(false), Some(false), Some(true), Some(7)));
        assert_eq!((zkb.location_id, zkb.labels), (Some(40), vec!["pvp".to_owned()]));
        let bare = Kill { mail: kill("").mail, raw: kill("").raw, ..found };
        assert_eq!(shown(&bare).expect("a block").total_value, Some(200), "also where there was no block");
    }
}
