//! What a pipeline's messages carry: kills, or pages of market orders. All components of one pipeline work on the same.

use std::fmt;

/// The kind of a pipeline's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    Kills,
    Pages,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kills => "kills",
            Self::Pages => "pages of market orders",
        })
    }
}

/// A component for one of the two.
#[derive(Debug, Clone)]
pub enum Typed<K, P> {
    Kills(K),
    Pages(P),
}

impl<K, P> Typed<K, P> {
    /// The one for kills.
    pub fn kills(self) -> Option<K> {
        match self {
            Self::Kills(kills) => Some(kills),
            Self::Pages(_) => None,
        }
    }

    /// The one for pages.
    pub fn pages(self) -> Option<P> {
        match self {
            Self::Pages(pages) => Some(pages),
            Self::Kills(_) => None,
        }
    }
}
