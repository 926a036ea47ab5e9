//! What had become of a kill when it failed, written down, so that a replay can go on from there: what stages found, and which they were.
//!
//! The killmail itself is not in it: it is read again from the raw bytes, which is pure.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Kill, Measures, ProfileId, Tagged, Worth, wire};

/// As it is kept: JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// The stages that the kill has passed, in order.
    stages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tagged: Option<Tags>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worth: Option<Sums>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<i64>>,
    #[serde(default)]
    revises: bool,
    #[serde(default)]
    refresh: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tags {
    module_tags: Vec<String>,
    ship_class: Option<String>,
    ship_group_id: Option<i64>,
    system_class: Option<String>,
    constellation_id: Option<i64>,
    region_id: Option<i64>,
    security_status: Option<f64>,
    npc: bool,
    solo: Option<bool>,
    awox: Option<bool>,
    points: Option<i64>,
    labels: Vec<String>,
    measures: Vec<(Option<f64>, Option<f64>)>,
    is_whole: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sums {
    total: Option<i64>,
    destroyed: Option<i64>,
    dropped: Option<i64>,
    fitted: Option<i64>,
    source: String,
}

/// Everything that [`Tagged::system_class`] may say.
const SYSTEM_CLASSES: [&str; 7] = ["highsec", "lowsec", "nullsec", "wspace", "pochven", "abyssal", "drifter"];

/// What these stages have made of the kill; `None`: nothing, a replay begins with the raw bytes.
#[must_use]
pub fn write(kill: &Kill, stages: &[String]) -> Option<String> {
    if stages.is_empty() || kill.mail.is_none() {
        return None;
    }
    let whole = match &kill.whole {
        None => None,
        // Bytes of no text could not be kept as such.
        Some(whole) => Some(std::str::from_utf8(whole).ok()?.to_owned()),
    };
    let written = Written {
        stages: stages.to_vec(),
        whole,
        tagged: kill.tagged.as_deref().map(Tags::from),
        worth: kill.worth.as_deref().map(Sums::from),
        matches: kill.matches.as_ref().map(|matches| matches.iter().map(|id| id.get()).collect()),
        revises: kill.revises,
        refresh: kill.refresh,
        event_id: kill.event_id,
    };
    serde_json::to_string(&written).ok()
}

/// Puts the kill back to where it was, if these are the stages that it would pass today up to there; answers whether that was so. If not, it is as it was.
#[must_use]
pub fn read(kill: &mut Kill, progress: &str, stages: &[&str]) -> bool {
    let Ok(written) = serde_json::from_str::<Written>(progress) else { return false };
    if written.stages != stages {
        return false;
    }
    let Ok(tagged) = written.tagged.map(Tagged::try_from).transpose() else { return false };
    let whole = written.whole.map(bytes::Bytes::from);
    let Ok(mail) = wire::decode(whole.as_ref().unwrap_or(&kill.raw)) else { return false };
    kill.mail = Some(Arc::new(mail));
    kill.whole = whole;
    kill.tagged = tagged.map(Arc::new);
    kill.worth = written.worth.map(|sums| Arc::new(sums.into()));
    kill.matches = written.matches.map(|ids| ids.into_iter().filter_map(ProfileId::new).collect());
    kill.revises = written.revises;
    kill.refresh = written.refresh;
    kill.event_id = written.event_id;
    true
}

impl From<&Tagged> for Tags {
    fn from(tagged: &Tagged) -> Self {
        Self {
            module_tags: tagged.module_tags.iter().map(|tag| tag.to_string()).collect(),
            ship_class: tagged.ship_class.as_deref().map(str::to_owned),
            ship_group_id: tagged.ship_group_id,
            system_class: tagged.system_class.map(str::to_owned),
            constellation_id: tagged.constellation_id,
            region_id: tagged.region_id,
            security_status: tagged.security_status,
            npc: tagged.npc,
            solo: tagged.solo,
            awox: tagged.awox,
            points: tagged.points,
            labels: tagged.labels.iter().map(|label| label.to_string()).collect(),
            measures: tagged.measures.iter().map(|of| (of.mass_balance, of.usefulness)).collect(),
            is_whole: tagged.is_whole,
        }
    }
}

impl TryFrom<Tags> for Tagged {
    type Error = ();

    fn try_from(tags: Tags) -> Result<Self, ()> {
        let system_class = match &tags.system_class {
            None => None,
            Some(class) => Some(*SYSTEM_CLASSES.iter().find(|known| *known == class).ok_or(())?),
        };
        let measures = |(mass_balance, usefulness)| Measures { mass_balance, usefulness };
        Ok(Self {
            module_tags: tags.module_tags.into_iter().map(Arc::from).collect(),
            ship_class: tags.ship_class.map(Arc::from),
            ship_group_id: tags.ship_group_id,
            system_class,
            constellation_id: tags.constellation_id,
            region_id: tags.region_id,
            security_status: tags.security_status,
            npc: tags.npc,
            solo: tags.solo,
            awox: tags.awox,
            points: tags.points,
            labels: tags.labels.into_iter().map(Cow::Owned).collect(),
            measures: tags.measures.into_iter().map(measures).collect(),
            is_whole: tags.is_whole,
        })
    }
}

impl From<&Worth> for Sums {
    fn from(worth: &Worth) -> Self {
        let Worth { total, destroyed, dropped, fitted, ref source } = *worth;
        Self { total, destroyed, dropped, fitted, source: source.clone() }
    }
}

impl From<Sums> for Worth {
    fn from(sums: Sums) -> Self {
        let Sums { total, destroyed, dropped, fitted, source } = sums;
        Self { total, destroyed, dropped, fitted, source }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::killmail::sample::Sampler;

    fn fresh(seed: u64) -> Kill {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let raw = Sampler::new(seed).next(time).package_json();
        Kill::new(raw.into(), "test", time, true)
    }

    fn worked_on(seed: u64, finding: Tagged, worth: Worth, matches: Vec<i64>) -> Kill {
        let mut kill = fresh(seed);
        kill.mail = wire::decode(&kill.raw).ok().map(Arc::new);
        kill.tagged = Some(Arc::new(finding));
        kill.worth = Some(Arc::new(worth));
        kill.matches = Some(matches.into_iter().filter_map(ProfileId::new).collect());
        (kill.refresh, kill.event_id) = (true, Some(7));
        kill
    }

    const STAGES: [&str; 3] = ["decode", "tag", "price"];

    fn passed() -> Vec<String> {
        STAGES.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_kill_that_has_passed_other_stages_than_it_would_today_begins_with_its_bytes() {
        let kill = worked_on(1, Tagged::default(), Worth::default(), vec![1]);
        let written = write(&kill, &passed()).expect("written");
        let mut again = fresh(1);
        assert!(!read(&mut again, &written, &["decode", "price", "tag"]));
        assert!(!read(&mut again, "{\"stages\":", &STAGES));
        assert!(again.mail.is_none() && again.worth.is_none());
        assert!(read(&mut again, &written, &STAGES));
        assert_eq!(again.mail, kill.mail);
    }

    #[test]
    fn what_was_not_decoded_has_made_no_progress() {
        assert_eq!(write(&fresh(1), &passed()), None);
        assert_eq!(write(&worked_on(1, Tagged::default(), Worth::default(), vec![]), &[]), None);
    }

    #[test]
    fn a_class_that_nobody_knows_is_not_made_up() {
        let kill =
            worked_on(1, Tagged { system_class: Some("pochven"), ..Tagged::default() }, Worth::default(), vec![]);
        let written = write(&kill, &passed()).expect("written").replace("pochven", "elsewhere");
        assert!(!read(&mut fresh(1), &written, &STAGES));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(
            seed in 0_u64..50,
            tags in proptest::collection::vec("[a-z:+]{1,12}", 0..5),
            numbers in proptest::collection::vec(proptest::option::of(any::<i64>()), 7),
            floats in proptest::collection::vec(proptest::option::of(-1e12_f64..1e12), 7),
            flags in proptest::collection::vec(any::<bool>(), 5),
            class in proptest::option::of(0_usize..7),
            matches in proptest::collection::vec(1_i64..1_000_000, 0..9),
        ) {
            let finding = Tagged {
                module_tags: tags.iter().map(|tag| Arc::from(tag.as_str())).collect(),
                ship_class: tags.first().map(|tag| Arc::from(tag.as_str())),
                ship_group_id: numbers[0],
                system_class: class.map(|class| SYSTEM_CLASSES[class]),
                constellation_id: numbers[1],
                region_id: numbers[2],
                security_status: floats[0],
                npc: flags[0],
                solo: Some(flags[1]),
                awox: flags[2].then_some(flags[3]),
                points: numbers[3],
                labels: tags.iter().map(|tag| Cow::Owned(tag.clone())).collect(),
                measures: vec![
                    Measures { mass_balance: floats[1], usefulness: floats[2] },
                    Measures { mass_balance: floats[3], usefulness: floats[4] },
                ],
                is_whole: flags[4],
            };
            let worth = Worth {
                total: numbers[4], destroyed: numbers[5], dropped: numbers[6], fitted: None, source: tags.concat(),
            };
            let kill = worked_on(seed, finding, worth, matches);
            let written = write(&kill, &passed()).expect("written");
            let mut again = fresh(seed);
            prop_assert!(read(&mut again, &written, &STAGES));
            prop_assert_eq!(again.tagged, kill.tagged);
            prop_assert_eq!(again.worth, kill.worth);
            prop_assert_eq!(again.matches, kill.matches);
            prop_assert_eq!((again.mail, again.refresh, again.event_id), (kill.mail, kill.refresh, kill.event_id));
        }
    }
}
