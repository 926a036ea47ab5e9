//! What a live reader can follow.

use crate::killmail::{ProfileId, RegionId, SystemId};
use crate::store::{Event, Scope};

/// Which kills. Those of a profile are its matches; of a region those whose system was known to be in it when they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Topic {
    /// `all`.
    All,
    /// `system:<id>`.
    System(SystemId),
    /// `region:<id>`.
    Region(RegionId),
    /// `profile:<id>`.
    Profile(ProfileId),
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::System(id) => write!(f, "system:{id}"),
            Self::Region(id) => write!(f, "region:{id}"),
            Self::Profile(id) => write!(f, "profile:{id}"),
        }
    }
}

impl Topic {
    /// The system, if it is one's.
    pub(super) fn system(self) -> Option<SystemId> {
        if let Self::System(id) = self { Some(id) } else { None }
    }

    /// As it is written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((kind, id)) = text.split_once(':') else { return (text == "all").then_some(Self::All) };
        let id = id.parse().ok()?;
        match kind {
            "system" => SystemId::new(id).map(Self::System),
            "region" => RegionId::new(id).map(Self::Region),
            "profile" => ProfileId::new(id).map(Self::Profile),
            _ => None,
        }
    }

    /// Those that an event is of, the narrowest first. Of profiles those alone that were asked for when it was read.
    pub(super) fn of(event: &Event) -> impl Iterator<Item = Self> {
        let region = event.region_id.map(Self::Region);
        let places = [Self::System(event.system_id)].into_iter().chain(region);
        event.matches.iter().copied().map(Self::Profile).chain(places).chain([Self::All])
    }

    /// The events of these topics, each above an id of its own, as the store is asked for them.
    pub(super) fn scope(topics: impl IntoIterator<Item = (Self, i64)>) -> Scope {
        let mut scope = Scope::default();
        for (topic, after) in topics {
            match topic {
                Self::All => scope.all = true,
                Self::System(id) => scope.systems.push((id, after)),
                Self::Region(id) => scope.regions.push(id),
                Self::Profile(id) => scope.profiles.push(id),
            }
        }
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_as_they_are_written() {
        for text in ["all", "system:30000142", "region:10000002", "profile:7"] {
            assert_eq!(Topic::parse(text).map(|topic| topic.to_string()).as_deref(), Some(text));
        }
        for text in
            ["", "ALL", "all:", "system:", "system", "system:0", "profile:x", "region:-1", "profiles:1", "system:1:2"]
        {
            assert_eq!(Topic::parse(text), None, "{text}");
        }
    }
}
