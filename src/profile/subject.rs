//! The values of one kill, as filters ask for them.
//!
//! They are those that are stored: what the stages found, and where they found nothing what zKillboard says. Numbers are integers, so that they compare
//! exactly: ISK in cents, a security status as its [`key`](super::decimal::security_key), flags as 0 and 1.

use jiff::tz::TimeZone;

use super::decimal::security_key;
use super::field::{FIELDS, Field, Kind};
use crate::killmail::{Attacker, Kill, Killmail};

/// The values of one kill. Of a field with one value at most there are one or none.
#[derive(Debug, Clone, Default)]
pub struct Subject<'k> {
    single: Singles,
    many: [Vec<i64>; 6],
    module_tags: Vec<&'k str>,
    labels: Vec<&'k str>,
    system_class: Option<&'k str>,
    ship_class: Option<&'k str>,
}

/// By field; of those that are neither single nor numbers nothing.
#[derive(Debug, Clone, Copy)]
struct Singles([Option<i64>; FIELDS]);

impl Default for Singles {
    fn default() -> Self {
        Self([None; FIELDS])
    }
}

/// A subject's lists, to be filled again for the next kill.
#[derive(Debug, Default)]
pub struct Buffers {
    many: [Vec<i64>; 6],
    module_tags: Vec<&'static str>,
    labels: Vec<&'static str>,
}

impl<'k> Subject<'k> {
    /// Of a kill; `None`: it was not decoded.
    #[must_use]
    pub fn of(kill: &'k Kill) -> Option<Self> {
        Self::with(kill, &mut Buffers::default())
    }

    /// Of a kill, in the lists of an earlier subject ([`buffers`](Self::buffers)).
    #[must_use]
    pub fn with(kill: &'k Kill, buffers: &mut Buffers) -> Option<Self> {
        let mail = kill.mail.as_deref()?;
        let mut subject = Self {
            many: std::mem::take(&mut buffers.many),
            module_tags: emptied(std::mem::take(&mut buffers.module_tags)),
            labels: emptied(std::mem::take(&mut buffers.labels)),
            ..Self::default()
        };
        subject.read_place(kill, mail);
        subject.read_worth(kill);
        subject.read_people(mail);
        subject.read_time(kill, mail);
        Some(subject)
    }

    /// Its lists, for the next kill.
    #[must_use]
    pub fn buffers(mut self) -> Buffers {
        self.many.iter_mut().for_each(Vec::clear);
        Buffers { many: self.many, module_tags: emptied(self.module_tags), labels: emptied(self.labels) }
    }

    /// The values of a field that is no text: sorted, each once.
    #[must_use]
    #[inline(always)]
    pub fn values(&self, field: Field) -> &[i64] {
        match many(field) {
            Some(place) => &self.many[place],
            None => self.single.0[field as usize].as_slice(),
        }
    }

    /// The words of a field that is text: each once.
    #[must_use]
    #[inline(always)]
    pub fn texts(&self, field: Field) -> &[&'k str] {
        match field {
            Field::ModuleTags => &self.module_tags,
            Field::Labels => &self.labels,
            Field::SystemClass => self.system_class.as_slice(),
            Field::ShipClass => self.ship_class.as_slice(),
            _ => &[],
        }
    }

    /// Sets the values of a field that is no text; of a single one the first. For made-up kills.
    pub fn set(&mut self, field: Field, values: &[i64]) {
        debug_assert!(field.kind() != Kind::Text);
        match many(field) {
            Some(place) => {
                self.many[place].clear();
                self.many[place].extend_from_slice(values);
                self.many[place].sort_unstable();
                self.many[place].dedup();
            }
            None => self.single.0[field as usize] = values.first().copied(),
        }
    }

    /// Sets the words of a text; of a single one the first. For made-up kills.
    pub fn set_texts(&mut self, field: Field, texts: &[&'k str]) {
        let put = |list: &mut Vec<&'k str>| {
            list.clear();
            list.extend_from_slice(texts);
            list.sort_unstable();
            list.dedup();
        };
        match field {
            Field::ModuleTags => put(&mut self.module_tags),
            Field::Labels => put(&mut self.labels),
            Field::SystemClass => self.system_class = texts.first().copied(),
            Field::ShipClass => self.ship_class = texts.first().copied(),
            _ => debug_assert!(false, "{field} is no text"),
        }
    }

    fn put(&mut self, field: Field, value: Option<i64>) {
        self.single.0[field as usize] = value;
    }

