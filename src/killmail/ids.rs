//! A type for every id, so that a corporation is never looked up as a character.

use std::fmt;
use std::num::NonZeroI64;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroI64);

        impl $name {
            /// `None` for 0 and below, which feeds send for "nobody".
            #[must_use]
            pub fn new(id: i64) -> Option<Self> {
                if id > 0 { NonZeroI64::new(id).map(Self) } else { None }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_i64(self.get())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "integer", "format": "int64", "minimum": 1})
            }
        }
    )+};
}

id! {
    /// A killmail.
    KillmailId,
    /// A solar system.
    SystemId,
    /// A pilot.
    CharacterId,
    /// A corporation, of players or not.
    CorporationId,
    /// An alliance.
    AllianceId,
    /// An NPC faction.
    FactionId,
    /// An item type: ship, module, charge, structure.
    TypeId,
    /// A region: a market.
    RegionId,
    /// A constellation: systems of a region.
    ConstellationId,
    /// A group of item types: frigates, shield extenders.
    GroupId,
    /// A category of groups: ships, modules, charges.
    CategoryId,
    /// What kind of make a type is: tech II, faction, deadspace.
    MetaGroupId,
    /// A surveillance profile: what somebody watches for.
    ProfileId,
    /// Where matches are told: a digest of the URL, which is a secret.
    TargetId,
}

/// The 20 bytes that, with its id, open a killmail at ESI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KillmailHash([u8; 20]);

impl KillmailHash {
    /// From 40 hexadecimal digits; blanks around them are forgiven (old feeds have them).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        if digits.len() != 40 {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for KillmailHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl serde::Serialize for KillmailHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
