//! Classes of systems.
//!
//! By region where that says it, else by security as it is, not rounded: high security from 0.45, low security from 0.0 (that itself too), below it none. Zarzakh
//! is of no class, and neither are systems that are not for flying (regions from 13,000,000). Where the static data lack a system, its id tells
//! wormhole space and the abyss from the rest, of which nothing can be said then.

use crate::killmail::SystemId;
use crate::statics::System;

/// What is known of where a kill was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Highsec,
    Lowsec,
    Nullsec,
    Wspace,
    Pochven,
    Abyssal,
    Drifter,
    /// A system of no class.
    Other,
    /// Of unknown space.
    Unknown,
}

const POCHVEN: i64 = 10_000_070;
const ZARZAKH: i64 = 10_001_000;
const DRIFTER_REGION: i64 = 11_000_033;
/// Ids of the systems of that region, but for Thera, which lies among them.
const DRIFTER_SYSTEMS: std::ops::RangeInclusive<i64> = 31_000_001..=31_000_006;
const THERA: i64 = 31_000_005;

impl Place {
    /// Of a system that may be known.
    #[must_use]
    pub fn of(id: SystemId, system: Option<&System>) -> Self {
        let Some(system) = system else { return Self::by_id(id.get()) };
        match system.region_id.get() {
            POCHVEN => Self::Pochven,
            ZARZAKH => Self::Other,
            DRIFTER_REGION => Self::Drifter,
            11_000_000..12_000_000 => Self::Wspace,
            12_000_000..13_000_000 => Self::Abyssal,
            13_000_000.. => Self::Other,
            _ if system.security_status >= 0.45 => Self::Highsec,
            _ if system.security_status >= 0.0 => Self::Lowsec,
            _ => Self::Nullsec,
        }
    }

    fn by_id(id: i64) -> Self {
        match id {
            id if DRIFTER_SYSTEMS.contains(&id) && id != THERA => Self::Drifter,
            31_000_000..32_000_000 => Self::Wspace,
            32_000_000..33_000_000 => Self::Abyssal,
            _ => Self::Unknown,
        }
    }

    /// The word used in tables and filters.
    #[must_use]
    pub const fn class(self) -> Option<&'static str> {
        match self {
            Self::Highsec => Some("highsec"),
            Self::Lowsec => Some("lowsec"),
            Self::Nullsec => Some("nullsec"),
            Self::Wspace => Some("wspace"),
            Self::Pochven => Some("pochven"),
            Self::Abyssal => Some("abyssal"),
            Self::Drifter => Some("drifter"),
            Self::Other | Self::Unknown => None,
        }
    }

    /// zKillboard's label: it has none for Pochven.
    #[must_use]
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Highsec => Some("loc:highsec"),
            Self::Lowsec => Some("loc:lowsec"),
            Self::Nullsec => Some("loc:nullsec"),
            Self::Wspace => Some("loc:w-space"),
            Self::Abyssal => Some("loc:abyssal"),
            Self::Drifter => Some("loc:drifter"),
            Self::Pochven | Self::Other | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::{ConstellationId, RegionId};

    fn at(id: i64, region: i64, security_status: f64) -> Place {
        let system_id = SystemId::new(id).expect("an id");
        let system = System {
            system_id,
            name: "".into(),
            constellation_id: ConstellationId::new(20_000_001).expect("an id"),
            region_id: RegionId::new(region).expect("an id"),
            security_status,
        };
        Place::of(system_id, Some(&system))
    }

    #[test]
    fn known_space_is_told_by_security_as_it_is() {
        let of = |security| at(30_000_001, 10_000_001, security).class();
        assert_eq!(of(0.45), Some("highsec"));
        assert_eq!(of(0.449_999), Some("lowsec"));
        assert_eq!(of(0.001), Some("lowsec"));
        assert_eq!(of(0.0), Some("lowsec"));
        assert_eq!(of(-0.001), Some("nullsec"));
    }

    #[test]
    fn other_space_is_told_by_region() {
        let of = |region| at(31_000_100, region, -0.99);
        assert_eq!((of(10_000_070).class(), of(10_000_070).label()), (Some("pochven"), None));
        assert_eq!((of(10_001_000).class(), of(10_001_000).label()), (None, None));
        assert_eq!((of(11_000_001).class(), of(11_000_001).label()), (Some("wspace"), Some("loc:w-space")));
        assert_eq!((of(11_000_033).class(), of(11_000_033).label()), (Some("drifter"), Some("loc:drifter")));
        assert_eq!((of(12_000_004).class(), of(12_000_004).label()), (Some("abyssal"), Some("loc:abyssal")));
        assert_eq!(of(14_000_001).class(), None);
    }

    #[test]
    fn an_unknown_system_is_told_by_its_id_as_far_as_that_goes() {
        let of = |id| Place::of(SystemId::new(id).expect("an id"), None);
        assert_eq!(of(30_000_142), Place::Unknown);
        assert_eq!(of(31_000_001), Place::Drifter);
        assert_eq!(of(31_000_005), Place::Wspace);
        assert_eq!(of(31_002_604), Place::Wspace);
        assert_eq!(of(32_000_001), Place::Abyssal);
    }
}