    fn read_place(&mut self, kill: &'k Kill, mail: &Killmail) {
        self.put(Field::SystemId, Some(mail.solar_system_id.get()));
        let Some(tagged) = kill.tagged.as_deref() else { return };
        self.put(Field::ConstellationId, tagged.constellation_id);
        self.put(Field::RegionId, tagged.region_id);
        self.put(Field::SecurityStatus, tagged.security_status.map(security_key));
        self.put(Field::ShipGroupId, tagged.ship_group_id);
        self.system_class = tagged.system_class;
        self.ship_class = tagged.ship_class.as_deref();
        self.module_tags.extend(tagged.module_tags.iter().map(|tag| &**tag));
    }

    fn read_worth(&mut self, kill: &'k Kill) {
        let values = kill.values();
        self.put(Field::IskValue, values.total);
        self.put(Field::DestroyedValue, values.destroyed);
        self.put(Field::DroppedValue, values.dropped);
        self.put(Field::Npc, kill.npc().map(i64::from));
        self.put(Field::Solo, kill.solo().map(i64::from));
        self.put(Field::Awox, kill.awox().map(i64::from));
        self.labels.extend(kill.labels().into_iter().flatten());
    }

    fn read_people(&mut self, mail: &Killmail) {
        let victim = &mail.victim;
        self.put(Field::ShipTypeId, victim.ship_type_id.map(|id| id.get()));
        self.put(Field::VictimCharacterId, victim.character_id.map(|id| id.get()));
        self.put(Field::VictimCorporationId, victim.corporation_id.map(|id| id.get()));
        self.put(Field::VictimAllianceId, victim.alliance_id.map(|id| id.get()));
        self.put(Field::VictimFactionId, victim.faction_id.map(|id| id.get()));
        if let Some(last) = mail.attackers.iter().find(|attacker| attacker.final_blow) {
            FINAL_BLOW.iter().zip(ids(last)).for_each(|(field, id)| self.put(*field, id));
        }
        self.put(Field::AttackerCount, i64::try_from(mail.attackers.len()).ok());
        for attacker in &mail.attackers {
            self.many.iter_mut().zip(ids(attacker)).for_each(|(list, id)| list.extend(id));
        }
        for list in &mut self.many {
            list.sort_unstable();
            list.dedup();
        }
    }

    fn read_time(&mut self, kill: &Kill, mail: &Killmail) {
        let time = mail.killmail_time.to_zoned(TimeZone::UTC);
        self.put(Field::Hour, Some(time.hour().into()));
        self.put(Field::Weekday, Some(time.weekday().to_monday_one_offset().into()));
        let age = kill.received_at.duration_since(mail.killmail_time).as_secs();
        self.put(Field::AgeSeconds, Some(age.max(0)));
    }
}

/// In the order of [`ids`].
const FINAL_BLOW: [Field; 6] = [
    Field::FinalBlowCharacterId,
    Field::FinalBlowCorporationId,
    Field::FinalBlowAllianceId,
    Field::FinalBlowFactionId,
    Field::FinalBlowShipTypeId,
    Field::FinalBlowWeaponTypeId,
];

fn ids(attacker: &Attacker) -> [Option<i64>; 6] {
    [
        attacker.character_id.map(|id| id.get()),
        attacker.corporation_id.map(|id| id.get()),
        attacker.alliance_id.map(|id| id.get()),
        attacker.faction_id.map(|id| id.get()),
        attacker.ship_type_id.map(|id| id.get()),
        attacker.weapon_type_id.map(|id| id.get()),
    ]
}

/// The place of a field with many numbers, in the order of [`ids`].
#[inline(always)]
const fn many(field: Field) -> Option<usize> {
    match field {
        Field::AttackerCharacterId => Some(0),
        Field::AttackerCorporationId => Some(1),
        Field::AttackerAllianceId => Some(2),
        Field::AttackerFactionId => Some(3),
        Field::AttackerShipTypeId => Some(4),
        Field::AttackerWeaponTypeId => Some(5),
        _ => None,
    }
}

