//! What a pipeline's messages carry: kills, pages of market orders, or products to be priced. All components of one pipeline work on the same.

use std::fmt;

/// The kind of a pipeline's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    Kills,
    Pages,
    Products,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kills => "kills",
            Self::Pages => "pages of market orders",
            Self::Products => "products to be priced",
        })
    }
}

/// A component for one of the three.
#[derive(Debug, Clone)]
pub enum Typed<K, P, Q> {
    Kills(K),
    Pages(P),
    Products(Q),
}

impl<K, P, Q> Typed<K, P, Q> {
    /// The one for kills.
    pub fn kills(self) -> Option<K> {
        match self {
            Self::Kills(kills) => Some(kills),
            Self::Pages(_) | Self::Products(_) => None,
        }
    }

    /// The one for pages.
    pub fn pages(self) -> Option<P> {
        match self {
            Self::Pages(pages) => Some(pages),
            Self::Kills(_) | Self::Products(_) => None,
        }
    }

    /// The one for products.
    pub fn products(self) -> Option<Q> {
        match self {
            Self::Products(products) => Some(products),
            Self::Kills(_) | Self::Pages(_) => None,
        }
    }
}
