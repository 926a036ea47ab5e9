//! What of a kill a filter may ask for.

use std::fmt;

/// What values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ids: whole numbers.
    Id,
    /// Whole numbers.
    Count,
    /// ISK, to the cent.
    Money,
    /// A solar system's security status, −1 to 1, as the static data have it: not rounded.
    Security,
    /// True or false.
    Flag,
    /// Words, compared as they are.
    Text,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $many:literal;)+) => {
        /// A field; `field as usize` is its place among [`Field::ALL`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($(#[$doc])* $variant,)+
        }

        impl Field {
            /// Every field.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// As it is written in a filter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What values it has.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)+
                }
            }

            /// Whether a kill may have several values of it.
            #[must_use]
            pub const fn is_many(self) -> bool {
                match self {
                    $(Self::$variant => $many,)+
                }
            }
        }
    };
}

fields! {
    SystemId = "system_id", Id, false;
    ConstellationId = "constellation_id", Id, false;
    RegionId = "region_id", Id, false;
    SecurityStatus = "security_status", Security, false;
    /// `highsec`, `lowsec`, `nullsec`, `wspace`, `pochven`, `abyssal`, `drifter`.
    SystemClass = "system_class", Text, false;
    /// Destroyed and dropped.
    IskValue = "isk_value", Money, false;
    DestroyedValue = "destroyed_value", Money, false;
    DroppedValue = "dropped_value", Money, false;
    /// Of everything fitted.
    ModuleTags = "module_tags", Text, true;
    /// The victim's.
    ShipTypeId = "ship_type_id", Id, false;
    /// The victim's.
    ShipGroupId = "ship_group_id", Id, false;
    /// The victim's.
    ShipClass = "ship_class", Text, false;
    VictimCharacterId = "victim_character_id", Id, false;
    VictimCorporationId = "victim_corporation_id", Id, false;
    VictimAllianceId = "victim_alliance_id", Id, false;
    VictimFactionId = "victim_faction_id", Id, false;
    AttackerCharacterId = "attacker_character_id", Id, true;
    AttackerCorporationId = "attacker_corporation_id", Id, true;
    AttackerAllianceId = "attacker_alliance_id", Id, true;
    AttackerFactionId = "attacker_faction_id", Id, true;
    AttackerShipTypeId = "attacker_ship_type_id", Id, true;
    AttackerWeaponTypeId = "attacker_weapon_type_id", Id, true;
    FinalBlowCharacterId = "final_blow_character_id", Id, false;
    FinalBlowCorporationId = "final_blow_corporation_id", Id, false;
    FinalBlowAllianceId = "final_blow_alliance_id", Id, false;
    FinalBlowFactionId = "final_blow_faction_id", Id, false;
    FinalBlowShipTypeId = "final_blow_ship_type_id", Id, false;
    FinalBlowWeaponTypeId = "final_blow_weapon_type_id", Id, false;
    AttackerCount = "attacker_count", Count, false;
    Npc = "npc", Flag, false;
    Solo = "solo", Flag, false;
    Awox = "awox", Flag, false;
    Labels = "labels", Text, true;
    /// Of the kill's time: 0 to 23, UTC.
    Hour = "hour", Count, false;
    /// Of the kill's time: 1 is Monday, 7 is Sunday, UTC.
    Weekday = "weekday", Count, false;
    /// From the kill to when it was received: whole seconds, 0 for one that is dated ahead.
    AgeSeconds = "age_seconds", Count, false;
}

/// How many there are.
pub const FIELDS: usize = Field::ALL.len();

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