/// The same memory for words of another kill.
fn emptied<'a>(mut list: Vec<&str>) -> Vec<&'a str> {
    list.clear();
    // Collected in place: the standard library reuses the allocation.
    list.into_iter().map(|_| "").collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::killmail::{Tagged, Worth, wire};

    const PACKAGE: &str = r#"{"killmail_id": 7, "killmail_time": "2026-03-01T23:59:59Z", "solar_system_id": 30000142,
        "victim": {"ship_type_id": 587, "character_id": 11, "corporation_id": 12, "damage_taken": 5, "items": []},
        "attackers": [
            {"character_id": 32, "corporation_id": 12, "ship_type_id": 600, "damage_done": 2, "final_blow": false, "security_status": 0.5},
            {"character_id": 31, "corporation_id": 12, "weapon_type_id": 601, "damage_done": 3, "final_blow": true, "security_status": 0.5},
            {"faction_id": 500001, "damage_done": 0, "final_blow": false, "security_status": 0}],
        "zkb": {"hash": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "totalValue": 12.34, "npc": false, "solo": false, "awox": true, "labels": ["pvp"]}}"#;

    fn kill() -> Kill {
        let received: Timestamp = "2026-03-02T00:01:00.9Z".parse().expect("a time");
        let mut kill = Kill::new(Bytes::from_static(PACKAGE.as_bytes()), "file", received, true);
        kill.mail = Some(Arc::new(wire::decode(&kill.raw).expect("a kill")));
        kill
    }

    #[test]
    fn a_kill_has_the_values_of_its_mail_its_tags_and_its_worth() {
        let mut kill = kill();
        let subject = Subject::of(&kill).expect("decoded");
        let expected: [(Field, &[i64]); 14] = [
            (Field::SystemId, &[30_000_142]),
            (Field::RegionId, &[]),
            (Field::IskValue, &[1234]),
            (Field::DroppedValue, &[]),
            (Field::ShipTypeId, &[587]),
            (Field::VictimAllianceId, &[]),
            (Field::AttackerCharacterId, &[31, 32]),
            (Field::AttackerCorporationId, &[12]),
            (Field::AttackerFactionId, &[500_001]),
            (Field::FinalBlowCharacterId, &[31]),
            (Field::FinalBlowShipTypeId, &[]),
            (Field::AttackerCount, &[3]),
            (Field::Hour, &[23]),
            (Field::AgeSeconds, &[61]),
        ];
        for (field, values) in expected {
            assert_eq!(subject.values(field), values, "{field}");
        }
        assert_eq!((subject.values(Field::Weekday), subject.values(Field::Awox)), (&[7][..], &[1][..]), "a Sunday");
        assert_eq!(subject.texts(Field::Labels), ["pvp"]);
        kill.tagged = Some(Arc::new(Tagged {
            module_tags: vec!["Mid".into()],
            ship_group_id: Some(25),
            system_class: Some("highsec"),
            labels: vec!["loc:highsec".into()],
            security_status: Some(0.9),
            awox: Some(false),
            ..Tagged::default()
        }));
        kill.worth = Some(Arc::new(Worth { total: Some(100_000_000_000), dropped: Some(5), ..Worth::default() }));
        let subject = Subject::of(&kill).expect("decoded");
        assert_eq!(subject.values(Field::IskValue), [100_000_000_000]);
        assert_eq!((subject.values(Field::DroppedValue), subject.values(Field::DestroyedValue)), (&[5][..], &[][..]));
        assert_eq!((subject.values(Field::ShipGroupId), subject.values(Field::Awox)), (&[25][..], &[0][..]));
        assert_eq!(subject.values(Field::SecurityStatus), [security_key(0.9)]);
        assert_eq!(subject.texts(Field::Labels), ["isk:1b+", "loc:highsec"]);
        assert_eq!(
            (subject.texts(Field::ModuleTags), subject.texts(Field::SystemClass)),
            (&["Mid"][..], &["highsec"][..])
        );
    }

    #[test]
    fn lists_are_used_again_and_keep_nothing() {
        let mut buffers = Buffers::default();
        let (first, mut bare) = (kill(), kill());
        let mail = Killmail { attackers: Vec::new(), zkb: None, ..(*kill().mail.expect("decoded")).clone() };
        bare.mail = Some(Arc::new(mail));
        buffers = Subject::with(&first, &mut buffers).expect("decoded").buffers();
        let subject = Subject::with(&bare, &mut buffers).expect("decoded");
        for field in Field::ALL.into_iter().filter(|field| field.is_many()) {
            assert!(subject.values(field).is_empty() && subject.texts(field).is_empty(), "{field}");
        }
        assert!(Subject::of(&Kill { mail: None, ..first }).is_none());
    }
}
