//! Kills to store.

use std::sync::Arc;

use broadside::killmail::{
    Attacker, CharacterId, CorporationId, Form, Kill, Killmail, KillmailId, SystemId, TypeId, Victim, Zkb,
};

/// A kill with this many attackers. Its payload names its form, so that copies differ.
pub(crate) fn kill(id: i64, form: Form, attackers: usize) -> Kill {
    let attacker = |at: usize| Attacker {
        character_id: CharacterId::new(90_000_000 + at as i64),
        corporation_id: CorporationId::new(1_000_000),
        ship_type_id: TypeId::new(587),
        weapon_type_id: TypeId::new(2873),
        damage_done: at as i64 * 10,
        final_blow: at == 1,
        security_status: Some(-1.5),
        ..Attacker::default()
    };
    let mail = Killmail {
        killmail_id: KillmailId::new(id).unwrap(),
        killmail_hash: None,
        killmail_time: "2021-11-30T00:00:00Z".parse().unwrap(),
        solar_system_id: SystemId::new(30_000_142 + id % 3).unwrap(),
        moon_id: None,
        war_id: None,
        victim: Victim { character_id: CharacterId::new(7), damage_taken: 100, ..Victim::default() },
        attackers: (1..=attackers).map(attacker).collect(),
        zkb: (form == Form::Package).then(|| Zkb { total_value: Some(123_456), npc: Some(false), ..Zkb::default() }),
        form,
    };
    let mut kill = Kill::new(payload(id, form).into(), "file", "2021-11-30T01:00:00Z".parse().unwrap(), true);
    kill.mail = Some(Arc::new(mail));
    kill
}

/// What such a kill was received as: blanks, escapes and other scripts must come back as they went in.
pub(crate) fn payload(id: i64, form: Form) -> String {
    format!("{{ \"killmail_id\" :{id},\t\"form\":\"{form:?}\", \"name\": \"Ünï-\\u0041 Ж 殺\" }}")
}

pub(crate) fn dated(id: i64, time: &str) -> Kill {
    let mut kill = kill(id, Form::Esi, 1);
    let mut mail = (**kill.mail.as_ref().unwrap()).clone();
    mail.killmail_time = time.parse().unwrap();
    kill.mail = Some(Arc::new(mail));
    kill
}
