//! zKillboard's npc, solo and awox.

use broadside::killmail::{Attacker, CharacterId, CorporationId, Killmail, Zkb};

use crate::world::{kill, npc, player, statics, tag};

/// npc, solo, awox.
fn flags(mail: &Killmail) -> (bool, Option<bool>, Option<bool>) {
    let tagged = tag(&statics(), mail).tagged;
    (tagged.npc, tagged.solo, tagged.awox)
}

const NPC: (bool, Option<bool>, Option<bool>) = (true, Some(false), Some(false));
const SOLO: (bool, Option<bool>, Option<bool>) = (false, Some(true), Some(false));
const GANG: (bool, Option<bool>, Option<bool>) = (false, Some(false), Some(false));

#[test]
fn without_a_player_and_a_corporation_of_players_it_is_npc() {
    assert_eq!(flags(&kill(1, vec![npc(10), npc(0)])), NPC);
    let character = |id| Attacker { character_id: CharacterId::new(id), ..npc(10) };
    assert_eq!(flags(&kill(1, vec![character(3_999_999)])), NPC, "an agent");
    assert_eq!(flags(&kill(1, vec![character(4_000_000)])), SOLO);
    let corporation = |id| Attacker { corporation_id: CorporationId::new(id), ..npc(10) };
    assert_eq!(flags(&kill(1, vec![corporation(1_999_999)])), NPC);
    assert_eq!(flags(&kill(1, vec![corporation(2_000_000)])), GANG, "a structure or drone of players");
    assert_eq!(flags(&kill(1, vec![Attacker::default()])), NPC);
}

#[test]
fn of_a_kill_without_attackers_the_feeds_word_is_taken() {
    let mut mail = kill(1, vec![]);
    assert_eq!(flags(&mail), NPC);
    mail.zkb = Some(Zkb { npc: Some(false), ..Zkb::default() });
    assert_eq!(flags(&mail), GANG);
}

#[test]
fn solo_is_one_player_whoever_else_shoots() {
    assert_eq!(flags(&kill(1, vec![player(1, 3)])), SOLO);
    assert_eq!(flags(&kill(1, vec![player(1, 3), npc(10)])), SOLO);
    assert_eq!(flags(&kill(1, vec![player(1, 3), player(1, 23)])), SOLO, "one pilot, twice");
    assert_eq!(flags(&kill(1, vec![player(1, 3), player(2, 3)])), GANG);
    assert_eq!(flags(&kill(1, vec![player(1, 20)])), GANG, "in a structure");
    assert_eq!(
        flags(&kill(1, vec![player(1, 3), Attacker { ship_type_id: player(1, 20).ship_type_id, ..npc(0) }])),
        GANG
    );
}

#[test]
fn only_ships_that_fight_are_lost_to_one() {
    for ship in [4, 5, 6, 20, 21] {
        assert_eq!(flags(&kill(ship, vec![player(1, 3)])), GANG, "{ship}");
    }
}

#[test]
fn awox_is_the_final_blow_of_a_player_of_the_same_corporation_of_players() {
    let own = |final_blow| Attacker { corporation_id: CorporationId::new(98_000_001), final_blow, ..player(1, 3) };
    let awox = |mail: &Killmail| flags(mail).2;
    assert_eq!(awox(&kill(1, vec![own(true)])), Some(true));
    assert_eq!(awox(&kill(1, vec![own(false), Attacker { final_blow: true, ..player(2, 3) }])), Some(false));
    assert_eq!(awox(&kill(5, vec![own(true)])), Some(true), "a shuttle");
    for spared in [4, 6] {
        assert_eq!(awox(&kill(spared, vec![own(true)])), Some(false), "{spared}");
    }
    let mut of_npcs = kill(1, vec![Attacker { corporation_id: CorporationId::new(1_000_002), ..own(true) }]);
    of_npcs.victim.corporation_id = CorporationId::new(1_000_002);
    assert_eq!(awox(&of_npcs), Some(false));
    assert_eq!(awox(&kill(1, vec![Attacker { character_id: None, ..own(true) }])), Some(false), "no player");
}

#[test]
fn what_depends_on_an_unknown_type_is_not_told_and_what_does_not_is() {
    assert_eq!(flags(&kill(999, vec![player(1, 3)])), (false, None, Some(false)));
    assert_eq!(flags(&kill(1, vec![player(1, 999)])), (false, None, Some(false)));
    assert_eq!(flags(&kill(999, vec![player(1, 3), player(2, 3)])), GANG);
    assert_eq!(flags(&kill(4, vec![player(1, 999)])), GANG);
    assert_eq!(flags(&kill(999, vec![npc(1)])), NPC);
    let mut own = kill(999, vec![Attacker { final_blow: true, ..player(1, 3) }]);
    own.victim.corporation_id = own.attackers[0].corporation_id;
    assert_eq!(flags(&own), (false, None, None));
    own.victim.ship_type_id = None;
    assert_eq!(flags(&own), (false, None, None));
}
